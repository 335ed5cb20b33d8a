"""Whether the runs of one seed resemble each other, and contrasts that use it where they do.

All arms of a seed share initial weights, environment seeds and replay draws as far as their
arithmetic agrees. If that leaves their scores correlated with ρ, a difference within seeds varies
less: by 1 − ρ. It also has n − 1 degrees of freedom instead of Σ (n_c − 1), and after training ρ
is usually near 0. So ρ is estimated from the study itself, and pairing is said to help only where
even the lower limit of ρ makes up for the wider t:

    t(n − 1) √(1 − ρ_low) < t(Σ (n_c − 1)).

ρ is the intraclass correlation of seeds over cells (two-way, cells fixed, consistency),

    ρ = (MS_seed − MS_rest) / (MS_seed + (C − 1) MS_rest),

with limits from the F distribution of MS_seed / MS_rest: McGraw and Wong, "Forming inferences
about some intraclass correlation coefficients", Psychological Methods 1 (1996), ICC(C,1).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from results.statistics.cells import Cells
from results.statistics.compared import Cell, Weights
from results.statistics.intervals import Estimate, contrast, missing_estimate, t_quantile

TOO_FEW_SHARED = "fewer than two seeds that all its cells have"


@dataclass(frozen=True)
class Pairing:
    """How much the runs of one seed resemble each other across the cells of a study.

    Attributes:
        rho: The correlation; NaN where it cannot be estimated.
        low: Its lower limit.
        high: Its upper limit.
        seeds: Seeds that every cell has.
        cells: Cells with a run.
    """

    rho: float
    low: float
    high: float
    seeds: int
    cells: int

    def helps(self, cells: int, *, ci: float) -> bool:
        """Whether pairing narrows a contrast of so many cells, by the lower limit of rho."""
        if not math.isfinite(self.low) or self.seeds < 2:
            return False
        tail = 1 - (1 - ci) / 2
        paired = t_quantile(tail, self.seeds - 1) * math.sqrt(1 - min(self.low, 1.0))
        return paired < t_quantile(tail, cells * (self.seeds - 1))


def pairing(cells: Cells, scope: str, *, ci: float) -> Pairing:
    """The correlation of seeds over all cells that have a run.

    Args:
        cells: The cells.
        scope: MEAN, or a game.
        ci: Level of the limits.
    """
    present = [cell for cell in cells.arms if len(cells.runs[cell, scope])]
    shared = _shared(cells, present, scope)
    table = _by_seed(cells, present, shared, scope)
    n, c = table.shape
    nan = math.nan
    if n < 2 or c < 2:
        return Pairing(nan, nan, nan, n, c)
    centred = table - table.mean(axis=0)
    of_seed = centred.mean(axis=1)
    between = c * float((of_seed**2).sum()) / (n - 1)
    rest = float(((centred - of_seed[:, None]) ** 2).sum()) / ((n - 1) * (c - 1))
    scale = float(np.abs(table).max())
    if math.sqrt(rest) <= 1e-12 * scale:
        same = 1.0 if math.sqrt(between) > 1e-12 * scale else nan
        return Pairing(same, same, same, n, c)
    df = (n - 1, (n - 1) * (c - 1))
    f, tail = between / rest, 1 - (1 - ci) / 2
    low, high = f / special.fdtri(*df, tail), f * special.fdtri(*df[::-1], tail)
    return Pairing(_icc(f, c), _icc(float(low), c), _icc(float(high), c), n, c)


def paired(cells: Cells, weights: Weights, scope: str, *, ci: float) -> Estimate:
    """A contrast made within each seed that all its cells have, then averaged over those seeds."""
    if reason := cells.lack(weights, scope):
        return missing_estimate(reason)
    involved = list(weights)
    shared = _shared(cells, involved, scope)
    if len(shared) < 2:
        return missing_estimate(TOO_FEW_SHARED)
    within = _by_seed(cells, involved, shared, scope) @ np.array(list(weights.values()))
    return contrast([within], [1], ci=ci)


def _icc(f: float, cells: int) -> float:
    return (f - 1) / (f + cells - 1)


def _shared(cells: Cells, chosen: list[Cell], scope: str) -> list[int]:
    common = [set(cells.seeds[cell, scope]) for cell in chosen]
    return sorted(set.intersection(*common)) if common else []


def _by_seed(cells: Cells, chosen: list[Cell], shared: list[int], scope: str) -> np.ndarray:
    """[seeds, cells], the scores of the shared seeds."""
    columns = []
    for cell in chosen:
        of_seed = dict(zip(cells.seeds[cell, scope], cells.runs[cell, scope], strict=True))
        columns.append([of_seed[seed] for seed in shared])
    return np.array(columns, dtype=float).T.reshape(len(shared), len(chosen))
