"""Random `kill -9` over a running study of fast, made-up runs; then every point is counted.

    PYTHONPATH=. python tests/benchmarks/kills.py [KILLS] [RUNS] [SEED]

A scheduler and its two workers (a worker trains by itself: it has no child) are killed, whichever
is hit, at moments drawn uniformly, until so many have died; then the rest is worked off in peace.
Processes are forked with everything imported, so that they are hit while they work, and not while
they start. Each run writes the points 4, 8, ... of a curve whose values are known, saves itself
on the way and goes on from there. Prints what was lost (a run that is not finished, a point that
is missing or wrong) and what was doubled (a run with two finished attempts, a point that is there
twice), and exits with 1 if anything was.
"""

import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psutil
from claims import big_study
from rich.console import Console
from sqlalchemy import text

from ablate import health, processes, scheduler
from ablate.devices import Slots, ThisMachine
from ablate.placement import Placement
from ablate.progress import PlainDisplay
from results.database import control, queue, reading
from results.database.engine import open_database, read
from results.database.store import submit

POINTS = 40
SAVED_EVERY = 10
SECONDS_PER_POINT = 0.02
BETWEEN_KILLS = 1.0  # seconds at most; uniformly distributed
STARTING = 0.1  # share of the moments at which a scheduler without workers is killed
RETRIED_EVERY = 25  # kills: runs that were lost five times, or wait after a loss, are queued again

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["kills"])  # this file, with all that it imports


def work(database: str, messages: Connection) -> None:
    """A worker of made-up runs."""

    def say(event: str, claim: queue.Claim, **values: object) -> None:
        told = {"run_id": claim.run_id, "arm": claim.arm, "game": claim.game, "seed": claim.seed}
        line = json.dumps({"event": event, **told, "number": claim.number, **values})
        with suppress(BrokenPipeError):  # the scheduler was killed
            os.write(messages.fileno(), line.encode() + b"\n")

    sign_in(database)
    engine = open_database(database)
    worker = queue.register_worker(engine, device="cpu", slot=0)
    while (claim := queue.claim(engine, worker)) is not None:
        writer = queue.AttemptWriter(engine, claim)
        say("started", claim)
        done = 0
        if claim.checkpoints:
            writer.resume(claim.checkpoints[0])
            done = claim.checkpoints[0].env_frames // 4
        for point in range(done + 1, POINTS + 1):
            writer.log({"loss": claim.run_id + 1 / point}, 4 * point)
            if point % SAVED_EVERY == 0:
                name = f"{claim.run_id}-{point}"
                writer.checkpoint(4 * point, name, hashlib.sha256(name.encode()).hexdigest(), 1)
            time.sleep(SECONDS_PER_POINT)
        writer.finish(1.0)
        say("finished", claim, seconds=1.0)


class Forked:
    """A worker for the scheduler: what it uses of `subprocess.Popen`, without a new Python."""

    def __init__(self, command: list[str], **_: Any) -> None:
        mine, its = FORKS.Pipe(duplex=False)
        self._process = FORKS.Process(target=work, args=(command[0], its))
        self._process.start()
        its.close()
        self.pid = self._process.pid
        self.stdout = os.fdopen(os.dup(mine.fileno()), "rb")

    def poll(self) -> int | None:
        """How it ended."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        assert self.pid is not None
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def wait(self) -> None:
        """Waits until it has ended."""
        self._process.join()


def schedule(database: str) -> None:
    """A scheduler of made-up workers."""
    forkserver._forkserver.ensure_running = lambda: None  # type: ignore[attr-defined]  # it runs
    processes.worker_command = lambda **_: [database]
    processes.subprocess.Popen = Forked  # type: ignore[misc, assignment]
    health.MOST_DEATHS = health.MOST_BARREN = 10**9  # they are killed on purpose
    scheduler.RECOVER_EVERY_S = 1.0
    sign_in(database)
    engine = open_database(database)
    placement = Placement(engine, ThisMachine(), Slots({"cpu": 2}, 2))
    with open(os.devnull, "w") as nowhere:
        display = PlainDisplay(Console(file=nowhere))
        scheduler.Scheduler(
            engine, database=database, study=None, placement=placement, display=display
        ).run()


def sign_in(database: str) -> None:
    """Lets this process be found, and killed."""
    Path(database).with_name(f"{os.getpid()}.pid").touch()


def there(database: Path) -> list[int]:
    """The schedulers and workers that live."""
    found = []
    for path in database.parent.glob("*.pid"):
        with suppress(psutil.Error):
            process = psutil.Process(int(path.stem))
            if process.status() != psutil.STATUS_ZOMBIE and "forkserver" in " ".join(
                process.cmdline()
            ):
                found.append(process.pid)
                continue
        path.unlink()
    return found


def started(database: Path) -> ForkServerProcess:
    """A new scheduler."""
    process = FORKS.Process(target=schedule, args=(str(database),))
    process.start()
    return process


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


def main(kills: int = 500, runs: int = 300, seed: int = 0) -> int:
    """Kills, waits, and prints the verdict; returns 1 if anything was lost or doubled."""
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # for the preload
    rng = random.Random(seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "ablate.sqlite"
        engine = open_database(database, create=True)
        submit(engine, *big_study(runs))
        everything = control.Selection(study="big")
        killed = {"scheduler": 0, "worker": 0}
        process = started(database)
        while sum(killed.values()) < kills:
            time.sleep(rng.uniform(0.0, BETWEEN_KILLS))
            if not process.is_alive():
                if reading.counts(engine, "big")["finished"] == runs:
                    break
                process = started(database)
            living = there(database)
            if not living or (living == [process.pid] and rng.random() > STARTING):
                continue
            victim = rng.choice(living)
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                killed["scheduler" if victim == process.pid else "worker"] += 1
            if sum(killed.values()) % RETRIED_EVERY == 0:
                control.retry(engine, everything)
        left = reading.counts(engine, "big")["finished"]
        while reading.counts(engine, "big")["finished"] < runs:
            control.retry(engine, everything)
            if not process.is_alive():
                process = started(database)
            time.sleep(1.0)
        process.join()
        engine.dispose()
        problems = verdict(database, runs)
    print(  # noqa: T201
        f"{sum(killed.values())} killed ({killed['scheduler']} schedulers, {killed['worker']} "
        f"workers) over {runs} runs, of which {left} had finished by the last, in "
        f"{time.monotonic() - began:.0f} s: "
        f"{'; '.join(problems) or 'nothing lost, nothing doubled, every run finished'}"
    )
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
