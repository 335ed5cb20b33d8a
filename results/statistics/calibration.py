"""A/A calibration: how often a study finds an interaction where there is none.

The runs of a study are dealt anew: what each run has beyond the mean of its cell is pooled over
the cells and dealt to them at random, so that every cell is the same agent with other seeds. Then
the whole family is tested as before. The share of deals in which anything is found is the
family-wise error that the study's own scores give, tails and all; 1 − ci at most is promised.

Arms of many seeds give a second answer: their seeds are split in two halves, which are one agent,
and the halves compared. Both take the spread of all cells to be the same, as the intervals do.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from results.statistics.cells import Cells
from results.statistics.compared import Weights
from results.statistics.contrasts import weight_matrix
from results.statistics.simultaneous import adjust, null_of_cells, two_sided

DEALS = 2_000
FEWEST_TO_SPLIT = 4
MOST_SPLITS = 500  # per cell


@dataclass(frozen=True)
class Calibration:
    """False findings where nothing is true.

    Attributes:
        family: Contrasts tested together.
        deals: How often the runs were dealt anew; 0 where there are too few of them.
        holm: Share of deals in which Holm calls something significant.
        max_t: Share in which a simultaneous interval excludes 0.
        alone: Share of all single intervals that exclude 0.
        splits: Comparisons of two halves of one cell's seeds.
        halves: Share of them with an interval that excludes 0; NaN where there is none.
    """

    family: int
    deals: int
    holm: float
    max_t: float
    alone: float
    splits: int
    halves: float


def calibrate(
    cells: Cells, family: Sequence[Weights], scope: str, *, ci: float, seed: int
) -> Calibration:
    """Deals the runs of a scope anew and tests the family each time.

    Args:
        cells: The cells.
        family: The weights of the contrasts that are tested together, each with an interval.
        scope: MEAN, or a game.
        ci: Level of the intervals.
        seed: Seed of the deals.
    """
    splits, found = _halves(cells, scope, ci, np.random.default_rng([seed, 1]))
    halves = found / splits if splits else math.nan
    nothing = Calibration(len(family), 0, math.nan, math.nan, math.nan, splits, halves)
    if not family:
        return nothing
    matrix, counts = weight_matrix(cells, family, scope)
    used = [cell for cell in cells.arms if any(cell in weights for weights in family)]
    runs = [cells.runs[cell, scope] for cell in used]
    residuals = np.concatenate([one - one.mean() for one in runs])
    if sum(counts) - len(counts) < 2 or not np.abs(residuals).max() > 0:
        return nothing
    p = _dealt(residuals, matrix, counts, np.random.default_rng([seed, 0]))
    alpha = 1 - ci
    level = adjust(null_of_cells(matrix, counts), [1.0] * len(family), ci=ci).level
    return Calibration(
        family=len(family),
        deals=DEALS,
        holm=float((p.min(axis=1) <= alpha / len(family)).mean()),  # Holm finds any iff the first
        max_t=float((p.min(axis=1) <= level).mean()),
        alone=float((p <= alpha).mean()),
        splits=splits,
        halves=halves,
    )


def _dealt(
    residuals: np.ndarray, matrix: np.ndarray, counts: Sequence[int], rng: np.random.Generator
) -> np.ndarray:
    """[DEALS, contrasts], the p-values of the family in every deal."""
    n = np.asarray(counts)
    starts = np.concatenate([[0], np.cumsum(n)[:-1]])
    dealt = rng.permuted(np.tile(residuals, (DEALS, 1)), axis=1)
    means = np.add.reduceat(dealt, starts, axis=1) / n
    squares = np.add.reduceat(dealt**2, starts, axis=1) - n * means**2
    involved = (matrix != 0).astype(float)
    df = involved @ (n - 1)
    variance = np.maximum(squares, 0) @ involved.T / df
    se = np.sqrt(variance * (matrix**2 @ (1 / n)))
    return two_sided(means @ matrix.T / np.maximum(se, 1e-300), df)


def _halves(cells: Cells, scope: str, ci: float, rng: np.random.Generator) -> tuple[int, int]:
    """How many splits of one cell's seeds there are, and in how many the halves differ."""
    splits = found = 0
    for cell in cells.arms:
        runs = cells.runs[cell, scope]
        if len(runs) < FEWEST_TO_SPLIT or np.ptp(runs) == 0:
            continue
        half = len(runs) // 2
        first = _chosen(len(runs), half, rng)
        inside = np.zeros((len(first), len(runs)), dtype=bool)
        inside[np.arange(len(first))[:, None], first] = True
        one, other = runs[first], np.tile(runs, (len(first), 1))[~inside].reshape(len(first), -1)
        df = len(runs) - 2
        variance = (one.var(axis=1) * half + other.var(axis=1) * (len(runs) - half)) / df
        se = np.sqrt(variance * (1 / half + 1 / (len(runs) - half)))
        t = (one.mean(axis=1) - other.mean(axis=1)) / np.maximum(se, 1e-300)
        splits += len(first)
        found += int((two_sided(t, np.array([df])) <= 1 - ci).sum())
    return splits, found


def _chosen(runs: int, half: int, rng: np.random.Generator) -> np.ndarray:
    """[splits, half], which runs are in the first half: all ways, or some where they are many."""
    if math.comb(runs, half) <= MOST_SPLITS:
        return np.array(list(itertools.combinations(range(runs), half)))
    order = rng.permuted(np.tile(np.arange(runs), (MOST_SPLITS, 1)), axis=1)
    return order[:, :half]
