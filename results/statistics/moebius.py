r"""Moebius terms: what a set of toggles does together that none of its parts does.

    m(S) = Σ_{T ⊆ S} (−1)^{|S \ T|} f(T),        f(S) = Σ_{T ⊆ S} m(T).

m({i}) is the add-one-in effect A_i and m({i, j}) the interaction I_ij at the base; from three on
they are the higher interactions. L_i − A_i is the sum of all terms of order two and more that
contain i: where the two differ, something interacts. Rota, "On the foundations of combinatorial
theory I", Z. Wahrscheinlichkeitstheorie 2 (1964); Grabisch and Roubens, Int. J. Game Theory 28
(1999).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from results.database.records import StudyRecord
from results.statistics.cells import Cells
from results.statistics.compared import Cell, Item, Weights, items
from results.statistics.intervals import Estimate


@dataclass(frozen=True)
class Term:
    """One Moebius term.

    Attributes:
        names: The items of the set, in the order of the study.
        scope: MEAN, or a game.
        estimate: Value and unadjusted interval.
        floor: Games on whose floor one of the cells stands.
        ceiling: Games on whose ceiling one of the cells stands.
        weights: The contrast, cell by cell.
    """

    names: tuple[str, ...]
    scope: str
    estimate: Estimate
    floor: tuple[str, ...]
    ceiling: tuple[str, ...]
    weights: Weights

    @property
    def order(self) -> int:
        """How many items the set has."""
        return len(self.names)


def moebius_weights(on: Cell) -> Weights:
    """The weight of every subset of a set in its Moebius term."""
    return {
        frozenset(subset): float((-1) ** (len(on) - size))
        for size in range(len(on) + 1)
        for subset in itertools.combinations(sorted(on), size)
    }


def moebius_terms(
    study: StudyRecord, cells: Cells, *, ci: float, smallest: int = 1
) -> tuple[Term, ...]:
    """The terms of all sets whose every subset the study runs, small sets first.

    Args:
        study: The study.
        cells: Its cells.
        ci: Level of the intervals.
        smallest: Order of the smallest sets.
    """
    closed = list(_closed_sets(cells, items(study)))
    return tuple(
        Term(
            names=tuple(item.name for item in chosen),
            scope=scope,
            estimate=cells.estimate(weights, scope, ci=ci),
            floor=cells.floor(weights, scope),
            ceiling=cells.ceiling(weights, scope),
            weights=weights,
        )
        for scope in cells.scopes
        for chosen in closed
        if len(chosen) >= smallest
        for weights in [moebius_weights(_cell(chosen))]
    )


def terms_frame(found: Sequence[Term]) -> pd.DataFrame:
    """One tidy row per term."""
    return pd.DataFrame(
        [
            {
                "order": one.order,
                "set": " × ".join(one.names),
                "scope": one.scope,
                **asdict(one.estimate),
                "floor": " ".join(one.floor),
                "ceiling": " ".join(one.ceiling),
            }
            for one in found
        ]
    )


def _closed_sets(cells: Cells, known: Sequence[Item]) -> Iterator[tuple[Item, ...]]:
    """The sets whose every subset is a cell, grown from smaller ones."""
    if frozenset() not in cells.arms:
        return
    closed: set[tuple[Item, ...]] = {()}
    for size in range(1, len({item.toggle for item in known}) + 1):
        grown = [
            chosen
            for chosen in itertools.combinations(known, size)
            if len({item.toggle for item in chosen}) == size
            and _cell(chosen) in cells.arms
            and all(part in closed for part in itertools.combinations(chosen, size - 1))
        ]
        if not grown:
            return
        yield from grown
        closed.update(grown)


def _cell(chosen: Sequence[Item]) -> Cell:
    return frozenset((item.toggle, item.level) for item in chosen)
