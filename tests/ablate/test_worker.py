import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from shutil import copyfile, copytree
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal
from sqlalchemy import text

import ablate
from ablate import planner, worker
from ablate.assembly import assemble_study
from ablate.disk import RESERVE_BYTES, DiskGuard
from ablate.processes import worker_environment
from agents.training.reports import Progress
from results.database import queue, reading
from results.database.engine import open_database, read, write
from results.database.errors import DatabaseError

REPORTS = (
    Progress(env_frames=400, updates=0, phase="prefill"),
    Progress(env_frames=2000, updates=9, phase="evaluate"),
)


def finishing(spec, parts, checkpoints, resume):
    yield from REPORTS


def test_a_worker_works_on_one_run_after_the_other(work, submitted) -> None:
    events = [message["event"] for message in work(finishing)]
    assert events == ["started", "progress", "progress", "finished"] * 4
    assert reading.counts(submitted, "mini")["finished"] == 4


def test_a_worker_begins_no_other_run_once_the_disk_is_full(submitted) -> None:
    free = iter([RESERVE_BYTES, RESERVE_BYTES - 1])
    worker.work(
        submitted,
        study="mini",
        slot=0,
        train=finishing,
        send=lambda message: None,
        stop=worker.Stop(os.getppid()),
        disk=DiskGuard(Path(), free_bytes=lambda path: next(free)),
    )
    counts = reading.counts(submitted, "mini")
    assert (counts["finished"], counts["queued"]) == (1, 3)


def test_the_agent_of_the_arm_is_trained(work) -> None:
    trained = {}

    def remembering(spec, parts, checkpoints, resume):
        trained[parts.config.env_frames_per_update, len(parts.views)] = spec.game
        yield from REPORTS

    work(remembering)
    assert trained == {
        (64.0, 0): "Pong",
        (64.0, 1): "Pong",
        (32.0, 0): "Pong",
        (32.0, 1): "Pong",
    }


def test_a_worker_that_lost_its_run_goes_on_quietly(work, submitted) -> None:
    losing = iter([True])

    def slow(spec, parts, checkpoints, resume):
        yield REPORTS[0]
        if next(losing, False):
            queue.release_dead(submitted, process_is_alive=lambda pid, started_at: False)
        yield from REPORTS

    events = [message["event"] for message in work(slow)]
    assert events.count("lost") == 1
    assert events.count("finished") == 4
    assert reading.counts(submitted, "mini")["finished"] == 4


def test_a_database_that_cannot_be_written_ends_the_worker(work) -> None:
    def filling(spec, parts, checkpoints, resume):
        raise DatabaseError("the disk is full")
        yield

    with pytest.raises(DatabaseError, match="the disk is full"):
        work(filling)


@pytest.mark.parametrize(("condition", "state"), [("GONE", "released"), ("BROKEN", "failed")])
def test_a_worker_whose_gpu_fails_ends_before_it_fails_more_runs(
    submitted, condition, state
) -> None:
    """A run on a GPU that was removed is not to blame; one that broke its process is."""

    def failing(spec, parts, checkpoints, resume):
        yield REPORTS[0]
        raise RuntimeError("CUDA error: unspecified launch failure")

    def work() -> None:
        worker.work(
            submitted,
            study="mini",
            slot=0,
            device="cuda:1",
            train=failing,
            send=lambda message: None,
            stop=worker.Stop(os.getppid()),
            condition=lambda device: worker.Condition[condition],
        )

    with pytest.raises(worker.DeviceGone, match="cuda:1"):
        work()
    with read(submitted) as session:
        ends = session.execute(text("SELECT state, error FROM attempt")).all()
        losses = session.scalars(text("SELECT sum(losses) FROM run")).one()
    assert [end.state for end in ends] == [state]
    assert ("its device is gone" in ends[0].error) == (condition == "GONE")
    assert losses == (state == "failed")
    assert reading.counts(submitted, "mini")["queued"] == 4


def test_runs_are_trained_on_the_device_and_in_the_room_that_a_worker_was_given(
    submitted, monkeypatch
) -> None:
    trained_on, said, waits = [], [], []
    monkeypatch.setattr(worker, "wait_for_locks", lambda engine, asked: waits.append(asked()))
    with write(submitted) as session:
        session.execute(text("UPDATE run SET memory_bytes = 9 + id"))

    def train(parts, *, device, **how):
        trained_on.append(device)
        yield from REPORTS

    monkeypatch.setattr(worker.loop, "train", train)
    monkeypatch.setattr(worker, "set_up_device", lambda device: f"what torch calls {device}")
    monkeypatch.setattr(worker, "set_up_process", lambda: None)
    monkeypatch.setattr(worker, "_sender", lambda: said.append)
    monkeypatch.setattr(worker.Stop, "listen", lambda self: None)
    options = {"--db": submitted.url, "--device": "cpu", "--slot": 0, "--parent": os.getppid()}
    options["--room"] = 12
    assert worker.main([str(word) for option in options.items() for word in option]) == 0
    assert trained_on == ["what torch calls cpu"] * 3
    assert (waits, said[0]) == ([True], {"event": "database_locked"})


def test_a_device_is_well_while_something_can_be_computed_on_it(monkeypatch) -> None:
    class Driver:
        def __init__(self, *names: str) -> None:
            self.names = names

        def look(self):
            return tuple(SimpleNamespace(name=name) for name in self.names)

    assert worker.condition_of("cpu", Driver()) is worker.Condition.WELL
    real = torch.ones
    monkeypatch.setattr(torch, "ones", lambda size, device: real(size))
    assert worker.condition_of("cuda:1", Driver()) is worker.Condition.WELL

    def lost(size, device):
        raise RuntimeError("CUDA error: device not ready")

    monkeypatch.setattr(torch, "ones", lost)
    there, gone = Driver("cuda:0", "cuda:1"), Driver("cuda:0")
    assert worker.condition_of("cuda:1", there) is worker.Condition.BROKEN
    assert worker.condition_of("cuda:1", gone) is worker.Condition.GONE


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


KILLED = """
import os, signal, sys
from ablate import worker
from agents.training.process import set_up_process
from agents.training.reports import Metrics
from results.database.engine import open_database, read

def train(spec, parts, checkpoints, resume):
    for report in worker.train(spec, parts, checkpoints, resume):
        yield report
        if isinstance(report, Metrics) and 500 <= report.env_frames <= 700:
            checkpoints.request()
        if report.env_frames >= 900:
            os.kill(os.getpid(), signal.SIGKILL)

set_up_process()
stop = worker.Stop(os.getppid())
engine = open_database(sys.argv[1])
worker.work(engine, study=None, slot=0, train=train, send=lambda message: None, stop=stop)
"""

UNDISTURBED = """
import json, os, sys
from ablate import worker
from agents.training.process import set_up_process
from results.database import queue
from results.database.engine import open_database, read

set_up_process()
for path in sys.argv[1:]:
    engine, stop = open_database(path), worker.Stop(os.getppid())
    queue.release_dead(engine)
    send = lambda message: print(json.dumps({"path": path, **message}))
    worker.work(engine, study=None, slot=0, train=worker.train, send=send, stop=stop)
"""


def python(code: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Runs code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        capture_output=True,
        text=True,
        env=worker_environment(os.environ),
        timeout=300,
        check=False,
    )


def results_of(path: Path) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The evaluations of the only run, and its curves, but for those of time and speed."""
    engine = open_database(path)
    timed = ("seconds/", "env_frames_per_second", "updates_per_second")
    curves = {
        metric: reading.curve(engine, "mini", metric)
        for metric in reading.metrics(engine, "mini")
        if not metric.startswith(timed)
    }
    evaluations = reading.evaluations(engine, "mini")
    engine.dispose()
    return evaluations, curves


def test_a_run_whose_worker_was_killed_ends_as_if_nothing_had_happened(
    parsed, tmp_path, empty_database
) -> None:
    file = parsed(
        ('"base", "full", "leave_one_out", "add_one_in"', '"full"'),
        ('["Pong", "Assault"]', '["Pong"]'),
        ("seeds = 2", "seeds = 1"),
        ("env_frames = 2_000", "env_frames = 1_200"),
        ("evaluate_every = 1_000", "evaluate_every = 800"),
        ("evaluation_episodes = 1", 'evaluation_episodes = 2\nevaluation_policy = "sample"'),
    )
    places = ("undisturbed", "killed", "cut_short", "foreign")
    paths = {place: tmp_path / place / "ablate.sqlite" for place in places}
    for place in ("undisturbed", "killed"):
        paths[place].parent.mkdir()
        engine = open_database(copyfile(empty_database, paths[place]))
        planner.submit(assemble_study(file), engine)
        engine.dispose()
    assert python(KILLED, str(paths["killed"])).returncode == -signal.SIGKILL
    for place in places[2:]:
        copytree(paths["killed"].parent, paths[place].parent)
    newest = {
        place: max(path.parent.rglob("*.pt"), key=lambda file: int(file.name.split("-")[0]))
        for place, path in paths.items()
        if place != "undisturbed"
    }
    newest["cut_short"].write_bytes(newest["cut_short"].read_bytes()[:1000])
    for path in newest["foreign"].parent.iterdir():
        path.write_bytes(b"a checkpoint of something else")

    done = python(UNDISTURBED, *map(str, paths.values()))
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    resumed = {Path(m["path"]).parent.name: m for m in said if m["event"] == "resumed"}
    assert set(resumed) == {"killed", "cut_short"}
    last = resumed["killed"]["env_frames"]
    assert 500 < resumed["cut_short"]["env_frames"] < last < 800  # where it had evaluated
    assert sum(m["event"] == "checkpoint_refused" for m in said) == 3
    assert sum(m["event"] == "finished" for m in said) == 4
    evaluations, curves = results_of(paths["undisturbed"])
    assert len(evaluations) == 3
    assert len(curves) > 20
    for place in places[1:]:
        again, curves_again = results_of(paths[place])
        assert_frame_equal(again, evaluations, check_exact=True)
        assert curves_again.keys() == curves.keys()
        for metric, curve in curves.items():
            assert_frame_equal(curves_again[metric], curve, check_exact=True)
        assert not list(paths[place].parent.rglob("*.pt"))
