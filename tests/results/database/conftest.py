"""A small study, a database in a fresh directory, and a clock that stands still."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from results.database.engine import open_database
from results.database.processes import ProcessRecord
from results.database.queue import register_worker
from results.database.records import ArmRecord, RunRecord, StudyRecord, ToggleRecord
from results.database.store import submit


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class StandingClock:
    """Tells the same time until it is moved."""

    now: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ablate.sqlite"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database to copy, which is faster than making one."""
    path = tmp_path_factory.mktemp("empty") / "ablate.sqlite"
    open_database(path, create=True).dispose()
    return path


@pytest.fixture
def engine(path: Path, empty_database: Path) -> Iterator[Engine]:
    shutil.copy(empty_database, path)
    engine = open_database(path)
    yield engine
    engine.dispose()


MakeStudy = Callable[..., tuple[StudyRecord, list[RunRecord]]]


@pytest.fixture
def make_study() -> MakeStudy:
    """Makes a study with a toggle and a factor, and its runs, breadth first."""

    def make(
        name: str = "smoke",
        *,
        games: tuple[str, ...] = ("Pong", "CrazyClimber"),
        seeds: tuple[int, ...] = (0, 1),
        agent_version: int = 1,
    ) -> tuple[StudyRecord, list[RunRecord]]:
        toggles = (
            ToggleRecord(name="ratio", levels=("on",), in_full="on"),
            ToggleRecord(name="algorithm", levels=("sac", "ppo"), in_full="ppo"),
        )
        switched: dict[str, dict[str, str]] = {
            "base": {},
            "base+ratio": {"ratio": "on"},
            "full": {"ratio": "on", "algorithm": "ppo"},
        }
        arms = tuple(
            ArmRecord(
                name=arm,
                identity=sha256(f"{arm} version {agent_version}"),
                agent=f'{{"arm":"{arm}"}}',
                toggles=on,
            )
            for arm, on in switched.items()
        )
        study = StudyRecord(
            name=name,
            question="What does it bring?",
            source=f'name = "{name}"',
            contents_sha256=sha256(f"{name} {games} {seeds}"),
            protocol="atari100k",
            env_frames=6000,
            prefill_frames=1000,
            designs=("full", "base"),
            games=games,
            seeds=seeds,
            toggles=toggles,
            arms=arms,
            evaluation="1 episode, argmax, at most 6,000 env frames",
        )
        runs = [
            RunRecord(
                identity=sha256(f"{arm.identity} {game} {seed}"),
                arm=arm.name,
                game=game,
                seed=seed,
                specification=f'{{"game":"{game}","seed":{seed}}}',
            )
            for seed in seeds
            for arm in arms
            for game in games
        ]
        return study, runs

    return make


@pytest.fixture
def submitted(engine: Engine, make_study: MakeStudy) -> StudyRecord:
    """A study of twelve runs, all queued."""
    study, runs = make_study()
    submit(engine, study, runs)
    return study


HERE = "this machine"


@pytest.fixture
def add_worker(engine: Engine, clock: StandingClock) -> Callable[..., int]:
    """Registers a worker whose process the test makes up."""

    def add(pid: int = 100, *, machine: str = HERE, started_at: float = 5.0) -> int:
        process = ProcessRecord(host="box", machine=machine, pid=pid, started_at=started_at)
        return register_worker(engine, device="cpu", slot=0, process=process, clock=clock)

    return add
