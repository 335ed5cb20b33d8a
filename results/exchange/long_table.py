"""Long tables: one row per point of a run; what csv and parquet files share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from results.exchange.errors import ExchangeError
from results.exchange.record import COLUMNS, X_UNITS, Draft, Reading, ReadOptions, RecordSet

NEEDED = ("method", "game", "seed", "score")


def reading(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], options: ReadOptions
) -> Reading:
    """The records of the rows of a table, those of a run put together.

    Args:
        path: The file, for messages.
        header: Names of the columns.
        rows: The fields; the first stands in line 2 of the file.
        options: Names of columns, the unit of x, or where scores without an x were taken.

    Raises:
        ExchangeError: If a column is missing or there twice, or what x means is not said.
    """
    names = {column: options.columns.get(column, column) for column in COLUMNS}
    place = {name: index for index, name in enumerate(header)}
    if "env_frames" not in (*options.columns, *place):
        names["env_frames"] = next((unit for unit in X_UNITS if unit in place), "env_frames")
    lacking = [names[column] for column in NEEDED if names[column] not in place]
    if lacking:
        raise ExchangeError(
            f"{path} has no column {', '.join(lacking)}; its columns are {', '.join(header)}. "
            "Say which one it is with --column, for example --column score=return."
        )
    has_x = names["env_frames"] in place
    if not has_x and options.env_frames is None:
        raise ExchangeError(
            f"{path} has no column {names['env_frames']}: say at how many env frames the scores "
            "were taken with --env-frames, or which column says it with --column env_frames=NAME."
        )
    twice = [name for name in names.values() if list(header).count(name) > 1]
    if twice:
        raise ExchangeError(
            f"{path} has several columns {twice[0]}: rename all but the one that is meant."
        )
    if len(set(names.values())) < len(names):
        raise ExchangeError(f"{path}: --column gives one column two meanings.")
    columns = {column: place[name] for column, name in names.items() if name in place}
    return Reading(
        _drafts(rows, columns, options.env_frames),
        frames_per_x=_frames_per_x(path, names["env_frames"], options) if has_x else 1,
    )


def rows(record_set: RecordSet) -> Iterator[tuple[str, str, int, int, float]]:
    """The rows of a table that holds the records, in the order of COLUMNS."""
    for record in record_set.records:
        for env_frames, value in zip(record.env_frames, record.values, strict=True):
            yield record.method, record.game, record.seed, env_frames, value


def _frames_per_x(path: Path, name: str, options: ReadOptions) -> int:
    """Env frames in a unit of the column of this name."""
    if name in X_UNITS:
        if options.x_unit not in (None, name):
            raise ExchangeError(
                f"{path}: the column is called {name}, and --x-unit says {options.x_unit}. Leave "
                "that out, or name another column with --column env_frames=NAME."
            )
        return X_UNITS[name]
    if options.x_unit is None:
        raise ExchangeError(
            f"{path}: nothing says what the column {name} counts. Say it with --x-unit: "
            f"{' or '.join(X_UNITS)} (an agent step is 4 env frames)."
        )
    return X_UNITS[options.x_unit]


def _drafts(
    table: Iterable[Sequence[object]], columns: Mapping[str, int], env_frames: int | None
) -> Iterator[Draft]:
    runs: dict[tuple[object, ...], tuple[list[int], list[object], list[object]]] = {}
    for line, row in enumerate(table, start=2):
        fields = {
            column: row[index] if index < len(row) else None for column, index in columns.items()
        }
        key = (fields["method"], fields["game"], fields["seed"])
        lines, xs, ys = runs.setdefault(key, ([], [], []))
        lines.append(line)
        xs.append(fields.get("env_frames", env_frames))
        ys.append(fields["score"])
    for (method, game, seed), (lines, xs, ys) in runs.items():
        place = f"line {lines[0]}" if len(lines) == 1 else f"lines {lines[0]} to {lines[-1]}"
        yield Draft(place, method, game, seed, xs, ys)
