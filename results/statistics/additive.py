"""What every tested combination of toggles scores, and what plain addition would have given.

    predicted(S) = f(∅) + Σ_{i ∈ S} A_i,        gap(S) = f(S) − predicted(S),

with A_i the add-one-in effects. The gap is the sum of all Moebius terms of order two and more
within S: of a pair it is the interaction at the base. The gaps of one scope are one family, with
simultaneous (max-|t|) intervals and Holm's adjustment; all share the base and the single toggles.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from results.database.records import StudyRecord
from results.statistics.cells import Cells
from results.statistics.compared import Cell, Weights
from results.statistics.contrasts import adjusted
from results.statistics.intervals import Estimate, missing_estimate
from results.statistics.judgement import Family

NOTHING_TO_ADD = missing_estimate("fewer than two toggles: nothing to add")


@dataclass(frozen=True)
class Combination:
    """One cell of a study.

    Attributes:
        arm: Its name; what is on, in brackets, where no run was ever asked for.
        on: The toggles that are on, by name, with their levels.
        scope: MEAN, or a game.
        score: f(S), with the interval of this cell alone.
        predicted: What addition gives.
        gap: score − predicted; NaN with a reason where a cell is missing, and for the cells
            with fewer than two toggles, whose gap is 0 by definition.
        simultaneous_low: Lower end of the gap's interval over the family.
        simultaneous_high: Upper end of it.
        p_holm: Adjusted over the family.
    """

    arm: str
    on: Mapping[str, str]
    scope: str
    score: Estimate
    predicted: Estimate
    gap: Estimate
    simultaneous_low: float
    simultaneous_high: float
    p_holm: float


def predicted_weights(on: Cell) -> Weights:
    """The weights of f(∅) + Σ A_i: 1 for every single toggle, 1 − k for the base."""
    singles = {frozenset({item}): 1.0 for item in sorted(on)}
    base = {frozenset[tuple[str, str]](): 1.0 - len(on)}
    return {cell: weight for cell, weight in (singles | base).items() if weight}


def gap_weights(on: Cell) -> Weights:
    """The weights of what a set does beyond the sum of what its members do."""
    return {on: 1.0} | {cell: -weight for cell, weight in predicted_weights(on).items()}


def combinations(study: StudyRecord, cells: Cells, *, ci: float) -> tuple[Combination, ...]:
    """Every cell that the study has or asks for, in its order, on the mean and per game.

    Args:
        study: The study.
        cells: Its cells.
        ci: Level of the intervals.
    """
    asked = [*cells.arms, *sorted(cells.undefined - cells.arms.keys(), key=sorted)]
    return tuple(one for scope in cells.scopes for one in _of_scope(cells, asked, scope, ci))


def _of_scope(cells: Cells, asked: list[Cell], scope: str, ci: float) -> list[Combination]:
    gaps = {
        cell: cells.estimate(gap_weights(cell), scope, ci=ci) for cell in asked if len(cell) > 1
    }
    tested: dict[object, float] = {
        cell: gap.p for cell, gap in gaps.items() if not math.isnan(gap.p)
    }
    weights = [gap_weights(cell) for cell in gaps if cell in tested]
    family = Family.of(tested, adjusted(cells, weights, scope, list(tested.values()), ci=ci))
    found = []
    for cell in asked:
        gap = gaps.get(cell)
        low, high = gap.at_level(1 - family.level) if gap else (math.nan, math.nan)
        found.append(
            Combination(
                arm=cells.spell({cell: 1.0}),
                on=dict(sorted(cell)),
                scope=scope,
                score=cells.estimate({cell: 1.0}, scope, ci=ci),
                predicted=cells.estimate(predicted_weights(cell), scope, ci=ci),
                gap=gap if gap else NOTHING_TO_ADD,
                simultaneous_low=low,
                simultaneous_high=high,
                p_holm=family.holm.get(cell, math.nan),
            )
        )
    return found


def combinations_frame(found: tuple[Combination, ...]) -> pd.DataFrame:
    """One tidy row per combination and scope."""
    return pd.DataFrame(
        [
            {
                "arm": one.arm,
                "on": " ".join(
                    name if level == "on" else f"{name}:{level}" for name, level in one.on.items()
                ),
                "toggles_on": len(one.on),
                "scope": one.scope,
                **{f"score_{key}": value for key, value in asdict(one.score).items()},
                "predicted": one.predicted.value,
                "predicted_low": one.predicted.low,
                "predicted_high": one.predicted.high,
                **{f"gap_{key}": value for key, value in asdict(one.gap).items()},
                "simultaneous_low": one.simultaneous_low,
                "simultaneous_high": one.simultaneous_high,
                "p_holm": one.p_holm,
            }
            for one in found
        ]
    )
