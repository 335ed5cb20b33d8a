"""What the arms of a study can be compared for, known before any of them has run.

Its items (a toggle at a level), the squares of cells behind the interactions of two of them, and
the crossed design whose averages it can give. Scores come in later: `cells`.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from results.database.records import StudyRecord
from results.statistics.designs import design_cells, design_problem

Cell = frozenset[tuple[str, str]]  # (toggle, level) of every toggle that is on
Weights = Mapping[Cell, float]

BASE = "base"
FULL = "full"
SCREEN = "plackett_burman"


@dataclass(frozen=True)
class Item:
    """A toggle at one level, compared with the toggle off."""

    toggle: str
    level: str
    name: str


@dataclass(frozen=True)
class Square:
    """The four cells of an interaction."""

    first: Item
    second: Item
    background: str
    neither: Cell
    only_first: Cell
    only_second: Cell
    both: Cell

    @property
    def cells(self) -> frozenset[Cell]:
        """What identifies the contrast: the two backgrounds can share it."""
        return frozenset((self.neither, self.only_first, self.only_second, self.both))

    @property
    def weights(self) -> Weights:
        """The contrast of the four."""
        return {self.both: 1, self.only_first: -1, self.only_second: -1, self.neither: 1}


@dataclass(frozen=True)
class Crossing:
    """The crossed design of a study.

    Attributes:
        design: factorial, fractional or plackett_burman.
        cells: Every cell that it asks for.
        items: What its averages compare: toggles at the levels that it crosses.
        pairs: Whether pair interactions can be told from main effects.
    """

    design: str
    cells: tuple[Cell, ...]
    items: tuple[Item, ...]
    pairs: bool


def items(study: StudyRecord) -> tuple[Item, ...]:
    """Every toggle at every level, in the order of the study."""
    return tuple(
        Item(
            toggle.name,
            level,
            toggle.name if len(toggle.levels) == 1 else f"{toggle.name}:{level}",
        )
        for toggle in study.toggles
        for level in toggle.levels
    )


def squares(study: StudyRecord) -> tuple[Square, ...]:
    """Every pair of items of different toggles, at the base and in the full agent."""
    full = frozenset((toggle.name, toggle.in_full) for toggle in study.toggles)
    found = []
    for first, second in itertools.combinations(items(study), 2):
        if first.toggle == second.toggle:
            continue
        i, j = (first.toggle, first.level), (second.toggle, second.level)
        rest = frozenset(on for on in full if on[0] not in (first.toggle, second.toggle))
        for background, neither in ((BASE, frozenset[tuple[str, str]]()), (FULL, rest)):
            found.append(
                Square(
                    first, second, background, neither, neither | {i}, neither | {j},
                    neither | {i, j},
                )
            )  # fmt: skip
    return tuple(found)


def crossing(study: StudyRecord) -> Crossing | None:
    """The design whose averages a study can give: the largest that it has, or None."""
    every = items(study)
    made = {frozenset(arm.toggles.items()) for arm in study.arms}
    if not study.toggles:
        return None
    if not design_problem("factorial", study.toggles):
        crossed = _cells("factorial", study)
        if "factorial" in study.designs or made.issuperset(crossed):
            return Crossing("factorial", crossed, every, pairs=True)
    in_full = {toggle.name: toggle.in_full for toggle in study.toggles}
    two_level = tuple(item for item in every if in_full[item.toggle] == item.level)
    for design in ("fractional", SCREEN):
        if design in study.designs:
            return Crossing(design, _cells(design, study), two_level, design != SCREEN)
    return None


def _cells(design: str, study: StudyRecord) -> tuple[Cell, ...]:
    return tuple(frozenset(cell.items()) for cell in design_cells(design, study.toggles))
