"""What stands between every format and the database: one record per run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Record:
    """What one run scored.

    Attributes:
        method: The name of what was trained; an arm of the study.
        game: Canonical name of the game.
        seed: Which run of the method on the game; at least 0. A seed that is a name has a number
            that stands for it.
        env_frames: Where the points lie, increasing.
        values: What was scored there.
    """

    method: str
    game: str
    seed: int
    env_frames: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class RecordSet:
    """Records of one kind; methods, games and seeds in the order of their appearance.

    Attributes:
        records: No two have the same method, game and seed.
        normalization: The table that the values were normalised with; None where they are raw
            returns.
        means: Whether each value is a mean over an unknown number of runs.
    """

    records: tuple[Record, ...]
    normalization: str | None = None
    means: bool = False


@dataclass(frozen=True)
class Draft:
    """A record as its file spells it: nothing of it has been looked at.

    Attributes:
        place: Where in the file, for messages: `record 3`, `lines 2 to 11`.
        method: The name of the method.
        game: The game in any spelling.
        seed: The seed, a whole number in any spelling or a name.
        xs: Where the points lie, in the unit of the reading.
        ys: What was scored there.
        problem: Why it cannot be used, where the format knows already.
    """

    place: str
    method: object = None
    game: object = None
    seed: object = None
    xs: object = ()
    ys: object = ()
    problem: str = ""


@dataclass(frozen=True)
class Reading:
    """What a format made of one file.

    Attributes:
        drafts: The records, in the order of the file.
        frames_per_x: Env frames in one unit of the drafts' `xs`.
        normalization: As in `RecordSet`.
        means: As in `RecordSet`.
    """

    drafts: Iterable[Draft]
    frames_per_x: int = 1
    normalization: str | None = None
    means: bool = False


@dataclass(frozen=True)
class Refused:
    """A record that cannot be used, and why."""

    file: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, {self.place}: {self.reason}"


X_UNITS = {"env_frames": 1, "agent_steps": 4}
"""Env frames in one unit, for files that do not say what their x is."""

COLUMNS = ("method", "game", "seed", "env_frames", "score")
"""What a row of a long table holds."""


@dataclass(frozen=True)
class ReadOptions:
    """What a file does not say of itself. A format refuses the options that it does not read.

    Attributes:
        env_frames: Where scores without an x were taken.
        x_unit: Among X_UNITS.
        columns: The file's names of some of COLUMNS.
        normalization: The table that scores were made with.
        tag: The scalar that holds the returns, in event files.
        layout: What the folders of event files mean.
    """

    env_frames: int | None = None
    x_unit: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    normalization: str | None = None
    tag: str | None = None
    layout: str | None = None


def methods(records: Sequence[Record]) -> list[str]:
    """The methods, each once, in the order of their appearance."""
    return list(dict.fromkeys(record.method for record in records))


def games(records: Sequence[Record]) -> list[str]:
    """The games, each once, in the order of their appearance."""
    return list(dict.fromkeys(record.game for record in records))
