"""Designs: which sets of toggles a study runs, and what each design can tell apart.

A cell maps the toggles that are on to their levels. Designs that cross toggles let a factor take
all its levels; fractions and screens compare every factor at its level in the full agent with
its level off, because their columns have two values.

Box, Hunter and Hunter, "Statistics for Experimenters", 2nd ed., chapters 5 to 7: a fraction of
resolution R does not confuse an interaction of p toggles with any of fewer than R − p. From V on,
main effects and pair interactions are free of each other (orders from three on are not).
Plackett and Burman, "The design of optimum multifactorial experiments", Biometrika 33 (1946):
main effects in barely more cells than toggles, each mixed with pair interactions.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_uppercase
from typing import Literal, get_args

import numpy as np

from results.database.records import ToggleRecord
from results.statistics.errors import StatisticsError, counted

Design = Literal[
    "base",
    "full",
    "add_one_in",
    "leave_one_out",
    "pairs_in",
    "pairs_out",
    "factorial",
    "fractional",
    "plackett_burman",
]
DESIGNS: tuple[Design, ...] = get_args(Design)
"""Every design, in the order in which a study runs their cells."""

GENERATORS = {5: ("ABCD",), 6: ("ABCDE",), 7: ("ABCDEF",), 8: ("ABCD", "ABEF")}
"""Per number of toggles, the words that give the columns after the first ones their signs."""

SMALLEST_SCREEN = 11
"""Columns of the 12-cell screen: in smaller ones a pair can be one with a main effect."""

SCREENED = range(5, 24)  # beyond, a screen has more cells than anybody has runs
MOST_CELLS = 1024  # of a factorial

Levels = dict[str, str]
"""A cell of a design: toggle to level, for the toggles that are on."""


@dataclass(frozen=True)
class TwoLevelDesign:
    """A matrix of toggles that are on (1) and off (−1).

    Attributes:
        matrix: [cells, toggles], of −1 and 1.
        generators: New column and the product that it is: ("F", "ABCDE"); empty in a screen.
        resolution: Length of the shortest word that is constant over the cells; 3 in a screen.
    """

    matrix: np.ndarray
    generators: tuple[tuple[str, str], ...]
    resolution: int


@lru_cache(maxsize=32)
def fraction(toggles: int) -> TwoLevelDesign:
    """The fractional factorial of at least resolution V of 5 to 8 toggles.

    Args:
        toggles: How many there are; a key of GENERATORS.
    """
    from pyDOE3 import fracfact  # a second of imports that only designs of this kind need

    products = GENERATORS[toggles]
    letters = ascii_uppercase[:toggles]
    basic = letters[: toggles - len(products)]
    new = letters[len(basic) :]
    matrix = np.asarray(fracfact(" ".join([*basic, *products]).lower()), dtype=int)
    words = [frozenset(column + product) for column, product in zip(new, products, strict=True)]
    constant = [
        len(_product(chosen))
        for size in range(1, len(words) + 1)
        for chosen in itertools.combinations(words, size)
    ]
    return TwoLevelDesign(matrix, tuple(zip(new, products, strict=True)), min(constant))


@lru_cache(maxsize=32)
def screen(toggles: int) -> TwoLevelDesign:
    """The Plackett-Burman design of at least 12 cells with a column for every toggle."""
    from pyDOE3 import pbdesign  # a second of imports that only designs of this kind need

    matrix = np.asarray(pbdesign(max(toggles, SMALLEST_SCREEN)), dtype=int)
    return TwoLevelDesign(matrix[:, :toggles], (), 3)


def design_cells(design: str, toggles: Sequence[ToggleRecord]) -> tuple[Levels, ...]:
    """The cells of one design, in the order in which they should run.

    `pairs_in` holds what an interaction at the base needs: the base, every toggle alone, every
    pair. `pairs_out` is its mirror image in the full agent.

    Raises:
        StatisticsError: if the design is not made for this number of toggles.
    """
    if wrong := design_problem(design, toggles):
        raise StatisticsError(f"These toggles do not allow the design {wrong}")
    full = {toggle.name: toggle.in_full for toggle in toggles}
    match design:
        case "base":
            return ({},)
        case "full":
            return (full,)
        case "add_one_in":
            return tuple({name: level} for name, level in _items(toggles))
        case "leave_one_out":
            return tuple(_without(full, name) for name in full)
        case "pairs_in":
            return tuple(_pairs_in(toggles))
        case "pairs_out":
            ones = [_without(full, name) for name in full]
            twos = [_without(full, *pair) for pair in itertools.combinations(full, 2)]
            return (full, *ones, *twos)
        case "factorial":
            return tuple(_factorial(toggles))
    if (made := two_level_design(design, toggles)) is not None:
        return tuple(_two_level(made, full))
    raise StatisticsError(f"There is no design {design!r}: known are {', '.join(DESIGNS)}.")


def design_problem(design: str, toggles: Sequence[ToggleRecord]) -> str:
    """Why a design cannot be made of these toggles, and the nearest that can; empty if it can."""
    number = len(toggles)
    here = f"and the study has {counted(number, 'toggle')}"
    cells = math.prod(1 + len(toggle.levels) for toggle in toggles)
    match design:
        case "pairs_in" | "pairs_out" if number < 2:
            return (
                f"'{design}', which crosses two toggles at a time, {here}; nearest: 'add_one_in'."
            )
        case "factorial" if cells > MOST_CELLS:
            other = "fractional" if number in GENERATORS else "plackett_burman"
            return (
                f"'factorial', which would have {cells:,} cells, and {MOST_CELLS:,} is the most; "
                f"nearest: '{other}'."
            )
        case "fractional" if number < min(GENERATORS):
            return _small(design, "5 to 8", here, cells)
        case "fractional" if number > max(GENERATORS):
            return (
                f"'fractional', which is made for 5 to 8 toggles, {here}; nearest: "
                "'plackett_burman' to screen them first, or bundle toggles that belong together."
            )
        case "plackett_burman" if number < SCREENED.start:
            return _small(design, "5 to 23", here, cells)
        case "plackett_burman" if number not in SCREENED:
            return (
                f"'plackett_burman', which is made for 5 to 23 toggles, {here}; nearest: bundle "
                "toggles that belong together, or use 'add_one_in'."
            )
    return ""


def two_level_design(design: str, toggles: Sequence[ToggleRecord]) -> TwoLevelDesign | None:
    """The matrix of a fraction or a screen of these toggles; None for other designs."""
    match design:
        case "fractional":
            return fraction(len(toggles))
        case "plackett_burman":
            return screen(len(toggles))
    return None


def design_words(design: str, toggles: Sequence[ToggleRecord]) -> str:
    """What a fraction or a screen is made of, with its generators; empty for other designs."""
    made = two_level_design(design, toggles)
    if made is None:
        return ""
    number = len(toggles)
    cells = len(made.matrix)
    letters = ", ".join(
        f"{letter} = {toggle.name if len(toggle.levels) == 1 else _at(toggle)}"
        for letter, toggle in zip(ascii_uppercase, toggles, strict=False)
    )
    if design == "plackett_burman":
        return (
            f"plackett_burman: {cells} of {2**number:,} cells, resolution III: it screens main "
            "effects, each mixed with pair interactions"
        )
    generators = ", ".join(f"{new} = {product}" for new, product in made.generators)
    return (
        f"fractional: {cells} of {2**number:,} cells, resolution {_roman(made.resolution)} "
        f"({generators}) with {letters}; {_clear(made.resolution)}"
    )


def off_in_two_level_designs(toggles: Sequence[ToggleRecord]) -> tuple[str, ...]:
    """The levels that no cell of a fraction or a screen has: those not in the full agent."""
    return tuple(
        f"{toggle.name}:{level}"
        for toggle in toggles
        for level in toggle.levels
        if level != toggle.in_full
    )


def requested(
    designs: Sequence[str], toggles: Sequence[ToggleRecord]
) -> frozenset[frozenset[tuple[str, str]]]:
    """Every cell that the designs of a study ask for, whether or not it makes an agent."""
    return frozenset(
        frozenset(cell.items())
        for design in designs
        if design in DESIGNS and not design_problem(design, toggles)
        for cell in design_cells(design, toggles)
    )


def _items(toggles: Sequence[ToggleRecord]) -> Iterator[tuple[str, str]]:
    for toggle in toggles:
        for level in toggle.levels:
            yield toggle.name, level


def _without(full: Levels, *names: str) -> Levels:
    return {name: level for name, level in full.items() if name not in names}


def _pairs_in(toggles: Sequence[ToggleRecord]) -> Iterator[Levels]:
    yield {}
    items = list(_items(toggles))
    for name, level in items:
        yield {name: level}
    for (first, at), (second, other) in itertools.combinations(items, 2):
        if first != second:
            yield {first: at, second: other}


def _factorial(toggles: Sequence[ToggleRecord]) -> Iterator[Levels]:
    for levels in itertools.product(*((None, *toggle.levels) for toggle in toggles)):
        pairs = zip(toggles, levels, strict=True)
        yield {toggle.name: level for toggle, level in pairs if level is not None}


def _two_level(design: TwoLevelDesign, full: Levels) -> Iterator[Levels]:
    for row in design.matrix:
        signs = zip(full.items(), row, strict=True)
        yield {name: level for (name, level), sign in signs if sign > 0}


def _product(words: Sequence[frozenset[str]]) -> frozenset[str]:
    """The product of columns: squares are 1, so letters that come twice are gone."""
    left: frozenset[str] = frozenset()
    for word in words:
        left = left ^ word
    return left


def _small(design: str, made_for: str, here: str, cells: int) -> str:
    return (
        f"'{design}', which is made for {made_for} toggles, {here}; nearest: 'factorial', all "
        f"{counted(cells, 'cell')}."
    )


def _at(toggle: ToggleRecord) -> str:
    return f"{toggle.name}:{toggle.in_full}"


def _clear(resolution: int) -> str:
    """What the pair interactions of a fraction are mixed with."""
    return f"pair interactions are mixed with those of {resolution - 2} or more toggles only"


def _roman(number: int) -> str:
    return {5: "V", 6: "VI", 7: "VII"}[number]
