"""The bootstrap beside the t-interval: percentiles of a contrast over resampled seeds.

Seeds are drawn with replacement within each cell. The plain percentile interval covers too little
at few seeds, because a resample of n runs varies by (n − 1) / n of what they do: the deviations of
a resampled mean are therefore widened by √(n / (n − 1)). Simulated for a difference of differences
of normal scores, the 95% interval then covers 90% at 3 seeds, 94.5% at 5, 93% at 10. It is a check
on the t-interval, not its rival. Efron and Tibshirani, "An Introduction to the Bootstrap" (1993).
"""

import math
import zlib

import numpy as np

from results.statistics.cells import Cells
from results.statistics.compared import Weights

FEWEST = 3  # of two runs there are three resamples, which are no distribution


class Bootstrap:
    """Resampled means of the cells of a study; every contrast is made of the same ones.

    The draws of a cell depend on the seed, the scope and the name of its arm alone.
    """

    def __init__(self, cells: Cells, *, resamples: int, seed: int) -> None:
        """Prepares to resample.

        Args:
            cells: The cells.
            resamples: How often their seeds are drawn.
            seed: Seed of the draws.
        """
        self._cells, self._resamples, self._seed = cells, resamples, seed
        self._deviations: dict[tuple[object, str], np.ndarray] = {}

    def interval(self, weights: Weights, scope: str, *, ci: float) -> tuple[float, float]:
        """The inflated percentile interval; NaN where a cell has fewer than three runs.

        Args:
            weights: The contrast; empty means that it is not one of cell means.
            scope: MEAN, or a game.
            ci: Level of the interval.
        """
        runs = self._cells.runs
        if not weights or any(len(runs.get((cell, scope), ())) < FEWEST for cell in weights):
            return math.nan, math.nan
        value = math.fsum(w * self._cells.mean(cell, scope) for cell, w in weights.items())
        moved = sum(w * self._moved(cell, scope) for cell, w in weights.items())
        low, high = np.quantile(value + moved, [(1 - ci) / 2, (1 + ci) / 2])
        return float(low), float(high)

    def _moved(self, cell: frozenset[tuple[str, str]], scope: str) -> np.ndarray:
        """[resamples], how far the mean of a cell moves from resample to resample."""
        if (cell, scope) not in self._deviations:
            runs = self._cells.runs[cell, scope]
            n = len(runs)
            name = f"{scope}\n{self._cells.arms[cell]}".encode()
            rng = np.random.default_rng([self._seed, zlib.crc32(name)])
            drawn = runs[rng.integers(n, size=(self._resamples, n))].mean(axis=1)
            self._deviations[cell, scope] = (drawn - runs.mean()) * math.sqrt(n / (n - 1))
        return self._deviations[cell, scope]
