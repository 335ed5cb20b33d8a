"""Claims per second: many processes, one queue of 10,000 runs.

    python tests/benchmarks/claims.py [PROCESSES] [RUNS]

Prints how many claims a second all processes made together, through the models; how many runs
were handed out twice; how many times the database was busy; and what a claim costs where other
programs share the cores, waiting for the lock included.
"""

import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results.database.engine import open_database
from results.database.records import ArmRecord, RunRecord, StudyRecord
from results.database.store import submit

CLAIM = """
import sys, time
from results.database.engine import open_database
from results.database.queue import claim, register_worker

engine = open_database(sys.argv[1])
workers = [register_worker(engine, device="cpu", slot=0) for _ in range(int(sys.argv[2]))]
print("ready", flush=True)
sys.stdin.readline()
began = time.process_time()
for worker in workers:
    taken = claim(engine, worker)
    if taken is None:
        break
    print(taken.run_id)  # noqa: T201
print("cpu", time.process_time() - began)  # noqa: T201
"""


def sha256(words: str) -> str:
    """A made-up identity."""
    return hashlib.sha256(words.encode()).hexdigest()


def big_study(runs: int) -> tuple[StudyRecord, list[RunRecord]]:
    """A study of 20 arms and 50 games, with as many seeds as it takes."""
    arms = tuple(ArmRecord(f"arm{i}", sha256(f"arm {i}"), "{}", {}) for i in range(20))
    games = tuple(f"G{'abcdefghij'[i // 10]}{'abcdefghij'[i % 10]}" for i in range(50))
    seeds = tuple(range(-(-runs // 1000)))
    study = StudyRecord(
        name="big",
        question="Does the queue hold?",
        source="",
        contents_sha256=sha256("big"),
        protocol="atari100k",
        env_frames=400_000,
        prefill_frames=20_000,
        designs=("base",),
        games=games,
        seeds=seeds,
        toggles=(),
        arms=arms,
        evaluation="none",
    )
    records = [
        RunRecord(sha256(f"{arm.name} {game} {seed}"), arm.name, game, seed, '{"x":1}' * 500)
        for seed in seeds
        for arm in arms
        for game in games
    ]
    return study, records[:runs]


def main(processes: int = 16, runs: int = 10_000) -> int:
    """Measures, prints, and returns 1 if a run was handed out twice or anything went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ablate.sqlite"
        engine = open_database(path, create=True)
        submit(engine, *big_study(runs))
        engine.dispose()
        each = -(-runs // processes) + 1
        children = [
            subprocess.Popen(
                [sys.executable, "-c", CLAIM, str(path), str(each)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(processes)
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        began = time.perf_counter()
        outputs = [child.communicate("go\n") for child in children]
        seconds = time.perf_counter() - began
    lines = [line for output, _ in outputs for line in output.splitlines()]
    claimed = [line for line in lines if not line.startswith("cpu")]
    cpu = sum(float(line.split()[1]) for line in lines if line.startswith("cpu"))
    errors = [error for _, error in outputs if error]
    busy = sum("locked" in error for error in errors)
    doubled = len(claimed) - len(set(claimed))
    print(f"{len(claimed):,} claims by {processes} processes in {seconds:.1f} s: ", end="")  # noqa: T201
    print(f"{len(claimed) / seconds:,.0f} a second, ", end="")  # noqa: T201
    print(f"{doubled} doubled, {busy} busy errors; {1e3 * cpu / len(claimed):.2f} ms of CPU each")  # noqa: T201
    if errors:
        print(errors[0][-2000:])  # noqa: T201
    return int(bool(doubled or errors or len(claimed) != runs))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
