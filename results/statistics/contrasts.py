"""Effects of toggles and their interactions: contrasts of the cells of a study.

f(S) is the expected HNS with the set S of toggles on, N the set of all (a factor at its level
in full). Levels are compared with the toggle off. For an item i (a toggle at one level):

    add-one-in      A_i = f({i}) − f(∅)
    leave-one-out   L_i = f(N with i) − f(N without i)
    interaction     I_ij(B) = f(B+i+j) − f(B+i) − f(B+j) + f(B)

with B = ∅ ("base") and B = N without i and j ("full"). With two toggles both are the same four
cells. Every contrast is made on the mean over games, one value per seed, and per game; a cell
that was never run makes it NaN, with the reason.

The pair interactions on the mean over games are one family (a contrast that appears under both
backgrounds counts once; the games are secondary families of their own): p-values are adjusted
by Holm, and labels need the simultaneous (Bonferroni) interval to exclude 0.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from results.database.records import StudyRecord
from results.statistics.cells import Cell, Cells, Item, Weights, items
from results.statistics.intervals import Estimate
from results.statistics.scores import Scores

ADD_ONE_IN = "add_one_in"
LEAVE_ONE_OUT = "leave_one_out"
BASE = "base"
FULL = "full"
CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Effect:
    """What one toggle does to the score, added to the base or taken from the full agent.

    Attributes:
        kind: ADD_ONE_IN or LEAVE_ONE_OUT; positive means that the toggle helps.
        name: The toggle; with its level where it has more than one.
        toggle: The toggle.
        level: The level.
        scope: MEAN, or a game.
        arms: The contrast, spelled with arm names.
        estimate: Value and interval.
        floor: Games on whose floor one of the cells stands.
    """

    kind: str
    name: str
    toggle: str
    level: str
    scope: str
    arms: str
    estimate: Estimate
    floor: tuple[str, ...]


@dataclass(frozen=True)
class Interaction:
    """How the effect of one toggle depends on another.

    Attributes:
        first: One item of the pair.
        second: The other.
        background: BASE or FULL: what else is on.
        scope: MEAN, or a game.
        arms: The contrast, spelled with arm names.
        estimate: Value and unadjusted interval.
        first_alone: Effect of the first in the background, without the second.
        second_alone: Effect of the second in the background, without the first.
        first_with: Effect of the first where the second is on.
        second_with: Effect of the second where the first is on.
        family: Distinct interactions tested together in this scope.
        simultaneous_low: Lower end of the Bonferroni interval over the family.
        simultaneous_high: Upper end of it.
        p_holm: p-value adjusted by Holm over the family.
        significant: Whether p_holm is at most 1 − ci.
        label: synergy, redundancy, interference, helps, harms or CANNOT_TELL; empty where
            the contrast cannot be estimated.
        crossover: The items whose effect has opposite signs without and with the other, both
            intervals excluding 0: an interaction that no rescaling of the score removes.
        floor: Games on whose floor one of the cells stands: the interaction there may be the
            floor's.
    """

    first: str
    second: str
    background: str
    scope: str
    arms: str
    estimate: Estimate
    first_alone: Estimate
    second_alone: Estimate
    first_with: Estimate
    second_with: Estimate
    family: int
    simultaneous_low: float
    simultaneous_high: float
    p_holm: float
    significant: bool
    label: str
    crossover: tuple[str, ...]
    floor: tuple[str, ...]


def effects(study: StudyRecord, scores: Scores, *, ci: float) -> tuple[Effect, ...]:
    """Add-one-in and leave-one-out effects of every item, on the mean over games and per game.

    Raises:
        UnknownGame: if one of the games has raw returns only.
        IncompleteStudy: if no game has a run of every arm.
    """
    cells = Cells.of(study, scores)
    full = {toggle.name: toggle.in_full for toggle in study.toggles}
    return tuple(
        Effect(
            kind=kind,
            name=item.name,
            toggle=item.toggle,
            level=item.level,
            scope=scope,
            arms=cells.spell(weights),
            estimate=cells.estimate(weights, scope, ci=ci),
            floor=cells.floor(weights, scope),
        )
        for scope in cells.scopes
        for item in items(study)
        for kind, weights in _effect_weights(item, full)
    )


def interactions(study: StudyRecord, scores: Scores, *, ci: float) -> tuple[Interaction, ...]:
    """Interactions of every pair of items at both backgrounds, on the mean and per game.

    Raises:
        UnknownGame: if one of the games has raw returns only.
        IncompleteStudy: if no game has a run of every arm.
    """
    cells = Cells.of(study, scores)
    squares = _squares(study)
    return tuple(
        interaction for scope in cells.scopes for interaction in _family(cells, squares, scope, ci)
    )


def label(
    value: float, *, alone: tuple[float, float], singles: tuple[float, float], both: float
) -> str:
    """The word for an interaction whose simultaneous interval excludes 0.

    Args:
        value: The interaction.
        alone: The effect of each of the two in the background, without the other.
        singles: Mean score of each of the two cells with one of them.
        both: Mean score of the cell with both.
    """
    if min(alone) <= 0:
        return "helps" if value > 0 else "harms"
    if value > 0:
        return "synergy"
    return "redundancy" if both >= max(singles) else "interference"


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for testing them together, by Holm's step-down.

    The i-th smallest of m is multiplied by m − i + 1, is at least its predecessor, at most 1.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return [float(one) for one in adjusted]


def effects_frame(found: Sequence[Effect]) -> pd.DataFrame:
    """One tidy row per effect; floor is the games, separated by spaces."""
    return pd.DataFrame(
        [
            {
                "effect": one.kind,
                "toggle": one.toggle,
                "level": one.level,
                "name": one.name,
                "scope": one.scope,
                **asdict(one.estimate),
                "arms": one.arms,
                "floor": " ".join(one.floor),
            }
            for one in found
        ]
    )


def interactions_frame(found: Sequence[Interaction]) -> pd.DataFrame:
    """One tidy row per interaction; the conditional effects as values only."""
    return pd.DataFrame(
        [
            {
                "first": one.first,
                "second": one.second,
                "background": one.background,
                "scope": one.scope,
                **asdict(one.estimate),
                "simultaneous_low": one.simultaneous_low,
                "simultaneous_high": one.simultaneous_high,
                "p_holm": one.p_holm,
                "family": one.family,
                "significant": one.significant,
                "label": one.label,
                "crossover": " ".join(one.crossover),
                "first_alone": one.first_alone.value,
                "second_alone": one.second_alone.value,
                "first_with_second": one.first_with.value,
                "second_with_first": one.second_with.value,
                "arms": one.arms,
                "floor": " ".join(one.floor),
            }
            for one in found
        ]
    )


@dataclass(frozen=True)
class _Square:
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
        return {self.both: 1, self.only_first: -1, self.only_second: -1, self.neither: 1}


def _squares(study: StudyRecord) -> tuple[_Square, ...]:
    full = frozenset((toggle.name, toggle.in_full) for toggle in study.toggles)
    squares = []
    for first, second in itertools.combinations(items(study), 2):
        if first.toggle == second.toggle:
            continue
        i, j = (first.toggle, first.level), (second.toggle, second.level)
        rest = frozenset(on for on in full if on[0] not in (first.toggle, second.toggle))
        for background, neither in ((BASE, frozenset[tuple[str, str]]()), (FULL, rest)):
            squares.append(
                _Square(
                    first, second, background, neither, neither | {i}, neither | {j},
                    neither | {i, j},
                )
            )  # fmt: skip
    return tuple(squares)


def _family(
    cells: Cells, squares: Sequence[_Square], scope: str, ci: float
) -> Iterator[Interaction]:
    """The interactions of one scope, tested together."""
    estimates = {square.cells: cells.estimate(square.weights, scope, ci=ci) for square in squares}
    tested = {key: one.p for key, one in estimates.items() if not math.isnan(one.p)}
    p_holm = dict(zip(tested, holm(list(tested.values())), strict=True))
    for square in squares:
        yield _interaction(
            cells,
            square,
            scope,
            ci,
            estimate=estimates[square.cells],
            p_holm=p_holm.get(square.cells, math.nan),
            family=len(tested),
        )


def _interaction(
    cells: Cells,
    square: _Square,
    scope: str,
    ci: float,
    *,
    estimate: Estimate,
    p_holm: float,
    family: int,
) -> Interaction:
    def effect(on: Cell, off: Cell) -> Estimate:
        return cells.estimate({on: 1, off: -1}, scope, ci=ci)

    first_alone = effect(square.only_first, square.neither)
    second_alone = effect(square.only_second, square.neither)
    first_with = effect(square.both, square.only_second)
    second_with = effect(square.both, square.only_first)
    low, high = estimate.at_level(1 - (1 - ci) / max(family, 1))
    word = "" if math.isnan(estimate.value) else CANNOT_TELL
    if low > 0 or high < 0:
        word = label(
            estimate.value,
            alone=(first_alone.value, second_alone.value),
            singles=(cells.mean(square.only_first, scope), cells.mean(square.only_second, scope)),
            both=cells.mean(square.both, scope),
        )
    flips = ((square.first, first_alone, first_with), (square.second, second_alone, second_with))
    return Interaction(
        first=square.first.name,
        second=square.second.name,
        background=square.background,
        scope=scope,
        arms=cells.spell(square.weights),
        estimate=estimate,
        first_alone=first_alone,
        second_alone=second_alone,
        first_with=first_with,
        second_with=second_with,
        family=family,
        simultaneous_low=low,
        simultaneous_high=high,
        p_holm=p_holm,
        significant=p_holm <= 1 - ci,
        label=word,
        crossover=tuple(item.name for item, one, other in flips if _opposite(one, other)),
        floor=cells.floor(square.weights, scope),
    )


def _opposite(one: Estimate, other: Estimate) -> bool:
    return (one.low > 0 and other.high < 0) or (one.high < 0 and other.low > 0)


def _effect_weights(item: Item, full: Mapping[str, str]) -> Iterator[tuple[str, Weights]]:
    i = (item.toggle, item.level)
    without = frozenset(on for on in full.items() if on[0] != item.toggle)
    yield ADD_ONE_IN, {frozenset({i}): 1, frozenset(): -1}
    yield LEAVE_ONE_OUT, {without | {i}: 1, without: -1}
