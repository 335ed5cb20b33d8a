"""Random `kill -9` over a running study of fast, made-up runs; then every point is counted.

    python tests/benchmarks/kills.py [KILLS] [RUNS] [SEED]

Workers and schedulers are killed at moments drawn uniformly, until so many have died; then the
rest is worked off in peace. Each run writes the points 4, 8, ... of a curve whose values are
known, saves itself on the way and goes on from there. Prints what was lost (a run that is not
finished, a point that is missing or wrong) and what was doubled (a run with two finished
attempts, a point that is there twice), and exits with 1 if anything was.
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
from claims import big_study
from sqlalchemy import text

from results.database import reading
from results.database.engine import open_database, read
from results.database.store import submit

POINTS = 40
SAVED_EVERY = 10
STARTING = 0.1  # share of the moments at which a scheduler without workers is killed

WORKER = f"""
import hashlib, json, sys, time
from results.database import queue
from results.database.engine import open_database

def say(event, claim, **values):
    values = {{"run_id": claim.run_id, "arm": claim.arm, "game": claim.game, "seed": claim.seed,
              "number": claim.number, **values}}
    print(json.dumps({{"event": event, **values}}), flush=True)

engine = open_database(sys.argv[1])
worker = queue.register_worker(engine, device="cpu", slot=0)
while (claim := queue.claim(engine, worker)) is not None:
    writer = queue.AttemptWriter(engine, claim)
    say("started", claim)
    done = 0
    if claim.checkpoints:
        writer.resume(claim.checkpoints[0])
        done = claim.checkpoints[0].env_frames // 4
    for point in range(done + 1, {POINTS} + 1):
        writer.log({{"loss": claim.run_id + 1 / point}}, 4 * point)
        if point % {SAVED_EVERY} == 0:
            name = f"{{claim.run_id}}-{{point}}"
            writer.checkpoint(4 * point, name, hashlib.sha256(name.encode()).hexdigest(), 1)
        time.sleep(0.005)
    writer.finish(1.0)
    say("finished", claim, seconds=1.0)
"""

SCHEDULER = """
import sys
from rich.console import Console
from ablate import processes, scheduler
from ablate.devices import Slots, ThisMachine
from ablate.placement import Placement
from ablate.progress import PlainDisplay
from results.database import transitions
from results.database.engine import open_database

database, worker = sys.argv[1:]
processes.worker_command = lambda **_: [sys.executable, worker, database]
scheduler.MOST_CRASHES = scheduler.MOST_BARREN = 10**9  # they are killed on purpose
scheduler.RECOVER_EVERY_S = 1.0
engine = open_database(database)
placement = Placement(engine, ThisMachine(), Slots({"cpu": 2}, 2))
display = PlainDisplay(Console(file=open("/dev/null", "w")))
scheduler.Scheduler(
    engine, database=database, study=None, placement=placement, display=display
).run()
"""


def verdict(database: Path, runs: int) -> list[str]:
    """What is wrong with the record; nothing where all is as it should be."""
    engine = open_database(database)
    with read(engine) as session:
        finished = session.scalars(text("SELECT count(*) FROM run WHERE state = 'finished'")).one()
        doubled = session.scalars(
            text(
                "SELECT count(*) FROM (SELECT run_id FROM attempt WHERE state = 'finished' "
                "GROUP BY run_id HAVING count(*) > 1)"
            )
        ).one()
    curves = reading.curve(engine, "big", "loss")
    wrong = 0
    for run_id, curve in curves.groupby("run_id"):
        expected = [(4 * point, int(str(run_id)) + 1 / point) for point in range(1, POINTS + 1)]
        found = list(zip(curve["env_frames"], curve["value"], strict=True))
        wrong += len(set(expected) ^ set(found)) + abs(len(found) - len(expected))
    engine.dispose()
    problems = []
    if finished != runs:
        problems.append(f"{runs - finished} runs are not finished")
    if doubled:
        problems.append(f"{doubled} runs were finished twice")
    if wrong or curves["run_id"].nunique() != runs:
        problems.append(f"{wrong} points are lost, doubled or wrong")
    return problems


def victims(scheduler: "subprocess.Popen[bytes]") -> list[int]:
    """The scheduler and its workers."""
    with suppress(psutil.Error):
        children = psutil.Process(scheduler.pid).children()
        return [scheduler.pid, *(child.pid for child in children)]
    return []


def main(kills: int = 500, runs: int = 300, seed: int = 0) -> int:
    """Kills, waits, and prints the verdict; returns 1 if anything was lost or doubled."""
    rng = random.Random(seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        database, worker = Path(folder) / "ablate.sqlite", Path(folder) / "worker.py"
        worker.write_text(WORKER)
        engine = open_database(database, create=True)
        submit(engine, *big_study(runs))
        command = [sys.executable, "-c", SCHEDULER, str(database), str(worker)]
        killed = {"scheduler": 0, "worker": 0}
        scheduler = subprocess.Popen(command)
        while sum(killed.values()) < kills:
            time.sleep(rng.uniform(0.0, 1.5))
            if scheduler.poll() is not None:
                left = reading.counts(engine, "big")
                if left["finished"] == runs:
                    break
                scheduler = subprocess.Popen(command)
                continue
            there = victims(scheduler)
            if not there or (len(there) == 1 and rng.random() > STARTING):
                continue
            pid = rng.choice(there)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed["scheduler" if pid == scheduler.pid else "worker"] += 1
        while reading.counts(engine, "big")["finished"] < runs:
            with engine.begin() as connection:
                connection.exec_driver_sql("PRAGMA query_only=OFF")
                connection.exec_driver_sql("UPDATE run SET not_before = NULL")
                connection.exec_driver_sql(
                    "UPDATE run SET state = 'queued', losses = 0 WHERE state = 'failed'"
                )
            if scheduler.poll() is not None:
                scheduler = subprocess.Popen(command)
            time.sleep(1.0)
        scheduler.wait()
        engine.dispose()
        problems = verdict(database, runs)
    print(  # noqa: T201
        f"{sum(killed.values())} killed ({killed['scheduler']} schedulers, {killed['worker']} "
        f"workers) over {runs} runs in {time.monotonic() - began:.0f} s: "
        f"{'; '.join(problems) or 'nothing lost, nothing doubled, every run finished'}"
    )
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
