"""Random `kill -9` over a study of real agents; then every number is compared, bit by bit.

    PYTHONPATH=. python tests/benchmarks/kills_of_real_runs.py [KILLS] [SECONDS] [SEED]

The study (six runs at size `micro`) is trained twice, by `ablate work` with two slots. One is left
alone. In the other the scheduler or a worker, whichever is hit, is killed at moments drawn
uniformly, SECONDS apart at most, until so many have died; runs save themselves every two seconds
of training. Prints which curves, evaluations and episodes differ, and exits with 1 if any does, or
if a run finished twice or not at all. Times and speeds are left out.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
from sqlalchemy import text

from ablate import planner
from ablate.assembly import assemble_study
from ablate.study import parse_study
from results.database import control, reading
from results.database.engine import open_database, read

STUDY = """
name = "micro"
question = "Does a kill change anything?"
designs = ["base", "full"]
games = ["Pong"]
seeds = 3
env_frames = 6_000
prefill_frames = 1_000
[protocol]
max_env_frames_per_episode = 800
evaluation_episodes = 2
final_evaluation_episodes = 3
evaluate_every = 2_000
evaluation_policy = "sample"
[agent]
size = "micro"
env_frames_per_update = 8
[toggles.augmentation]
random_shift = { pad = 3 }
[toggles.ratio]
replay_ratio = { env_frames_per_update = 4 }
"""

SCHEDULER = """
import sys
from ablate import health, processes, scheduler
from ablate.cli.main import app

command = processes.worker_command

def saving_often(**words):
    python, _, _, _, *options = command(**words)  # python -P -m ablate.worker ...
    code = (
        "import sys; from ablate import run_files, worker; run_files.EVERY_SECONDS = 2.0; "
        "sys.exit(worker.main())"
    )
    return [python, "-P", "-c", code, *options]

processes.worker_command = saving_often
health.MOST_DEATHS = health.MOST_BARREN = 10**9  # they are killed on purpose
scheduler.RECOVER_EVERY_S = 1.0
app(["work", "micro", "--slots", "2", "--db", sys.argv[1]])
"""
TIMED = ("seconds/", "env_frames_per_second", "updates_per_second")


def started(database: Path) -> "subprocess.Popen[bytes]":
    """A scheduler with two slots."""
    command = [sys.executable, "-c", SCHEDULER, str(database)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def processes_on(database: Path) -> list[int]:
    """The schedulers and workers of a database, orphans included."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(database) in process.cmdline() and process.pid != os.getpid():
                found.append(process.pid)
    return found


def numbers(database: Path) -> dict[str, object]:
    """Everything that the study recorded, but for times."""
    engine = open_database(database)
    found: dict[str, object] = {
        metric: reading.curve(engine, "micro", metric).to_dict("list")
        for metric in reading.metrics(engine, "micro")
        if not metric.startswith(TIMED)
    }
    found["evaluations"] = reading.evaluations(engine, "micro").to_dict("list")
    with read(engine) as session:
        found["finished"] = session.scalars(
            text("SELECT run_id FROM attempt WHERE state = 'finished' ORDER BY run_id")
        ).all()
        attempts, resumed = session.execute(
            text("SELECT count(*), sum(parent_id IS NOT NULL) FROM attempt")
        ).one()
    engine.dispose()
    print(f"{database.parent.name}: {attempts} attempts, {resumed} from a checkpoint")  # noqa: T201
    return found


def main(kills: int = 20, seconds: int = 30, seed: int = 0) -> int:
    """Trains twice, kills in one, and compares; returns 1 if anything differs."""
    rng = random.Random(seed)
    began = time.monotonic()
    study = assemble_study(parse_study(STUDY, path="micro.toml", stem="micro"))
    killed = {"scheduler": 0, "worker": 0}
    with tempfile.TemporaryDirectory() as folder:
        left_alone, hit = (Path(folder, place, "ablate.sqlite") for place in ("alone", "killed"))
        for path in (left_alone, hit):
            path.parent.mkdir()
            engine = open_database(path, create=True)
            planner.submit(study, engine)
            engine.dispose()
        alone = started(left_alone)
        engine = open_database(hit)
        process = started(hit)
        while sum(killed.values()) < kills:
            time.sleep(rng.uniform(0.0, seconds))
            if reading.counts(engine, "micro")["finished"] == len(study.runs):
                break
            if process.poll() is not None:
                process = started(hit)
            victims = processes_on(hit)
            if not victims:  # all of them are on their way out
                continue
            victim = rng.choice(victims)
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                killed["scheduler" if victim == process.pid else "worker"] += 1
            control.retry(engine, control.Selection(study="micro"))
        while reading.counts(engine, "micro")["finished"] < len(study.runs):
            control.retry(engine, control.Selection(study="micro"))
            if process.poll() is not None:
                process = started(hit)
            time.sleep(2.0)
        process.wait()
        alone.wait()
        engine.dispose()
        expected, found = numbers(left_alone), numbers(hit)
    names = expected.keys() | found.keys()
    wrong = sorted(
        name for name in names if repr(expected.get(name)) != repr(found.get(name))
    )  # repr: equal bits, and nan is itself
    print(  # noqa: T201
        f"{sum(killed.values())} killed ({killed['scheduler']} schedulers, {killed['worker']} "
        f"workers) over {len(study.runs)} runs in {time.monotonic() - began:.0f} s; "
        f"{len(names)} curves and tables compared: "
        + (f"different: {', '.join(wrong)}" if wrong else "all equal, bit by bit")
    )
    return int(bool(wrong) or found["finished"] != expected["finished"])


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
