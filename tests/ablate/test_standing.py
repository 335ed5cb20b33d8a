import pytest

from ablate import planner
from ablate.assembly import assemble_study
from ablate.progress import RunInHand
from ablate.standing import Standing, last_line
from ablate.study import parse_study
from results.database import queue
from results.database.errors import DatabaseError


@pytest.fixture
def submitted(parsed, engine):
    planner.submit(assemble_study(parsed(("seeds = 2", "seeds = 1"))), engine)
    return engine


def end_next(engine, *, seconds: float | None = None, error: str = "") -> None:
    worker = queue.register_worker(engine, device="cpu", slot=0)
    claim = queue.claim(engine, worker)
    assert claim is not None
    writer = queue.AttemptWriter(engine, claim)
    if seconds is None:
        writer.fail(error)
    else:
        writer.finish(seconds)


def test_runs_are_counted_by_state(submitted) -> None:
    end_next(submitted, seconds=3.0)
    end_next(submitted, error="Traceback\nValueError: no\n")
    standing = Standing.read(submitted, "mini")
    assert standing.counts == {
        "queued": 6,
        "running": 0,
        "finished": 1,
        "failed": 1,
        "cancelled": 0,
    }
    assert [(f.run, f.error) for f in standing.failures] == [
        ("base · Assault · seed 0", "ValueError: no")
    ]


def test_runs_that_studies_share_count_once(submitted, edited) -> None:
    text = edited(('"mini"', '"other"'), ("seeds = 2", "seeds = [0, 5]"))
    planner.submit(assemble_study(parse_study(text, path="other.toml", stem="other")), submitted)
    assert Standing.read(submitted, None).counts["queued"] == 16


def test_a_database_without_studies_has_no_runs(engine) -> None:
    standing = Standing.read(engine, None)
    assert sum(standing.counts.values()) == 0
    assert standing.failures == ()
    assert standing.seconds_left([], 2) is None


def test_an_unknown_study_is_an_error(engine) -> None:
    with pytest.raises(DatabaseError, match="no study 'mini'"):
        Standing.read(engine, "mini")


def test_the_rest_takes_what_finished_runs_took(submitted) -> None:
    assert Standing.read(submitted, "mini").seconds_left([], 2) is None
    end_next(submitted, seconds=10.0)  # base, Pong
    standing = Standing.read(submitted, "mini")
    assert standing.seconds_left([], 1) == 70.0
    half = RunInHand(run_id=1, label="", arm="full", game="Pong", seat="", fraction=0.5)
    assert standing.seconds_left([half], 1) == 75.0
    assert standing.seconds_left([half], 1000) == 5.0


def test_who_holds_running_runs_is_told(submitted) -> None:
    worker = queue.register_worker(submitted, device="cpu", slot=0)
    queue.claim(submitted, worker)
    assert "process " in Standing.read(submitted, "mini").holders


def test_the_last_line_of_a_traceback_says_what_went_wrong() -> None:
    assert last_line("Traceback\n  File\nValueError: no\n\n") == "ValueError: no"
    assert last_line("") == ""
    assert last_line("Traceback\nagents.training.TooSmallError: a.b") == "TooSmallError: a.b"
    assert last_line("Traceback\nagents.training.TooSmallError") == "TooSmallError"
    assert last_line("in agents.training: no") == "in agents.training: no"
