from __future__ import annotations

import dataclasses
import shutil
import sqlite3

import pytest
from sqlalchemy import text

from results.database import imports, reading
from results.database.activation import silent
from results.database.attempts import AttemptWriter
from results.database.engine import open_database, write
from results.database.errors import DatabaseError, StudyConflict
from results.database.merging import Merged, merge
from results.database.queue import claim, register_worker
from results.database.records import (
    EpisodeRow,
    ImportedRunRecord,
    ImportSourceRecord,
    NormalizationRow,
)
from results.database.schema import MOST_LOSSES
from results.database.store import put_normalization, submit


@pytest.fixture
def other(tmp_path, empty_database):
    """A second, empty database."""
    engine = open_database(shutil.copy(empty_database, tmp_path / "other.sqlite"))
    yield engine
    engine.dispose()


def train(engine, runs: int, *, value: float = 1.0, skip: int = 0) -> None:
    """Trains some runs, the first of them on from a checkpoint of a failed attempt."""
    worker = register_worker(engine, device="cpu", slot=0)
    for _ in range(skip):
        AttemptWriter(engine, claim(engine, worker)).fail("boom")
    for index in range(runs):
        writer = AttemptWriter(engine, claim(engine, worker))
        writer.log({"loss": value}, 2000)
        if index == 0:
            writer.checkpoint(2000, "a", "f" * 64, 1)
            writer.log({"loss": 99.0}, 3000)
            writer.release("asked to stop")
            writer = AttemptWriter(engine, claim(engine, worker))
            writer.resume(writer.claim.checkpoints[0])
        writer.log({"loss": value / 2}, 6000)
        writer.artifact("dreams", 6000, {})
        writer.evaluation(6000, [EpisodeRow(0, value, 9, False)], "argmax", True)
        writer.finish(5.0, {"shift": ("shifted", 0.0)})


def shown(engine, study="smoke"):
    """Everything that readers show of a study, ids and moments aside."""
    runs = reading.runs(engine, study)
    kept = ["arm", "game", "seed", "state", "attempts", "attempt", "parent_attempt", "error"]
    curve, episodes = reading.curve(engine, study, "loss"), imports.evaluations(engine, study)
    return (
        reading.load_study(engine, study),
        runs[[*kept, "env_frames", "seconds"]].to_csv(),
        curve.drop(columns="run_id").to_csv(),
        episodes.drop(columns="run_id").to_csv(),
        [dataclasses.replace(one, run_id=0) for one in silent(engine, study)],
    )


def rows(engine) -> dict[str, int]:
    connection = sqlite3.connect(engine.url.database)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    counts = {
        name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        for (name,) in names
        if not name.startswith("sqlite_")
    }
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    connection.close()
    assert broken == []
    return counts


@pytest.fixture
def half(engine, submitted):
    """Twelve runs: three finished, the first after an interruption, nine queued."""
    train(engine, 3)
    put_normalization(engine, "wang2016", [NormalizationRow("Pong", -20.7, 14.6)])
    return engine


def test_a_merge_into_an_empty_database_shows_the_same(half, other):
    assert merge(half, other) == Merged(("smoke",), new=12)
    assert shown(other) == shown(half)
    before = rows(half)
    checkpoints = before.pop("checkpoint")
    assert checkpoints == 0
    assert {name: count for name, count in rows(other).items() if name in before} == before


def test_merging_twice_doubles_nothing(half, other):
    merge(half, other)
    before = rows(other), shown(other)
    assert merge(half, other) == Merged(("smoke",), present=12)
    assert (rows(other), shown(other)) == before


def test_halves_of_a_study_become_a_whole(half, other, make_study):
    study, runs = make_study()
    submit(other, study, runs)
    train(other, 4, value=2.0, skip=2)
    assert merge(half, other) == Merged(("smoke",), completed=2, present=10)
    frame = reading.runs(other, "smoke")
    assert (frame["state"] == "finished").sum() == 6
    first = frame.iloc[0]
    assert (first["attempts"], first["attempt"], first["parent_attempt"]) == (3, 3, 2)
    loss = reading.curve(other, "smoke", "loss")
    assert loss[loss["run_id"] == first["run_id"]]["value"].tolist() == [1.0, 0.5]
    third = frame.iloc[2]["run_id"]
    assert loss[loss["run_id"] == third]["value"].tolist() == [2.0, 1.0]
    assert merge(half, other).present == 12
    rows(other)


def test_a_run_that_was_given_up_here_is_completed_and_its_checkpoints_forgotten(
    half, other, make_study
):
    study, runs = make_study()
    submit(other, study, runs)
    worker = register_worker(other, device="cpu", slot=0)
    writer = AttemptWriter(other, claim(other, worker))
    writer.checkpoint(2000, "run1/a.ckpt", "f" * 64, 1)
    writer.fail("boom")
    with write(other) as session:
        session.execute(text(f"UPDATE run SET losses = {MOST_LOSSES} WHERE id = 1"))
    done = merge(half, other)
    assert (done.completed, done.forgotten) == (3, ("run1/a.ckpt",))
    assert rows(other)["checkpoint"] == 0


def test_a_run_in_hand_there_arrives_as_queued(half, other, add_worker):
    claim(half, add_worker())
    merge(half, other)
    assert reading.counts(other, "smoke")["queued"] == 9
    assert reading.counts(other, "smoke")["running"] == 0


def test_a_run_in_hand_here_is_left_to_its_worker(half, other, make_study):
    study, runs = make_study()
    submit(other, study, runs)
    held = claim(other, register_worker(other, device="cpu", slot=0))
    assert merge(half, other) == Merged(("smoke",), completed=2, present=10)
    AttemptWriter(other, held).finish(1.0)


def test_one_study_can_be_taken_alone(half, other, make_study):
    submit(half, *make_study("more", seeds=(7,)))
    assert merge(half, other, "more") == Merged(("more",), new=6)
    assert reading.studies(other)["name"].tolist() == ["more"]
    with pytest.raises(DatabaseError, match="no study 'none'"):
        merge(half, other, "none")


def test_a_name_with_other_contents_is_refused_and_nothing_is_merged(half, other, make_study):
    submit(half, *make_study("more", seeds=(7,)))
    submit(other, *make_study("smoke", seeds=(7,)))
    before = rows(other)
    with pytest.raises(StudyConflict, match=r"Both databases hold a study smoke.*--study"):
        merge(half, other)
    assert rows(other) == before


def test_a_normalization_table_with_other_values_is_refused(half, other):
    put_normalization(other, "wang2016", [NormalizationRow("Pong", 0.0, 1.0)])
    before = rows(other)
    with pytest.raises(DatabaseError, match=r"wang2016 for Pong: \(-20\.7, 14\.6\) there"):
        merge(half, other)
    assert rows(other) == before


def test_imported_runs_keep_their_source(engine, other, make_study):
    study, runs = make_study("pub")
    source = ImportSourceRecord("a.json", "f" * 64, "csv", "{}", "p", "wang2016", False)
    imported = [ImportedRunRecord(run, source, (6000,), (0.5,), 6000) for run in runs]
    imports.put_imported(engine, study, imported)
    merge(engine, other)
    merge(engine, other)
    assert imports.sources(other, "pub") == (source,)
    found = imports.scores(other, "pub")
    assert found.evaluations["final"].all()
    assert dataclasses.asdict(found)["table"] == "wang2016"
