r"""Shapley values: the gain of the full agent over the base, shared out among the toggles.

    φ_i = Σ_{S ⊆ N \ i} |S|! (n − |S| − 1)! / n!  [f(S + i) − f(S)],      Σ_i φ_i = f(N) − f(∅),

the mean of what toggle i adds over all orders in which the full agent could be built. Of a pair:

    I^Sh_ij = Σ_{S ⊆ N \ {i, j}} |S|! (n − |S| − 2)! / (n − 1)!  Δ_ij f(S).

Without interactions of three or more φ_i = m(i) + ½ Σ_j m(ij), and equals the averaged effect.
A factor plays at its level in the full agent. All 2^n cells are needed. Shapley (1953); Grabisch
and Roubens, Int. J. Game Theory 28 (1999).
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import factorial

from results.database.records import StudyRecord
from results.statistics.cells import Cells
from results.statistics.compared import Cell, Item, Weights, items
from results.statistics.contrasts import Effect

SHAPLEY = "shapley"
MOST_TOGGLES = 10  # 1,024 cells


def shapley_weights(players: Cell, player: tuple[str, str]) -> Weights:
    """The weight of every cell in the Shapley value of one player.

    Args:
        players: Every toggle at its level in full: N.
        player: One of them.
    """
    n = len(players)
    weights: defaultdict[Cell, float] = defaultdict(float)
    for subset in _subsets(players - {player}):
        share = factorial(len(subset)) * factorial(n - len(subset) - 1) / factorial(n)
        weights[subset | {player}] += share
        weights[subset] -= share
    return dict(weights)


def shapley_interaction_weights(
    players: Cell, first: tuple[str, str], second: tuple[str, str]
) -> Weights:
    """The weight of every cell in the Shapley interaction of two players.

    Args:
        players: Every toggle at its level in full: N.
        first: One of them.
        second: Another.
    """
    n = len(players)
    weights: defaultdict[Cell, float] = defaultdict(float)
    for subset in _subsets(players - {first, second}):
        share = factorial(len(subset)) * factorial(n - len(subset) - 2) / factorial(n - 1)
        weights[subset | {first, second}] += share
        weights[subset | {first}] -= share
        weights[subset | {second}] -= share
        weights[subset] += share
    return dict(weights)


def shapley_values(study: StudyRecord, cells: Cells, *, ci: float) -> tuple[Effect, ...]:
    """The Shapley value of every toggle, on the mean over games and per game.

    Empty where the study has no toggle, or more than MOST_TOGGLES. Where a cell is missing the
    values are NaN and say which.
    """
    players = players_of(study)
    if len(players) > MOST_TOGGLES:
        return ()
    return tuple(
        _value(cells, players, item, scope, ci)
        for scope in cells.scopes
        for item in items(study)
        if (item.toggle, item.level) in players
    )


def marginal_gains(cells: Cells, study: StudyRecord, value: Effect) -> tuple[float, ...]:
    """What a toggle adds to each set of the others: one difference per set, in no order of adding.

    Their least and most are what it adds in the worst and in the best order.

    Args:
        cells: The cells.
        study: The study.
        value: The Shapley value of the toggle; empty where it is NaN.
    """
    if math.isnan(value.estimate.value):
        return ()
    player = (value.toggle, value.level)
    return tuple(
        cells.mean(subset | {player}, value.scope) - cells.mean(subset, value.scope)
        for subset in _subsets(players_of(study) - {player})
    )


def players_of(study: StudyRecord) -> Cell:
    """Every toggle at its level in the full agent."""
    return frozenset((toggle.name, toggle.in_full) for toggle in study.toggles)


def _value(cells: Cells, players: Cell, item: Item, scope: str, ci: float) -> Effect:
    weights = shapley_weights(players, (item.toggle, item.level))
    return Effect(
        kind=SHAPLEY,
        name=item.name,
        toggle=item.toggle,
        level=item.level,
        scope=scope,
        arms=f"share of {item.name} in full − base, over {len(weights)} cells",
        estimate=cells.estimate(weights, scope, ci=ci),
        floor=cells.floor(weights, scope),
        ceiling=cells.ceiling(weights, scope),
        weights=weights,
    )


def _subsets(players: Cell) -> Iterator[Cell]:
    ordered: Sequence[tuple[str, str]] = sorted(players)
    for size in range(len(ordered) + 1):
        for subset in itertools.combinations(ordered, size):
            yield frozenset(subset)
