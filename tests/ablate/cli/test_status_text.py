import json
import os
import socket

import pytest
from sqlalchemy import update

from ablate import planner
from ablate.assembly import assemble_study
from ablate.cli import status_text
from results.database import queue, reading
from results.database.engine import write
from results.database.records import CheckpointRow
from results.database.schema import Attempt, Worker


@pytest.fixture
def resumed(parsed, engine) -> None:
    """The first run of the small study is under way, from a checkpoint of its first attempt."""
    planner.submit(assemble_study(parsed()), engine)
    worker = queue.register_worker(engine, device="cpu", slot=0)
    first = queue.claim(engine, worker)
    assert first is not None
    writer = queue.AttemptWriter(engine, first)
    writer.checkpoint(1200, "x/1200.pt", "0" * 64, 10)
    writer.release("stopped")
    second = queue.claim(engine, worker)
    assert second is not None
    [row] = second.checkpoints
    assert isinstance(row, CheckpointRow)
    queue.AttemptWriter(engine, second).resume(row)


def test_a_resumed_run_tells_where_it_went_on(resumed, ablate, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = ablate("status", "mini").stdout
    assert "Run 1 is at attempt 2, resumed at 1,200 env frames from attempt 1." in shown
    run, other = json.loads(ablate("status", "mini", "--json").stdout)["run_list"][:2]
    assert (run["parent_attempt"], run["resumed_env_frames"]) == (1, 1200)
    assert (other["parent_attempt"], other["resumed_env_frames"]) == (None, None)


def test_a_run_from_the_start_tells_its_attempt(resumed, ablate, engine, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with write(engine) as session:
        session.execute(update(Attempt).values(parent_id=None, resumed_env_frames=None))
    shown = ablate("status", "mini").stdout
    assert "base · Pong · seed 0" in shown
    assert "resumed" not in shown


def test_many_games_share_a_column(parsed, engine, ablate, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(status_text, "MOST_COLUMNS", 1)
    planner.submit(assemble_study(parsed()), engine)
    study = assemble_study(parsed()).study
    shown = ablate("status", "mini").stdout
    assert f"all {len(study.games)} games" in shown
    [base] = [line.split() for line in shown.splitlines() if line.split()[:1] == ["base"]]
    assert base == ["base", f"0/{len(study.games) * len(study.seeds)}"]


def test_status_is_readable_in_eighty_columns(resumed, ablate, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = ablate("status").stdout.splitlines()
    assert lines == ["mini: 16 runs (15 queued, 1 running)", "    Does it run?"]
    for line in ablate("status", "mini").stdout.splitlines():
        assert len(line) <= 80
    shown = ablate("status", "mini").stdout
    assert "1 worker; no run is finished, so nobody knows how long." in shown
    assert "Spent, lost attempts included" in shown


def test_the_rest_is_estimated_for_the_workers_that_are_there(resumed, ablate, engine) -> None:
    worker = queue.register_worker(engine, device="cuda:0", slot=0)
    claim = queue.claim(engine, worker)
    assert claim is not None
    queue.AttemptWriter(engine, claim).finish(600.0)
    assert (
        "1 worker; about 2 h 24 min left, as runs took so far." in ablate("status", "mini").stdout
    )  # 14 queued and 0.4 of the one under way, which was resumed at 1,200 of 2,000
    assert "(14 queued, 1 running, 1 finished); about 2 h 24 min left" in ablate("status").stdout
    told = json.loads(ablate("status", "mini", "--json").stdout)
    assert told["seconds_left"] == 600.0 * 14.4


@pytest.fixture
def killed(resumed, engine):
    """The first run again, whose worker was killed; nobody has taken it back yet."""
    with write(engine) as session:
        session.execute(update(Worker).values(process_started_at=Worker.process_started_at - 9))


def test_a_worker_that_was_killed_is_not_counted_and_the_next_step_is_told(
    killed, ablate, engine, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = ablate("status", "mini").stdout
    assert "Nobody works on it now." in shown
    assert "ago, gone" in shown
    told = f"1 run without a worker: the process {os.getpid()} on {socket.gethostname()} ended "
    assert f"{told}without a word. `ablate work` takes it up." in shown
    assert f"    {told}" in ablate("status").stdout
    first, second = json.loads(ablate("status", "mini", "--json").stdout)["run_list"][:2]
    assert first["worker_gone"].endswith("ended without a word")
    assert second["worker_gone"] is None
    assert reading.counts(engine, "mini")["running"] == 1  # looking changes nothing
    queue.release_dead(engine)
    assert "without a worker" not in ablate("status", "mini").stdout


def test_runs_are_listed_with_their_ids_unless_there_are_many(
    resumed, ablate, monkeypatch
) -> None:
    lines = [line.split() for line in ablate("status", "mini").stdout.splitlines()]
    assert [line[0] for line in lines if line[-1:] == ["queued"]] == [
        str(run_id) for run_id in range(2, 17)
    ]
    monkeypatch.setattr(status_text, "MOST_LISTED", 15)
    assert "The ids of all runs: `ablate status mini --json`." in ablate("status", "mini").stdout
