"""Records of every kind, drawn and by hand, and databases to import them into."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from sqlalchemy import Engine

from results.database.engine import open_database
from results.exchange.formats import FORMATS
from results.exchange.importing import Request, read_records, read_study, write_study
from results.exchange.record import ReadOptions, Record, RecordSet

GAMES = ("Pong", "Jamesbond", "MsPacman", "gymnasium:CartPole-v1")
METHODS = ("base", "base+a", "base+b", "base+a+b")


def _returns(width: int) -> st.SearchStrategy[float]:
    return st.floats(allow_nan=False, allow_infinity=False, width=width).map(
        lambda value: value + 0.0
    )


def _is_a_name(text: str) -> bool:
    return bool(text) and text.isprintable()


@st.composite
def _record_sets(
    draw: st.DrawFn, *, width: int = 64, points: int = 4, names: tuple[str, ...] | None = None
) -> RecordSet:
    """Records as an export finds them: method by method, in one order of games and seeds."""
    printable = st.text(
        st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=8
    ).map(str.strip)
    if names is None:
        names = tuple(
            draw(st.lists(printable.filter(_is_a_name), min_size=1, max_size=3, unique=True))
        )
    chosen = st.lists(st.sampled_from(GAMES), min_size=1, max_size=3, unique=True)
    records = []
    for method in names:
        for game in draw(chosen):
            for seed in draw(st.lists(st.integers(0, 50), min_size=1, max_size=3, unique=True)):
                xs = draw(
                    st.lists(st.integers(1, 10**9), min_size=1, max_size=points, unique=True)
                )
                ys = [draw(_returns(width)) for _ in xs]
                records.append(Record(method, game, seed, tuple(sorted(xs)), tuple(ys)))
    return RecordSet(tuple(records))


@pytest.fixture(scope="session")
def record_sets() -> Callable[..., st.SearchStrategy[RecordSet]]:
    """Strategy of sets of raw records: record_sets(width=32, points=1, names=(...))."""
    return _record_sets


@pytest.fixture(scope="session")
def read_back() -> Callable[..., RecordSet]:
    """Reads files as an import does: read_back("csv", path, env_frames=5)."""

    def read(name: str, *paths: Path, skip_bad: bool = False, **options: Any) -> RecordSet:
        return read_records(_request(name, *paths, skip_bad=skip_bad, **options))[0]

    return read


@pytest.fixture(scope="session")
def ask() -> Callable[..., Request]:
    """Makes a request: ask("csv", path, env_frames=5, protocol="p", arms=...)."""
    return _request


def _request(name: str, *paths: Path, **said: Any) -> Request:
    of_request = {"study", "protocol", "arms", "other_games", "skip_bad"}
    rest = {key: value for key, value in said.items() if key in of_request}
    options = {key: value for key, value in said.items() if key not in of_request}
    return Request(
        paths=paths,
        format=FORMATS[name],
        options=ReadOptions(**options),
        **{"study": "pub", "protocol": "p", **rest},
    )


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database to copy, which is faster than making one."""
    path = tmp_path_factory.mktemp("empty") / "ablate.sqlite"
    open_database(path, create=True).dispose()
    return path


@pytest.fixture
def engine(tmp_path: Path, empty_database: Path) -> Iterator[Engine]:
    engine = open_database(shutil.copy(empty_database, tmp_path / "ablate.sqlite"))
    yield engine
    engine.dispose()


@pytest.fixture
def put(engine: Engine) -> Callable[..., Any]:
    """Imports files into the database: put("csv", path, study="pub")."""

    def import_files(name: str, *paths: Path, **said: Any) -> Any:
        return write_study(engine, read_study(_request(name, *paths, **said)))

    return import_files


@pytest.fixture
def curves() -> RecordSet:
    """Two toggles on two games with two seeds: sixteen curves of three points."""
    return RecordSet(
        tuple(
            Record(
                method,
                game,
                seed,
                (100_000, 200_000, 400_000),
                (-20.0, -10.0 + seed, -5.0 + 5 * rank + seed),
            )
            for rank, method in enumerate(METHODS)
            for game in ("Pong", "Jamesbond")
            for seed in (0, 1)
        )
    )
