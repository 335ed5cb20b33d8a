"""csv: a long table with a header, one row per point: method, game, seed, env_frames, score.

Columns may have other names (`columns` in the options). A column called env_frames or agent_steps
says its own unit; a file without one holds final scores, and where they were taken must be given.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from results.exchange import long_table
from results.exchange.errors import ExchangeError
from results.exchange.record import COLUMNS, Reading, ReadOptions, RecordSet

PATTERNS = ("*.csv",)


def read(path: Path, root: Path, options: ReadOptions) -> Reading:
    """The records of a file.

    Raises:
        ExchangeError: If the file is no such table, or what its x counts is not said.
    """
    header, *rows = table(path)
    return long_table.reading(path, header, rows, options)


def write(record_set: RecordSet, path: Path) -> dict[Path, bytes]:
    """The file that holds the records."""
    return {path: lines([COLUMNS, *long_table.rows(record_set)])}


def table(path: Path) -> list[list[str]]:
    """The header and the rows of a CSV file; empty lines at its end do not count.

    Raises:
        ExchangeError: If it cannot be read as CSV, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ExchangeError(f"{path} cannot be read as CSV: {error}.") from error
    while rows and not any(rows[-1]):
        rows.pop()
    if not rows:
        raise ExchangeError(f"{path} is empty.")
    rows[0] = [name.strip() for name in rows[0]]
    return rows


def lines(rows: Iterable[Sequence[object]]) -> bytes:
    """The rows as a CSV file; numbers keep every digit."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
