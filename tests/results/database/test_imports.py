from __future__ import annotations

import dataclasses
import sqlite3

import pytest
from sqlalchemy import func, select

from results.database import imports, reading
from results.database.engine import read
from results.database.errors import DatabaseError, StudyConflict
from results.database.queue import claim
from results.database.records import (
    ImportedRunRecord,
    ImportSourceRecord,
    NormalizationRow,
    RunRecord,
)
from results.database.schema import ImportSource
from results.database.store import put_normalization, submit
from results.statistics.collecting import collect
from results.statistics.errors import StatisticsError
from results.statistics.options import Options
from results.statistics.study_data import load

SOURCE = ImportSourceRecord("a.json", "f" * 64, "dreamer-json", "{}", "atari100k", None, False)


@pytest.fixture
def imported(make_study):
    """A study of twelve imported runs; the last one's curve ends early."""

    def make(name="pub", *, source=SOURCE):
        study, runs = make_study(name)
        return study, [
            ImportedRunRecord(
                run=run,
                source=source,
                env_frames=(3000, 6000) if index < 11 else (3000,),
                values=(0.25, float(index)) if index < 11 else (0.25,),
                final_env_frames=6000 if index < 11 else None,
            )
            for index, run in enumerate(runs)
        ]

    return make


def test_imported_runs_are_finished_and_nobody_takes_them(engine, imported, add_worker):
    study, runs = imported()
    assert imports.put_imported(engine, study, runs) == imports.Written(12, 0)
    assert reading.counts(engine, "pub")["finished"] == 12
    assert claim(engine, add_worker()) is None
    frame = reading.runs(engine, "pub")
    assert frame["seconds"].isna().all()
    assert frame["env_frames"].tolist() == [6000] * 11 + [3000]


def test_importing_again_adds_nothing(engine, imported):
    imports.put_imported(engine, *imported())
    before = reading.runs(engine, "pub")
    assert imports.put_imported(engine, *imported()) == imports.Written(0, 12)
    assert reading.runs(engine, "pub").equals(before)


def test_another_study_shares_the_runs(engine, imported):
    imports.put_imported(engine, *imported())
    assert imports.put_imported(engine, *imported("other")) == imports.Written(0, 12)
    ids = [reading.runs(engine, name)["run_id"].tolist() for name in ("pub", "other")]
    assert ids[0] == ids[1]


def test_a_name_with_other_contents_is_refused_and_nothing_is_written(engine, imported):
    imports.put_imported(engine, *imported())
    study, runs = imported()
    with pytest.raises(StudyConflict, match=r"The name pub is taken .* Nothing was imported"):
        imports.put_imported(engine, dataclasses.replace(study, contents_sha256="0" * 64), runs)
    assert len(reading.runs(engine, "pub")) == 12


def test_an_import_that_fails_midway_leaves_nothing(engine, imported):
    study, runs = imported()
    wrong = dataclasses.replace(runs[-1], run=dataclasses.replace(runs[-1].run, seed=-1))
    with pytest.raises(Exception, match="CHECK constraint failed"):
        imports.put_imported(engine, study, [*runs[:-1], wrong])
    assert len(reading.studies(engine)) == 0
    with read(engine) as session:
        assert session.scalar(select(func.count()).select_from(ImportSource)) == 0


def test_every_point_is_an_evaluation_and_the_last_a_final_one(engine, imported):
    imports.put_imported(engine, *imported())
    frame = imports.evaluations(engine, "pub")
    assert len(frame) == 23
    first = frame[frame["run_id"] == frame["run_id"].min()]
    assert first["env_frames"].tolist() == [3000, 6000]
    assert first["final"].tolist() == [False, True]
    assert first["episode_return"].tolist() == [0.25, 0.0]
    assert frame["length"].isna().all()
    assert not frame[frame["run_id"] == frame["run_id"].max()]["final"].any()


def test_a_study_that_was_trained_here_has_its_own_evaluations_only(engine, submitted):
    assert len(imports.evaluations(engine, "smoke")) == 0
    assert imports.sources(engine, "smoke") == ()
    assert imports.scores(engine, "smoke") is None


def test_the_views_know_imported_scores(engine, imported, path):
    imports.put_imported(engine, *imported())
    put_normalization(engine, "wang2016", [NormalizationRow("Pong", 0.0, 2.0)])
    connection = sqlite3.connect(path)
    query = "SELECT count(*), max(score) FROM v_scores WHERE table_id = 'wang2016'"
    assert connection.execute(query).fetchone() == (6, 5.0)
    connection.close()


def test_an_unfinished_curve_is_missing_at_the_end_and_there_earlier(engine, imported):
    imports.put_imported(engine, *imported())
    data = load(engine, "pub")
    with pytest.raises(StatisticsError, match="1 of 12 runs"):
        collect(data, Options())
    assert len(collect(data, Options(at=3000)).missing) == 0


def test_sources_are_kept_once_each(engine, imported):
    imports.put_imported(engine, *imported())
    imports.put_imported(engine, *imported("other"))
    assert imports.sources(engine, "other") == (SOURCE,)
    with pytest.raises(DatabaseError, match="no study 'none'"):
        imports.sources(engine, "none")


@pytest.fixture
def scores(engine, imported, path):
    """The same as scores of the table wang2016."""
    source = dataclasses.replace(SOURCE, normalization="wang2016")
    imports.put_imported(engine, *imported("scores", source=source))
    return load(engine, "scores")


def test_scores_never_become_returns(engine, scores, path):
    assert len(reading.evaluations(engine, "scores")) == 0
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM v_scores").fetchone() == (0,)
    connection.close()
    found = collect(scores, Options(partial=True))
    assert found.hns("base", "Pong").tolist() == [0.0, 6.0]
    with pytest.raises(StatisticsError, match="raw returns are not known"):
        found.returns("base", "Pong")


def test_scores_are_shown_under_their_own_table_only(scores):
    wrong = dataclasses.replace(
        scores, imported=dataclasses.replace(scores.imported, table="nature2015")
    )
    with pytest.raises(StatisticsError, match="of the normalisation table nature2015, which"):
        collect(wrong, Options(partial=True))
    assert collect(scores, Options(partial=True)).normalization.id == "wang2016"


def test_a_run_that_was_asked_for_is_not_taken_by_an_import(engine, imported, make_study):
    study, runs = make_study("trained")
    submit(engine, study, runs)
    other = RunRecord("e" * 64, runs[0].arm, runs[0].game, 99, "{}")
    new = dataclasses.replace(imported()[1][0], run=other)
    assert imports.put_imported(engine, imported()[0], [new]) == imports.Written(1, 0)
    assert reading.counts(engine, "trained")["queued"] == 12
