"""How fast and how small the record is: 1,000 runs x 10 metrics x 2,000 points, 20 million in all.

    pytest tests/benchmarks/test_record.py

prints the numbers, each with its ratio to a plain table of one row per point (run, metric, env
frames, value; primary key of the first three, without rowid), which is filled with a tenth of the
runs in the same process; its times and its size are taken times ten. One metric is a return of
double precision, nine are of single precision, as the agent records losses. How large nine of
double precision would be is printed besides. It needs about 250 MB of disk.
"""

import hashlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from results.database import curves, imports, merging, reading
from results.database.engine import open_database, write
from results.database.records import (
    ArmRecord,
    ImportedRunRecord,
    ImportSourceRecord,
    RunRecord,
    StudyRecord,
)
from results.database.schema import Attempt
from results.statistics.aggregates import ALL
from results.statistics.game_sets import ATARI_100K
from results.statistics.options import Options
from results.statistics.study_data import load
from results.tables import build, render

ARMS, GAMES, SEEDS = 10, 20, 5
METRICS, POINTS, TENTH = 10, 2_000, 10
SIZE = 0.2  # of the plain table
X = np.arange(1, POINTS + 1) * 200


def study() -> StudyRecord:
    arms = tuple(ArmRecord(f"arm{i}", sha(f"arm{i}"), "{}", {}) for i in range(ARMS))
    return StudyRecord(
        name="large",
        question="",
        source="",
        contents_sha256="0" * 64,
        protocol="atari100k",
        env_frames=400_000,
        prefill_frames=0,
        designs=(),
        games=ATARI_100K[:GAMES],
        seeds=tuple(range(SEEDS)),
        toggles=(),
        arms=arms,
        evaluation="imported",
    )


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def walks(rng: np.random.Generator, count: int) -> np.ndarray:
    """[count, POINTS], curves as noisy as losses and returns are."""
    return np.cumsum(rng.normal(size=(count, POINTS)), axis=1) + rng.normal(size=(count, POINTS))


def runs_of(large: StudyRecord) -> list[ImportedRunRecord]:
    source = ImportSourceRecord("made", "0" * 64, "made", "{}", "atari100k", None, False)
    rng = np.random.default_rng(0)
    places = [(a.name, g, s) for a in large.arms for g in large.games for s in large.seeds]
    return [
        ImportedRunRecord(
            RunRecord(sha(f"{arm} {game} {seed}"), arm, game, seed, "{}"),
            source,
            tuple(X.tolist()),
            tuple(values.tolist()),
            int(X[-1]),
        )
        for (arm, game, seed), values in zip(places, walks(rng, len(places)), strict=True)
    ]


def fill(
    path: Path, large: StudyRecord, runs: list[ImportedRunRecord], others: np.ndarray
) -> None:
    """Writes the runs with one metric, and nine more of each into the same attempts."""
    engine = open_database(path, create=True)
    imports.put_imported(engine, large, runs)
    with write(engine) as session:
        for attempt in session.query(Attempt.id).all():
            points = {
                f"metric{i}": curves.Points.of(X, values + values.dtype.type(attempt.id))
                for i, values in enumerate(others)
            }
            curves.append(session, attempt.id, points)
    engine.dispose()


def fill_plain(path: Path, runs: int, values: np.ndarray) -> None:
    """Writes one row per point."""
    plain = sqlite3.connect(path)
    plain.execute("PRAGMA journal_mode=WAL")
    plain.execute(
        "CREATE TABLE point (run INTEGER, metric INTEGER, env_frames INTEGER, value REAL, "
        "PRIMARY KEY (run, metric, env_frames)) WITHOUT ROWID"
    )
    x = X.tolist()
    with plain:
        for run in range(runs):
            for metric, own in enumerate(values + run):
                rows = zip([run] * POINTS, [metric] * POINTS, x, own.tolist(), strict=True)
                plain.executemany("INSERT INTO point VALUES (?, ?, ?, ?)", rows)
    plain.close()


@dataclass(frozen=True)
class Took:
    """Seconds by the clock and of the processor: they differ where the machine has other work."""

    wall: float
    cpu: float

    def __mul__(self, factor: float) -> "Took":
        return Took(self.wall * factor, self.cpu * factor)


def timed(work: Callable[[], object]) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def read_plain(path: Path) -> pd.DataFrame:
    with sqlite3.connect(path) as plain:
        return pd.read_sql("SELECT run, env_frames, value FROM point WHERE metric = 3", plain)


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """The large study in a database, the plain table beside it, and the times it all took."""
    folder = tmp_path_factory.mktemp("large")
    large = study()
    runs = runs_of(large)
    others = walks(np.random.default_rng(1), METRICS - 1).astype(np.float32)
    written = timed(lambda: fill(folder / "one.sqlite", large, runs, others))
    values = walks(np.random.default_rng(2), METRICS)
    plain = timed(lambda: fill_plain(folder / "plain.sqlite", len(runs) // TENTH, values)) * TENTH
    return folder, len(runs), written, plain


@pytest.fixture
def say(capsys):
    """Prints a line past pytest's capture."""

    def say(words: str) -> None:
        with capsys.disabled():
            print(f"\n{words}", end="")  # noqa: T201  a benchmark prints

    return say


def compared(what: str, mine: Took, goal: str, plain: Took | None = None) -> str:
    words = f"{what}: {mine.wall:.2f} s (CPU {mine.cpu:.2f} s; goal: {goal})"
    if plain is None:
        return words
    return (
        f"{words}; one row per point: {plain.wall:.2f} s (CPU {plain.cpu:.2f} s); "
        f"ratio of CPU {mine.cpu / plain.cpu:.3f}"
    )


def test_import(record, benchmark, say) -> None:
    folder, _, written, plain = record
    target = folder / "two.sqlite"

    def merge() -> None:
        engine = open_database(target, create=True)
        merging.merge(open_database(folder / "one.sqlite"), engine, None)
        engine.dispose()

    merged = benchmark.pedantic(lambda: timed(merge), rounds=1)
    say(compared("import from arrays", written, "at most 60", plain))
    say(compared("import of a database", merged, "at most 60", plain))
    here, there = (open_database(folder / name) for name in ("two.sqlite", "one.sqlite"))
    assert merging.merge(there, here, None).new == 0
    for metric in ("evaluation_return", "metric3"):
        assert reading.curve(here, "large", metric).equals(reading.curve(there, "large", metric))


def test_one_metric_of_all_runs_into_pandas(record, benchmark, say) -> None:
    folder, runs, _, _ = record
    engine = open_database(folder / "one.sqlite")
    assert len(reading.curve(engine, "large", "metric3")) == runs * POINTS
    mine = benchmark.pedantic(
        lambda: timed(lambda: reading.curve(engine, "large", "metric3")), rounds=3
    )
    plain = timed(lambda: read_plain(folder / "plain.sqlite")) * TENTH
    say(compared("one metric of all runs into pandas", mine, "at most 2", plain))


def test_aggregates_table(record, benchmark, say, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path))
    folder, *_ = record

    def table() -> str:
        data = load(open_database(folder / "one.sqlite"), "large")
        return render(build("aggregates", data, Options()), "csv")

    first = benchmark.pedantic(lambda: timed(table), rounds=1)
    again = timed(table)
    assert table().count("\n") == 1 + ARMS * len(ALL)
    say(compared("aggregates table", first, "at most 20"))
    say(compared("aggregates table, again", again, "no bootstrap"))


def test_size(record, say) -> None:
    folder, runs, _, _ = record
    mine, plain = size_of(folder / "one.sqlite"), TENTH * size_of(folder / "plain.sqlite")
    points = runs * METRICS * POINTS
    say(
        f"size: {mine / 2**20:.0f} MiB, {mine / points:.2f} bytes per point; one row "
        f"per point: {plain / 2**20:.0f} MiB; ratio {mine / plain:.3f} (goal: at most {SIZE})"
    )
    assert mine <= SIZE * plain


def test_size_of_noise_in_double_precision(record, say, tmp_path) -> None:
    """What no code can make small: 52 bits of noise in every value."""
    folder, runs, _, _ = record
    others = walks(np.random.default_rng(1), METRICS - 1)
    large = study()
    fill(tmp_path / "noise.sqlite", large, runs_of(large)[: runs // TENTH], others)
    mine, plain = size_of(tmp_path / "noise.sqlite"), size_of(folder / "plain.sqlite")
    say(f"size with noise in double precision: ratio {mine / plain:.3f}")
    assert mine < plain
