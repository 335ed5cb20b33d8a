"""tensorboard: event files, one folder per run.

The folders say what the run is: METHOD/GAME/SEED unless another layout is given. What a step
counts is not in the file, and must be given. A folder with several event files is one run, whose
files follow each other. Values have 32 bits: what is written is the nearest of those.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from results.exchange.errors import ExchangeError
from results.exchange.event_file import DamagedEvents, Scalar, decode, encode
from results.exchange.names import from_file_name, to_file_name
from results.exchange.record import X_UNITS, Draft, Reading, ReadOptions, RecordSet

FILES = "*tfevents*"
LAYOUT = "{method}/{game}/{seed}"
TAG = "evaluation_return"
_FIELDS = ("method", "game", "seed")


def folders(root: Path) -> list[Path]:
    """The folders that hold event files."""
    return sorted({file.parent for file in root.rglob(FILES) if file.is_file()})


def read(path: Path, root: Path, options: ReadOptions) -> Reading:
    """The record of a folder.

    Raises:
        ExchangeError: If what a step counts is not said, or the layout does not name a run.
    """
    if options.x_unit is None:
        raise ExchangeError(
            f"{path}: event files do not say what a step counts. Say it with --x-unit: "
            f"{' or '.join(X_UNITS)} (an agent step is 4 env frames)."
        )
    named = _named(path, root, options.layout or LAYOUT)
    return Reading([_draft(path, named, options.tag or TAG)], frames_per_x=X_UNITS[options.x_unit])


def write(record_set: RecordSet, path: Path) -> dict[Path, bytes]:
    """One event file per run, in its own folder.

    Raises:
        ExchangeError: If a value does not fit into 32 bits.
    """
    files = {}
    for record in record_set.records:
        folder = path / to_file_name(record.method) / to_file_name(record.game) / str(record.seed)
        points = zip(record.env_frames, record.values, strict=True)
        try:
            data = encode(Scalar(TAG, step, value) for step, value in points)
        except (OverflowError, struct.error) as error:
            raise ExchangeError(
                f"A value of {record.method} on {record.game}, seed {record.seed}, does not fit "
                "into the 32 bits of an event file: choose another format."
            ) from error
        files[folder / "events.out.tfevents.0.ablate"] = data
    return files


def _draft(folder: Path, named: dict[str, str], tag: str) -> Draft:
    place = f"the curve {tag}"
    scalars: list[Scalar] = []
    try:
        for file in sorted(folder.glob(FILES)):
            scalars += decode(file.read_bytes())
    except DamagedEvents as error:
        return Draft(place, problem=f"{file.name}: {error}")
    points = [one for one in scalars if one.tag == tag]
    if not points:
        tags = ", ".join(sorted({one.tag for one in scalars})) or "none"
        return Draft(
            place, problem=f"there is no such curve; there are: {tags}. --tag says which it is"
        )
    return Draft(
        place,
        named["method"],
        named["game"],
        named["seed"],
        [one.step for one in points],
        [one.value for one in points],
    )


def _named(folder: Path, root: Path, layout: str) -> dict[str, str]:
    """Method, game and seed from the folders.

    Raises:
        ExchangeError: If the layout lacks one of them, or the folders are not laid out so.
    """
    pattern = re.escape(layout)
    for field in _FIELDS:
        if layout.count(f"{{{field}}}") != 1:
            raise ExchangeError(
                f"The layout {layout!r} must hold each of {{method}}, {{game}} and {{seed}} once, "
                f"such as {LAYOUT}."
            )
        pattern = pattern.replace(re.escape(f"{{{field}}}"), f"(?P<{field}>[^/]+?)")
    relative = folder.relative_to(root).as_posix()
    found = re.fullmatch(pattern, relative)
    if found is None:
        raise ExchangeError(
            f"{folder} does not lie in {root} as the layout {layout} says. Say with --layout "
            "which folders name the method, the game and the seed."
        )
    return {field: from_file_name(value) for field, value in found.groupdict().items()}
