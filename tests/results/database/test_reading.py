from __future__ import annotations

import pytest

from results.database.attempts import AttemptWriter
from results.database.engine import DatabaseError
from results.database.queue import claim
from results.database.reading import (
    counts,
    curve,
    evaluations,
    load_study,
    metrics,
    runs,
    studies,
)
from results.database.records import EpisodeRow
from results.database.store import submit

RUN = {"run_id": "int64", "arm": "object", "game": "object", "seed": "int64"}
COLUMNS = {
    runs: RUN
    | {
        "state": "object",
        "attempts": "int64",
        "attempt": "Int64",
        "parent_attempt": "Int64",
        "resumed_env_frames": "Int64",
        "env_frames": "int64",
        "updates": "int64",
        "seconds": "float64",
        "error": "object",
        "host": "object",
        "pid": "Int64",
        "device": "object",
        "planned_env_frames": "int64",
        "priority": "int64",
        "paused": "bool",
        "not_before": "datetime64[ns, UTC]",
        "started_at": "datetime64[ns, UTC]",
        "heartbeat_at": "datetime64[ns, UTC]",
    },
    evaluations: RUN
    | {
        "env_frames": "int64",
        "final": "bool",
        "episode": "int64",
        "episode_return": "float64",
        "length": "Int64",
        "policy": "object",
        "truncated": "bool",
    },
    lambda engine, study: curve(engine, study, "loss"): RUN
    | {"env_frames": "int64", "value": "float64"},
}


def types(frame):
    return {name: str(kind) for name, kind in frame.dtypes.items()}


@pytest.fixture
def worked(engine, submitted, add_worker, clock):
    """Twelve runs: one finished, one failed, one released, one running."""
    finished = AttemptWriter(engine, claim(engine, add_worker(1), clock=clock), clock=clock)
    finished.log({"loss": 0.5}, env_frames=100)
    finished.evaluation(6000, [EpisodeRow(0, -20.0, 900, False)], "argmax", final=True)
    finished.progress(6000, 100)
    finished.finish(20.0)
    AttemptWriter(engine, claim(engine, add_worker(2), clock=clock), clock=clock).fail("boom")
    released = AttemptWriter(engine, claim(engine, add_worker(3), clock=clock), clock=clock)
    kept = AttemptWriter(engine, claim(engine, add_worker(4), clock=clock), clock=clock)
    released.progress(50, 5)
    clock.move(40)
    kept.progress(240, 7)
    kept.log({"loss": 0.25}, env_frames=240)
    kept.flush(force=True)
    released.release("asked to stop")
    return submitted


@pytest.mark.parametrize("reader", COLUMNS, ids=["runs", "evaluations", "curve"])
def test_a_frame_has_its_columns_and_types(reader, engine, worked):
    frame = reader(engine, "smoke")
    assert len(frame) > 0
    assert types(frame) == COLUMNS[reader]


@pytest.mark.parametrize("reader", COLUMNS, ids=["runs", "evaluations", "curve"])
def test_an_empty_frame_has_its_columns_and_types(reader, engine, make_study):
    study, _ = make_study()
    submit(engine, study, [])
    frame = reader(engine, "smoke")
    assert frame.empty
    assert types(frame) == COLUMNS[reader]


def test_runs_tell_how_each_stands(engine, worked, clock):
    frame = runs(engine, "smoke")
    assert frame["arm"].tolist()[:4] == ["base", "base", "base+ratio", "base+ratio"]
    assert frame["game"].tolist()[:2] == ["Pong", "CrazyClimber"]
    finished, failed, released, running, waiting = (frame.iloc[i] for i in range(5))
    assert (finished["state"], finished["seconds"], finished["updates"]) == ("finished", 20.0, 100)
    assert (failed["state"], failed["error"], failed["pid"]) == ("failed", "boom", 2)
    assert (released["state"], released["attempts"]) == ("queued", 1)
    assert (released["env_frames"], released["error"]) == (0, "asked to stop")
    assert released["host"] is None
    assert (running["state"], running["env_frames"], running["host"]) == ("running", 240, "box")
    assert running["seconds"] == pytest.approx(40.0, abs=0.001)
    assert running["heartbeat_at"].to_pydatetime() == clock()
    assert (waiting["state"], waiting["attempts"], waiting["error"]) == ("queued", 0, None)


def test_counts_have_all_five_states(engine, worked):
    assert counts(engine, "smoke") == {
        "queued": 9,
        "running": 1,
        "finished": 1,
        "failed": 1,
        "cancelled": 0,
    }


def test_studies_are_listed_with_their_counts(engine, worked, make_study):
    assert list(studies(engine)["name"]) == ["smoke"]
    submit(engine, make_study("empty")[0], [])
    listed = studies(engine).set_index("name")
    assert listed.loc["smoke", ["runs", "queued", "failed"]].tolist() == [12, 9, 1]
    assert listed.loc["empty", ["runs", "queued", "failed"]].tolist() == [0, 0, 0]
    assert str(listed["created_at"].dtype) == "datetime64[ns, UTC]"


def test_no_study_is_an_empty_list(engine):
    assert studies(engine).empty
    assert "cancelled" in studies(engine).columns


def test_a_study_is_read_back_as_it_was_submitted(engine, make_study):
    study, records = make_study(games=("Pong", "Assault"), seeds=(3, 1))
    submit(engine, study, records)
    assert load_study(engine, "smoke") == study


def test_a_run_shared_by_two_studies_appears_in_both_with_its_data(engine, worked, make_study):
    submit(engine, *make_study("second", seeds=(0,)))
    assert counts(engine, "second")["finished"] == 1
    assert curve(engine, "second", "loss")["value"].tolist() == [0.5, 0.25]
    assert len(evaluations(engine, "second")) == 1


def test_metrics_are_those_of_the_shown_attempts(engine, worked):
    assert metrics(engine, "smoke") == ["loss"]


READERS = [
    load_study,
    counts,
    runs,
    evaluations,
    metrics,
    lambda engine, study: curve(engine, study, "loss"),
]


@pytest.mark.parametrize("reader", READERS)
def test_an_unknown_study_is_named_with_its_nearest(reader, engine, submitted):
    with pytest.raises(DatabaseError, match=r"no study 'smokey' in .*nearest there: smoke"):
        reader(engine, "smokey")
