"""dreamer-json: the form in which the authors of DreamerV2 and DreamerV3 publish their curves.

A JSON list, compressed or not, of records such as

    {"task": "atari_james_bond", "method": "dreamerv2", "seed": "3", "xs": [1e6], "ys": [540.0]}

`xs` are env frames; a curve may end early. Other keys of a record are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from results.exchange import jsonfile
from results.exchange.errors import ExchangeError
from results.exchange.record import Draft, Reading, ReadOptions, RecordSet

KEYS = ("task", "method", "seed", "xs", "ys")


def read(path: Path, root: Path, options: ReadOptions) -> Reading:
    """The records of a file.

    Raises:
        ExchangeError: If the file is no JSON list.
    """
    listed = jsonfile.load(path)
    if not isinstance(listed, list):
        raise ExchangeError(
            f"{path} holds no JSON list of records with {', '.join(KEYS)}: it is not of the "
            "format dreamer-json."
        )
    return Reading(_drafts(listed))


def write(record_set: RecordSet, path: Path) -> dict[Path, bytes]:
    """The file that holds the records."""
    listed = [
        {
            "task": record.game,
            "method": record.method,
            "seed": str(record.seed),
            "xs": list(record.env_frames),
            "ys": list(record.values),
        }
        for record in record_set.records
    ]
    return {path: jsonfile.dump(path, listed)}


def _drafts(listed: list[object]) -> Iterator[Draft]:
    for number, item in enumerate(listed, start=1):
        place = f"record {number}"
        if not isinstance(item, dict):
            yield Draft(place, problem="it is no table of " + ", ".join(KEYS))
        elif lacking := [key for key in KEYS if key not in item]:
            yield Draft(place, problem=f"it lacks {', '.join(lacking)}")
        else:
            yield Draft(place, item["method"], item["task"], item["seed"], item["xs"], item["ys"])
