"""rliable-json: final scores per run, one file per algorithm, which the file's name names.

Raw scores, run counts that may differ; run k of a game is seed k:

    {"Alien": [812.0, 790.5], "JamesBond": [310.0]}

or scores that were normalised already, with a table that the file does not name (`Max HNS`, the
best along the run, is not read):

    [{"game": "Alien", "seed": 1.0, "HNS": 0.05, "Max HNS": 0.06}]

Neither says at how many env frames the scores were taken: that must be given. Written files are
in the one form or the other, by what the records hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from results.exchange import jsonfile
from results.exchange.errors import ExchangeError
from results.exchange.names import from_file_name, to_file_name
from results.exchange.record import Draft, Reading, ReadOptions, Record, RecordSet, games, methods
from results.statistics.errors import StatisticsError
from results.statistics.normalize import normalization

_KEYS = ("game", "seed", "HNS")


def read(path: Path, root: Path, options: ReadOptions) -> Reading:
    """The records of a file.

    Raises:
        ExchangeError: If the file has neither form, or lacks what its form does not say.
    """
    contents = jsonfile.load(path)
    if options.env_frames is None:
        raise ExchangeError(
            f"{path}: the format rliable-json does not say at how many env frames its scores were "
            "taken. Say it with --env-frames (Atari-100k: 400000)."
        )
    method = from_file_name(path.name.removesuffix(".gz").removesuffix(".json"))
    at = [options.env_frames]
    match contents:
        case dict():
            _refuse_table(path, options)
            return Reading(_raw_drafts(contents, method, at))
        case list():
            return Reading(
                _normalised_drafts(contents, method, at),
                normalization=_needed_table(path, options),
            )
    raise ExchangeError(
        f"{path} holds neither a JSON table of games with their scores nor a list of "
        f"{', '.join(_KEYS)}: it is not of the format rliable-json."
    )


def write(record_set: RecordSet, path: Path) -> dict[Path, bytes]:
    """One file per method, in a folder."""
    return {
        (file := path / f"{to_file_name(method)}.json"): jsonfile.dump(
            file, _contents(record_set, method)
        )
        for method in methods(record_set.records)
    }


def _contents(record_set: RecordSet, method: str) -> object:
    own = [record for record in record_set.records if record.method == method]
    if record_set.normalization is not None:
        return [
            {"game": record.game, "seed": float(record.seed), "HNS": record.values[-1]}
            for record in own
        ]
    by_game: dict[str, list[Record]] = {game: [] for game in games(own)}
    for record in own:
        by_game[record.game].append(record)
    return {
        game: [record.values[-1] for record in sorted(runs, key=lambda one: one.seed)]
        for game, runs in by_game.items()
    }


def _raw_drafts(contents: dict[str, object], method: str, at: list[int]) -> Iterator[Draft]:
    for game, scores in contents.items():
        if not isinstance(scores, list) or not scores:
            yield Draft(f"game {game}", problem="it has no list of scores")
            continue
        for seed, score in enumerate(scores):
            yield Draft(f"game {game}, score {seed + 1}", method, game, seed, at, [score])


def _normalised_drafts(contents: list[object], method: str, at: list[int]) -> Iterator[Draft]:
    for number, item in enumerate(contents, start=1):
        place = f"record {number}"
        if not isinstance(item, dict):
            yield Draft(place, problem=f"it is no table of {', '.join(_KEYS)}")
        elif lacking := [key for key in _KEYS if key not in item]:
            yield Draft(place, problem=f"it lacks {', '.join(lacking)}")
        else:
            yield Draft(place, method, item["game"], item["seed"], at, [item["HNS"]])


def _refuse_table(path: Path, options: ReadOptions) -> None:
    if options.normalization is not None:
        raise ExchangeError(
            f"{path} holds raw scores, which no table has normalised: leave out --normalization."
        )


def _needed_table(path: Path, options: ReadOptions) -> str:
    """The id of the table with which scores were normalised.

    Raises:
        ExchangeError: If none is named, or one that is not there.
    """
    if options.normalization is None:
        raise ExchangeError(
            f"{path} holds scores that were normalised already, and does not say with which "
            "table. Name it with --normalization (wang2016 is the usual one)."
        )
    try:
        return normalization(options.normalization).id
    except StatisticsError as error:
        raise ExchangeError(f"--normalization: {error}") from error
