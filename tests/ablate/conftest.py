"""A small study, and the command line in an empty directory."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shutil import copyfile
from typing import ClassVar

import pytest
from hypothesis import settings
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from ablate import planner, worker
from ablate.assembly import assemble_study
from ablate.attempt import Train
from ablate.cli.main import app
from ablate.study import StudyFile, parse_study
from agents.config import AgentConfig, Budget
from agents.modification import Modification, Proof
from agents.parts import Parts
from results.database.engine import open_database

settings.register_profile("ablate", deadline=None)  # a busy machine is no failure
settings.load_profile("ablate")

STUDY = """
name = "mini"
question = "Does it run?"
designs = ["base", "full", "leave_one_out", "add_one_in"]
games = ["Pong", "Assault"]
seeds = 2
env_frames = 2_000
prefill_frames = 400
[protocol]
max_env_frames_per_episode = 400
evaluation_episodes = 1
final_evaluation_episodes = 1
evaluate_every = 1_000
[agent]
size = "micro"
env_frames_per_update = 64
[toggles.augmentation]
random_shift = { pad = 3 }
[toggles.ratio]
replay_ratio = { env_frames_per_update = 32 }
"""


def _edited(*changes: tuple[str, str]) -> str:
    """The small study with some of its text replaced; every change must find its text."""
    text = STUDY
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


Edited = Callable[..., str]
Parsed = Callable[..., StudyFile]


@pytest.fixture
def edited() -> Edited:
    """The text of the small study with some of it replaced."""
    return _edited


@pytest.fixture
def parsed() -> Parsed:
    """The small study, changed, as a file that was read."""

    def parse(*changes: tuple[str, str]) -> StudyFile:
        return parse_study(_edited(*changes), path="mini.toml", stem="mini")

    return parse


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """Writes the small study, changed, and returns its path."""

    def write(*changes: tuple[str, str], name: str = "mini") -> Path:
        path = tmp_path / f"{name}.toml"
        path.write_text(_edited(*changes))
        return path

    return write


@pytest.fixture
def ablate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `ablate` with these words in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ABLATE_DB", raising=False)

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, list(words))

    return run


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty results database, to be copied: making one takes a while."""
    path = tmp_path_factory.mktemp("database") / "ablate.sqlite"
    open_database(path, create=True).dispose()
    return path


@pytest.fixture
def engine(tmp_path: Path, empty_database: Path) -> Iterator[Engine]:
    """An empty results database, `ablate.sqlite` in the test's directory."""
    engine = open_database(copyfile(empty_database, tmp_path / "ablate.sqlite"))
    yield engine
    engine.dispose()


@pytest.fixture
def submitted(parsed: Parsed, engine: Engine) -> Engine:
    """Puts the small study with one seed and one game into the queue: four runs."""
    file = parsed(("seeds = 2", "seeds = 1"), ('["Pong", "Assault"]', '["Pong"]'))
    planner.submit(assemble_study(file), engine)
    return engine


@pytest.fixture
def work(submitted: Engine) -> Callable[..., list[dict[str, object]]]:
    """Works with a stand-in for training, and returns what the worker said."""

    def run(train: Train, stop: worker.Stop | None = None) -> list[dict[str, object]]:
        said: list[dict[str, object]] = []
        worker.work(
            submitted,
            study="mini",
            slot=0,
            train=train,
            send=lambda message: said.append(dict(message)),
            stop=stop or worker.Stop(os.getppid()),
        )
        return said

    return run


SIX = ("gamma", "model_lr", "actor_lr", "critic_lr", "kl_scale", "entropy_scale")


def _setter(setting: str, excluded: frozenset[str]) -> type[Modification]:
    """A modification that sets one value of the configuration."""

    class Setter(Modification):
        name: ClassVar[str] = f"set_{setting}"
        excludes: ClassVar[frozenset[str]] = excluded
        value: float

        @classmethod
        def null(cls, config: AgentConfig) -> None:
            """No value is the base's."""

        def first_action(self, config: AgentConfig, budget: Budget) -> float:
            return budget.prefill_frames

        def install(self, parts: Parts) -> Parts:
            return parts.with_settings(self.name, **{setting: self.value})

        def proof(self, config: AgentConfig) -> Proof:
            return Proof(f"{self.name}/value")

    return Setter


@pytest.fixture
def six_toggles(monkeypatch: pytest.MonkeyPatch) -> Callable[..., StudyFile]:
    """The small study with six toggles and these designs; some may exclude each other."""

    def parse(
        designs: str, *, excludes: Mapping[str, str] | None = None, more: str = ""
    ) -> StudyFile:
        refused = excludes if excludes is not None else {}
        registry = {
            f"set_{name}": _setter(
                name, frozenset({f"set_{refused[name]}"} if name in refused else ())
            )
            for name in SIX
        }
        monkeypatch.setattr("ablate.resolution.REGISTRY", registry)
        monkeypatch.setattr("ablate.assembly.REGISTRY", registry)
        head = _edited(('["base", "full", "leave_one_out", "add_one_in"]', designs))
        tables = [f"[toggles.{name}]\nset_{name} = {{ value = 0.5 }}\n" for name in SIX]
        text = head.split("[toggles.augmentation]")[0] + "".join(tables) + more
        return parse_study(text, path="mini.toml", stem="mini")

    return parse
