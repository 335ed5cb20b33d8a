"""The formats by name: which options each reads, where its files are, and what it can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from results.exchange import (
    dreamer_json,
    jsonfile,
    long_csv,
    parquet,
    rliable_json,
    tensorboard,
    wide_table,
)
from results.exchange.errors import ExchangeError
from results.exchange.record import Reading, ReadOptions, RecordSet

SQLITE = "sqlite"
"""Our own databases: merged as they are, not read as records."""

TABLES = ("latex", "markdown")
"""Written only, from the tables of `results.tables`."""


@dataclass(frozen=True)
class Format:
    """A foreign format.

    Attributes:
        name: What the command line calls it.
        read: The drafts in a file (or folder) that lies in or is the root.
        write: The files that hold records, by path.
        find: The files (or folders) of this format in a folder.
        options: The options that it reads.
        whole_curves: Whether it holds curves; otherwise only where they end.
        scores: Whether it can hold scores that were normalised already.
        means: Whether it can hold means over unknown numbers of runs.
    """

    name: str
    read: Callable[[Path, Path, ReadOptions], Reading]
    write: Callable[[RecordSet, Path], dict[Path, bytes]]
    find: Callable[[Path], list[Path]]
    options: frozenset[str]
    whole_curves: bool = True
    scores: bool = False
    means: bool = False


def _matching(*patterns: str) -> Callable[[Path], list[Path]]:
    def find(folder: Path) -> list[Path]:
        return sorted({file for pattern in patterns for file in folder.glob(pattern)})

    return find


FORMATS = {
    one.name: one
    for one in (
        Format(
            "dreamer-json",
            dreamer_json.read,
            dreamer_json.write,
            _matching(*jsonfile.PATTERNS),
            frozenset(),
        ),
        Format(
            "rliable-json",
            rliable_json.read,
            rliable_json.write,
            _matching(*jsonfile.PATTERNS),
            frozenset({"normalization"}),
            whole_curves=False,
            scores=True,
        ),
        Format(
            "csv",
            long_csv.read,
            long_csv.write,
            _matching(*long_csv.PATTERNS),
            frozenset({"columns", "x_unit"}),
        ),
        Format(
            "wide",
            wide_table.read,
            wide_table.write,
            _matching(*wide_table.PATTERNS),
            frozenset(),
            whole_curves=False,
            means=True,
        ),
        Format(
            "parquet",
            parquet.read,
            parquet.write,
            _matching(*parquet.PATTERNS),
            frozenset({"columns", "x_unit"}),
        ),
        Format(
            "tensorboard",
            tensorboard.read,
            tensorboard.write,
            tensorboard.folders,
            frozenset({"x_unit", "tag", "layout"}),
        ),
    )
}

IN = (*FORMATS, SQLITE)
OUT = (*FORMATS, SQLITE, *TABLES)


def format_named(name: str, choices: tuple[str, ...] = IN) -> Format:
    """The format of that name.

    Raises:
        ExchangeError: If there is none.
    """
    from results.statistics.errors import nearest

    if name not in FORMATS:
        raise ExchangeError(f"There is no format {name!r}: {nearest(name, choices)}")
    return FORMATS[name]
