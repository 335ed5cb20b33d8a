"""Real workers: the smallest agent on real frames."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from sqlalchemy import select

import ablate as package
from ablate.study_files import find_study
from results.database import reading
from results.database.columns import AttemptState
from results.database.engine import open_database
from results.database.processes import process_started_at
from results.database.queue import LEASE_SECONDS
from results.database.schema import Attempt

TWO_RUNS = (
    ('"base", "full", "leave_one_out", "add_one_in"', '"base", "full"'),
    ('["Pong", "Assault"]', '["Pong"]'),
    ("seeds = 2", "seeds = 1"),
    ("[toggles.augmentation]\nrandom_shift = { pad = 3 }\n", ""),
)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts `ablate` as a process of its own, of which nothing outlives the test."""
    home = str(Path(package.__file__).parents[1])
    with ExitStack() as at_the_end:

        def start(*words: str) -> "subprocess.Popen[str]":
            process = at_the_end.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "ablate", *words],
                    cwd=tmp_path,
                    env={**os.environ, "PYTHONPATH": home},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    start_new_session=True,
                )
            )
            at_the_end.callback(kill_all, process.pid)
            return process

        yield start


def kill_all(group: int) -> None:
    """Kills a program and whatever it has started."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def wait_for_a_run_in_hand(database: Path) -> int:
    """The process id of a worker that has begun to train."""
    engine = open_database(database)
    while True:
        runs = reading.runs(engine, "mini")
        begun = runs[(runs["state"] == "running") & (runs["env_frames"] > 0)]
        if len(begun):
            engine.dispose()
            return int(begun["pid"].iloc[0])
        time.sleep(0.1)


def wait_for_end(pid: int) -> None:
    while process_started_at(pid) is not None:
        time.sleep(0.05)


def test_a_killed_study_is_finished_by_running_it_again(
    ablate, program, write_study, tmp_path
) -> None:
    path = write_study(*TWO_RUNS, ("env_frames = 2_000", "env_frames = 3_000"))
    assert ablate("submit", str(path)).exit_code == 0
    database = tmp_path / "ablate.sqlite"
    first = program("work", "mini", "--slots", "1")
    worker = wait_for_a_run_in_hand(database)
    os.kill(first.pid, signal.SIGSTOP)  # so that it does not start another worker
    os.kill(worker, signal.SIGKILL)
    first.kill()
    first.communicate()

    again = program("run", str(path), "--slots", "2")
    said, _ = again.communicate()
    assert again.returncode == 0, said
    status = json.loads(ablate("status", "mini", "--json").stdout)
    assert status["counts"]["finished"] == status["runs"] == 2
    assert sorted(run["attempts"] for run in status["run_list"]) == [1, 2]
    assert all(run["env_frames"] == 3000 for run in status["run_list"])
    assert (tmp_path / "mini_report.html").exists()

    engine = open_database(database)
    with engine.connect() as connection:
        (lost,) = connection.execute(select(Attempt).where(Attempt.state == AttemptState.LOST))
        again_of_it = select(Attempt.started_at).where(
            Attempt.run_id == lost.run_id, Attempt.number == 2
        )
        taken_up = connection.scalars(again_of_it).one()
    waited = taken_up - lost.heartbeat_at
    assert waited.total_seconds() < LEASE_SECONDS  # as for a worker of another machine
    finals = reading.evaluations(engine, "mini").query("final")
    assert sorted(finals["run_id"]) == [1, 2]
    assert set(reading.curve(engine, "mini", "episode_return")["run_id"]) == {1, 2}
    assert len(reading.metrics(engine, "mini")) > 4
    engine.dispose()

    third = ablate("run", str(path))
    assert third.exit_code == 0
    assert "Nothing to compute: all runs of mini are finished (2)." in third.stdout


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_that_goes_on_is_one_that_works(
    ablate, program, write_study, tmp_path, sent, code
) -> None:
    path = write_study(*TWO_RUNS, ("env_frames = 2_000", "env_frames = 400_000"))
    ablate("submit", str(path), "--db", "c.sqlite")
    first = program("run", path.name, "--db", "c.sqlite", "--slots", "1")
    wait_for_a_run_in_hand(tmp_path / "c.sqlite")
    first.send_signal(sent)
    said, _ = first.communicate()
    assert first.returncode == code
    assert "Stopped. Go on with: ablate run mini.toml --db c.sqlite\n" in said


def test_a_report_without_a_place_is_refused_before_the_work(
    ablate, write_study, tmp_path
) -> None:
    result = ablate("run", str(write_study()), "-o", "no/such/x.html")
    assert result.exit_code == 2
    assert "there is no folder no/such" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mini.toml"]


def test_a_worker_whose_scheduler_was_killed_hands_its_run_back(
    ablate, program, write_study, tmp_path
) -> None:
    path = write_study(*TWO_RUNS, ("env_frames = 2_000", "env_frames = 400_000"))
    ablate("submit", str(path))
    first = program("work", "mini", "--slots", "1")
    worker = wait_for_a_run_in_hand(tmp_path / "ablate.sqlite")
    first.kill()
    first.communicate()
    wait_for_end(worker)
    status = json.loads(ablate("status", "mini", "--json").stdout)
    assert status["counts"]["queued"] == 2


def test_failed_runs_give_exit_code_1_and_can_be_tried_again(
    ablate, write_study, tmp_path
) -> None:
    # No episode of Pong ends within 400 env frames, and none is cut.
    path = write_study(
        *TWO_RUNS,
        ("env_frames = 2_000", "env_frames = 400"),
        ("prefill_frames = 400", "prefill_frames = 40"),
        ("max_env_frames_per_episode = 400", "max_env_frames_per_episode = 40_000"),
    )
    result = ablate("run", str(path), "--slots", "2")
    assert result.exit_code == 1
    assert result.stdout.count("base · Pong · seed 0: failed: BudgetTooSmallError: ") == 1
    assert "no complete training episode" in result.stdout
    assert "failed: " not in result.stderr  # each was told when it failed
    assert "There is no report: no run of mini is finished." in result.stdout
    assert "ablate queue retry mini && ablate work mini\n" in result.stderr
    later = ablate("work", "--db", "ablate.sqlite")
    assert later.exit_code == 1
    assert "failed: base · Pong · seed 0: BudgetTooSmallError: " in later.stderr
    assert "Try them again: ablate queue retry mini && ablate work mini\n" in later.stderr
    again = ablate("submit", str(path), "--retry-failed", "--json")
    assert json.loads(again.stdout)["retried"] == 2


def test_paused_runs_are_told_with_what_lets_them_go_on(ablate, write_study, tmp_path) -> None:
    path = write_study(*TWO_RUNS)
    assert ablate("submit", str(path)).exit_code == 0
    ablate("queue", "pause", "mini")
    result = ablate("run", str(path))
    assert result.exit_code == 1
    assert "2 left (2 of them paused)" in result.stdout
    assert "There is no report: no run of mini is finished." in result.stdout
    assert result.stderr == "Let paused runs go on: ablate queue resume mini\n"
    assert not (tmp_path / "mini_report.html").exists()
    whole = ablate("work")
    assert (whole.exit_code, whole.stderr) == (
        0, "Let paused runs go on: ablate queue resume --all\n",
    )  # fmt: skip


def test_the_shipped_smoke_study_is_what_the_readme_says() -> None:
    study = find_study("smoke").study
    assert study.games == ("Pong", "CrazyClimber", "Assault")
    assert len(study.seeds) == 2
    assert study.protocol["max_env_frames_per_episode"] == 4 * 1500
    assert study.protocol["final_evaluation_episodes"] == 1


def test_working_on_nothing_says_so(ablate, engine) -> None:
    result = ablate("work")
    assert result.exit_code == 0
    assert "0 left" in result.stdout


@pytest.mark.parametrize("slots", ["0", "-1", "many"])
def test_slots_must_be_a_number(ablate, slots: str) -> None:
    assert ablate("work", "--slots", slots).exit_code == 2


def test_code_that_changed_since_the_runs_were_queued_is_warned_of(
    ablate, write_study, tmp_path
) -> None:
    path = write_study()
    assert ablate("submit", str(path)).exit_code == 0
    then, now = Path(package.__file__).resolve().parents[1], tmp_path / "now"
    for room in ("ablate", "agents", "results"):
        copytree(then / room, now / room, ignore=ignore_patterns("reference", "__pycache__"))
    work = [sys.executable, "-P", "-m", "ablate", "work", "mini", "--drain"]  # it begins nothing
    same, changed = "", "# a comment is enough\n"
    for edit, warned in ((same, False), (changed, True)):
        with (now / "ablate" / "grid.py").open("a") as file:
            file.write(edit)
        done = subprocess.run(
            work,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(now)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "16 left" in done.stdout, done.stderr
        assert (
            "16 unfinished runs came into the queue with other source files" in done.stderr
        ) == warned
