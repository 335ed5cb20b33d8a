"""wide: a CSV table of per-game means as papers print it: games down, methods across.

Over how many runs the means are is not known, so there is no interval: each number is one record.
An empty field is a method that was not run on that game. At how many env frames the means were
taken must be given.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from results.exchange.errors import ExchangeError
from results.exchange.long_csv import PATTERNS, lines, table
from results.exchange.record import Draft, Reading, ReadOptions, RecordSet, games, methods

__all__ = ["PATTERNS", "read", "write"]


def read(path: Path, root: Path, options: ReadOptions) -> Reading:
    """The records of a file.

    Raises:
        ExchangeError: If the file is no such table, or where the means were taken is not said.
    """
    header, *rows = table(path)
    if options.env_frames is None:
        raise ExchangeError(
            f"{path}: a wide table does not say at how many env frames its means were taken. Say "
            "it with --env-frames (Atari-100k: 400000)."
        )
    if len(header) < 2:
        raise ExchangeError(
            f"{path} has one column only: the first of a wide table holds the games, and every "
            "other one a method."
        )
    return Reading(_drafts(header, rows, options.env_frames), means=True)


def write(record_set: RecordSet, path: Path) -> dict[Path, bytes]:
    """The file that holds the means over the runs of each method on each game."""
    cells: dict[tuple[str, str], list[float]] = {}
    for record in record_set.records:
        cells.setdefault((record.game, record.method), []).append(record.values[-1])
    across = methods(record_set.records)
    return {
        path: lines(
            [
                ("game", *across),
                *(
                    (game, *(_mean(cells.get((game, method), [])) for method in across))
                    for game in games(record_set.records)
                ),
            ]
        )
    }


def _mean(values: list[float]) -> float | str:
    return sum(values) / len(values) if values else ""


def _drafts(header: list[str], rows: list[list[str]], env_frames: int) -> Iterator[Draft]:
    for line, row in enumerate(rows, start=2):
        if len(row) > len(header):
            yield Draft(f"line {line}", problem="it has more fields than the header")
            continue
        for method, field in zip(header[1:], row[1:], strict=False):
            if field.strip():
                place = f"line {line}, column {method}"
                yield Draft(place, method, row[0], 0, [env_frames], [field])
