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
by Holm, and labels need the simultaneous (max-|t|) interval to exclude 0.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd

from results.database.records import StudyRecord
from results.statistics.cells import Cells
from results.statistics.compared import Cell, Item, Square, Weights, items, squares
from results.statistics.intervals import Estimate
from results.statistics.judgement import Evidence, Family
from results.statistics.scores import Scores
from results.statistics.simultaneous import Simultaneous, adjust, null_of_cells

ADD_ONE_IN = "add_one_in"
LEAVE_ONE_OUT = "leave_one_out"


@dataclass(frozen=True)
class Effect:
    """What one toggle does to the score: added to the base, say, or taken from the full agent.

    Attributes:
        kind: ADD_ONE_IN, LEAVE_ONE_OUT, or one of `ols` or `shapley`; positive means that the
            toggle helps.
        name: The toggle; with its level where it has more than one.
        toggle: The toggle.
        level: The level.
        scope: MEAN, or a game.
        arms: The contrast, spelled with arm names.
        estimate: Value and interval.
        floor: Games on whose floor one of the cells stands.
        ceiling: Games on whose ceiling one of the cells stands.
        weights: The contrast, cell by cell; empty where it is not one of cell means.
    """

    kind: str
    name: str
    toggle: str
    level: str
    scope: str
    arms: str
    estimate: Estimate
    floor: tuple[str, ...]
    ceiling: tuple[str, ...] = ()
    weights: Weights = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Interaction:
    """How the effect of one toggle depends on another.

    Attributes:
        first: One item of the pair.
        second: The other.
        background: BASE or FULL, what else is on; or the average over everything else.
        scope: MEAN, or a game.
        arms: The contrast, spelled with arm names.
        estimate: Value and unadjusted interval.
        first_alone: Effect of the first in the background, without the second.
        second_alone: Effect of the second in the background, without the first.
        first_with: Effect of the first where the second is on.
        second_with: Effect of the second where the first is on.
        family: Distinct interactions tested together in this scope.
        simultaneous_low: Lower end of the max-|t| interval over the family.
        simultaneous_high: Upper end of it.
        p_holm: p-value adjusted by Holm over the family.
        p_max_t: p-value adjusted by the step-down of the largest |t|.
        significant: Whether p_holm is at most 1 − ci.
        label: synergy, redundancy, interference, helps, harms or CANNOT_TELL; empty where
            the contrast cannot be estimated.
        crossover: The items whose effect has opposite signs without and with the other, both
            intervals excluding 0: an interaction that no rescaling of the score removes.
        floor: Games on whose floor one of the cells stands: the interaction there may be the
            floor's.
        ceiling: Games on whose ceiling one of the cells stands, likewise.
        weights: The contrast, cell by cell; empty where it is not one of cell means.
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
    p_max_t: float
    significant: bool
    label: str
    crossover: tuple[str, ...]
    floor: tuple[str, ...]
    ceiling: tuple[str, ...] = ()
    weights: Weights = field(default_factory=dict, repr=False)


def effects(study: StudyRecord, scores: Scores, *, ci: float) -> tuple[Effect, ...]:
    """Add-one-in and leave-one-out effects of every item, on the mean over games and per game.

    Raises:
        UnknownGame: if one of the games has raw returns only.
        IncompleteStudy: if no game has a run of every arm.
    """
    return cell_effects(study, Cells.of(study, scores), ci=ci)


def cell_effects(study: StudyRecord, cells: Cells, *, ci: float) -> tuple[Effect, ...]:
    """The same, of cells that are there already."""
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
            ceiling=cells.ceiling(weights, scope),
            weights=weights,
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
    return cell_interactions(study, Cells.of(study, scores), ci=ci)


def cell_interactions(study: StudyRecord, cells: Cells, *, ci: float) -> tuple[Interaction, ...]:
    """The same, of cells that are there already."""
    every = squares(study)
    return tuple(
        interaction for scope in cells.scopes for interaction in _family(cells, every, scope, ci)
    )


def effect_cells(study: StudyRecord) -> Iterator[tuple[str, str, Cell, Cell]]:
    """Every effect of a study: its kind, the item's name, the cell without it and the one with."""
    full = {toggle.name: toggle.in_full for toggle in study.toggles}
    for item in items(study):
        for kind, weights in _effect_weights(item, full):
            with_it, without = weights
            yield kind, item.name, without, with_it


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
                "ceiling": " ".join(one.ceiling),
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
                "p_max_t": one.p_max_t,
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
                "ceiling": " ".join(one.ceiling),
            }
            for one in found
        ]
    )


def _family(
    cells: Cells, squares: Sequence[Square], scope: str, ci: float
) -> Iterator[Interaction]:
    """The interactions of one scope, tested together."""
    by_cells = {square.cells: square for square in squares}
    estimates = {key: cells.estimate(one.weights, scope, ci=ci) for key, one in by_cells.items()}
    tested: dict[object, float] = {
        key: one.p for key, one in estimates.items() if not math.isnan(one.p)
    }
    weights = [square.weights for key, square in by_cells.items() if key in tested]
    family = Family.of(tested, adjusted(cells, weights, scope, list(tested.values()), ci=ci))
    for square in squares:
        evidence = _evidence(cells, square, scope, ci, estimates[square.cells])
        low, high = evidence.estimate.at_level(1 - family.level)
        yield Interaction(
            first=square.first.name,
            second=square.second.name,
            background=square.background,
            scope=scope,
            arms=cells.spell(square.weights),
            estimate=evidence.estimate,
            first_alone=evidence.first_alone,
            second_alone=evidence.second_alone,
            first_with=evidence.first_with,
            second_with=evidence.second_with,
            family=family.size,
            simultaneous_low=low,
            simultaneous_high=high,
            p_holm=family.holm.get(square.cells, math.nan),
            p_max_t=family.max_t.get(square.cells, math.nan),
            significant=family.holm.get(square.cells, math.nan) <= 1 - ci,
            label=evidence.word(low, high),
            crossover=evidence.crossover(square.first.name, square.second.name),
            floor=cells.floor(square.weights, scope),
            ceiling=cells.ceiling(square.weights, scope),
            weights=square.weights,
        )


def adjusted(
    cells: Cells, family: Sequence[Weights], scope: str, p_values: Sequence[float], *, ci: float
) -> Simultaneous:
    """What contrasts of cells, each with the variance of its own cells, are when taken together.

    Args:
        cells: The cells.
        family: The weights of every contrast; all of them have an interval.
        scope: MEAN, or a game.
        p_values: Of the contrasts alone.
        ci: Probability that all intervals cover.
    """
    if len(family) < 2:
        return Simultaneous(1 - ci, tuple(p_values))
    matrix, counts = weight_matrix(cells, family, scope)
    return adjust(null_of_cells(matrix, counts), p_values, ci=ci)


def weight_matrix(
    cells: Cells, family: Sequence[Weights], scope: str
) -> tuple[np.ndarray, tuple[int, ...]]:
    """The weights of contrasts [contrasts, cells], and the runs of each cell, in one order."""
    used = [cell for cell in cells.arms if any(cell in weights for weights in family)]
    matrix = np.array([[weights.get(cell, 0.0) for cell in used] for weights in family])
    return matrix, tuple(len(cells.runs[cell, scope]) for cell in used)


def _evidence(cells: Cells, square: Square, scope: str, ci: float, estimate: Estimate) -> Evidence:
    def effect(on: Cell, off: Cell) -> Estimate:
        return cells.estimate({on: 1, off: -1}, scope, ci=ci)

    def mean(cell: Cell) -> float:
        return math.nan if math.isnan(estimate.value) else cells.mean(cell, scope)

    return Evidence(
        estimate=estimate,
        first_alone=effect(square.only_first, square.neither),
        second_alone=effect(square.only_second, square.neither),
        first_with=effect(square.both, square.only_second),
        second_with=effect(square.both, square.only_first),
        singles=(mean(square.only_first), mean(square.only_second)),
        both=mean(square.both),
    )


def _effect_weights(item: Item, full: Mapping[str, str]) -> Iterator[tuple[str, Weights]]:
    i = (item.toggle, item.level)
    without = frozenset(on for on in full.items() if on[0] != item.toggle)
    yield ADD_ONE_IN, {frozenset({i}): 1, frozenset(): -1}
    yield LEAVE_ONE_OUT, {without | {i}: 1, without: -1}
