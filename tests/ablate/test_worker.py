import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import ablate
from ablate import planner, worker
from ablate.planner import assemble_study
from ablate.runspec import RunSpec
from agents.training.reports import Episode, EpisodeResult, Evaluation, Metrics, Progress
from results.database import queue, reading
from results.database.errors import DatabaseError

REPORTS = (
    Progress(env_frames=400, updates=0, phase="prefill"),
    Episode(env_frames=400, episode_return=-3.0, length=100, truncated=True),
    Metrics(env_frames=800, updates=5, values={"model_loss": 2.5}),
    Evaluation(2000, True, "argmax", (EpisodeResult(0, 12.0, 90, False),)),
    Progress(env_frames=2000, updates=9, phase="evaluate"),
)


class Never(worker.Stop):
    """Says nothing, or what it is told to say after so many questions."""

    def __init__(self, after: int | None = None) -> None:
        super().__init__(os.getppid())
        self.left = after

    def reason(self) -> str | None:
        if self.left is None:
            return None
        self.left -= 1
        return "the test says so" if self.left < 0 else None


@pytest.fixture
def submitted(parsed, engine):
    """Puts the small study with one seed and one game into the queue: four runs."""
    file = parsed(("seeds = 2", "seeds = 1"), ('["Pong", "Assault"]', '["Pong"]'))
    planner.submit(assemble_study(file), engine)
    return engine


@pytest.fixture
def work(submitted):
    """Works with a stand-in for training, and returns what the worker said."""

    def run(train, stop=None) -> list[dict[str, object]]:
        said: list[dict[str, object]] = []
        worker.work(
            submitted,
            study="mini",
            slot=0,
            train=train,
            send=lambda message: said.append(dict(message)),
            stop=stop or Never(),
        )
        return said

    return run


def finishing(spec, parts):
    yield from REPORTS


def test_a_worker_works_on_one_run_after_the_other(work, submitted) -> None:
    events = [message["event"] for message in work(finishing)]
    assert events == ["started", "progress", "progress", "finished"] * 4
    assert reading.counts(submitted, "mini")["finished"] == 4


def test_everything_that_a_run_reports_is_written(work, submitted) -> None:
    work(finishing)
    losses = reading.curve(submitted, "mini", "model_loss")
    assert losses[["env_frames", "value"]].to_numpy().tolist() == [[800, 2.5]] * 4
    returns = reading.curve(submitted, "mini", "episode_return")
    assert returns["value"].tolist() == [-3.0] * 4
    row = reading.evaluations(submitted, "mini").iloc[0]
    assert (row["episode_return"], row["length"], row["final"], row["policy"]) == (
        12.0,
        90,
        True,
        "argmax",
    )
    runs = reading.runs(submitted, "mini")
    assert (runs["env_frames"].tolist(), runs["updates"].tolist()) == ([2000] * 4, [9] * 4)


def test_the_agent_of_the_arm_is_trained(work) -> None:
    trained = {}

    def remembering(spec, parts):
        trained[parts.config.env_frames_per_update, len(parts.views)] = spec.game
        yield from REPORTS

    work(remembering)
    assert trained == {
        (64.0, 0): "Pong",
        (64.0, 1): "Pong",
        (32.0, 0): "Pong",
        (32.0, 1): "Pong",
    }


def test_a_run_that_raises_fails_and_the_worker_goes_on(work, submitted) -> None:
    def failing(spec, parts):
        yield REPORTS[0]
        if not parts.views:
            raise ValueError("too dark")

    said = work(failing)
    failed = [message for message in said if message["event"] == "failed"]
    assert [message["error"] for message in failed] == ["ValueError: too dark"] * 2
    counts = reading.counts(submitted, "mini")
    assert (counts["failed"], counts["finished"]) == (2, 2)
    errors = reading.runs(submitted, "mini")["error"].dropna()
    assert all("Traceback" in error and "too dark" in error for error in errors)


def test_a_worker_that_is_stopped_hands_its_run_back(work, submitted) -> None:
    said = work(finishing, Never(after=3))
    assert said[-1]["event"] == "released"
    assert reading.counts(submitted, "mini")["queued"] == 4


def test_a_stopped_run_closes_its_environments(work) -> None:
    closed, kept = [], []

    def holding(spec):
        try:
            yield from REPORTS
        finally:
            closed.append(spec.game)

    def train(spec, parts):
        kept.append(holding(spec))  # or it would be closed when nobody holds it any more
        return kept[-1]

    work(train, Never(after=2))
    assert closed == ["Pong"]


def test_a_worker_that_lost_its_run_goes_on_quietly(work, submitted) -> None:
    losing = iter([True])

    def slow(spec, parts):
        yield REPORTS[0]
        if next(losing, False):
            queue.release_dead(submitted, process_is_alive=lambda pid, started_at: False)
        yield from REPORTS

    events = [message["event"] for message in work(slow)]
    assert events.count("lost") == 1
    assert events.count("finished") == 4
    assert reading.counts(submitted, "mini")["finished"] == 4


def test_a_database_that_cannot_be_written_ends_the_worker(work) -> None:
    def filling(spec, parts):
        raise DatabaseError("the disk is full")
        yield

    with pytest.raises(DatabaseError, match="the disk is full"):
        work(filling)


def test_a_run_of_another_agent_version_fails_with_the_difference(
    work, submitted, monkeypatch
) -> None:
    monkeypatch.setattr(worker, "AGENT_VERSION", 99)
    said = work(finishing)
    failed = [message["error"] for message in said if message["event"] == "failed"]
    assert len(failed) == 4
    assert "agent_version: 1 then, 99 now" in failed[0]
    assert "submit the study under a new name" in failed[0]


def test_a_run_that_cannot_be_built_any_more_fails_with_the_reason(parsed) -> None:
    run = assemble_study(parsed()).runs[0]
    spec = RunSpec.from_json(run.specification)
    gone = replace(spec, modifications=(("no_such_thing", {}),))
    with pytest.raises(worker.OutdatedRun, match="no_such_thing"):
        worker.rebuild(gone, run.identity)


def test_every_run_is_rebuilt_as_it_was_submitted(parsed) -> None:
    for run in assemble_study(parsed()).runs:
        spec = RunSpec.from_json(run.specification)
        assert worker.rebuild(spec, run.identity).describe() is not None


def test_infinite_settings_survive_the_queue(parsed) -> None:
    run = assemble_study(parsed(("= 64", "= inf"), ("= 32 }", "= 64 }"))).runs[0]
    spec = RunSpec.from_json(run.specification)
    assert worker.rebuild(spec, run.identity).config.env_frames_per_update == float("inf")


def test_a_worker_notices_that_its_scheduler_is_gone() -> None:
    assert worker.Stop(os.getppid()).reason() is None
    assert worker.Stop(os.getppid() + 1).reason() == "the scheduler is gone"


def test_a_signal_stops_a_worker(monkeypatch) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        stop = worker.Stop(os.getppid())
        stop.listen()
        signal.raise_signal(signal.SIGTERM)
        assert "SIGTERM" in (stop.reason() or "")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_worker_without_a_database_says_so_and_exits_with_its_own_code(tmp_path) -> None:
    command = [sys.executable, "-P", "-m", "ablate.worker", "--db", str(tmp_path / "none.sqlite")]
    done = subprocess.run(
        [*command, "--slot", "0", "--parent", str(os.getpid())],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(ablate.__file__).parents[1])},
        timeout=60,
        check=False,
    )
    assert done.returncode == worker.EXIT_DATABASE
    assert '"event": "database_error"' in done.stdout
    assert "none.sqlite" in done.stdout
