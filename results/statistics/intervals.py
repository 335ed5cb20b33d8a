"""t-intervals of linear contrasts of cells, and the smallest effect they could detect.

A cell holds one value per seed. For weights w_c and cells with n_c seeds, mean m_c and
variance v_c:

    estimate = Σ w_c m_c,   s² = Σ (n_c − 1) v_c / df,   df = Σ (n_c − 1),
    se = s √(Σ w_c² / n_c),   interval = estimate ± t(df) se.

The variance is pooled over the cells involved and the seeds are treated as independent: after
training, the runs of one seed in two arms are hardly correlated, and pairing them costs more in
degrees of freedom than it gains. The percentile bootstrap covers too little at few seeds (a
difference of differences at n = 3: 83% instead of 95%), this interval does not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

ONE_SEED = "one seed: no interval"
MEANS_ONLY = "a mean over an unknown number of runs: no interval"
SINGLE = "a game has a single run: no interval"
NO_SPREAD = "all seeds equal: no interval"


@dataclass(frozen=True)
class Estimate:
    """A linear contrast of cell means, and how sure it is; NaN where there is no interval.

    Attributes:
        value: The contrast of the means.
        low: Lower end of the interval.
        high: Upper end of the interval.
        se: Standard error.
        df: Degrees of freedom of the pooled variance.
        sd: Pooled standard deviation between seeds.
        p: Two-sided p-value against 0.
        mde: Minimal detectable effect, at 80% power and the interval's level.
        fewest: Fewest runs in a cell.
        most: Most runs in a cell.
        note: Why there is no interval, or no value; else empty.
    """

    value: float
    low: float
    high: float
    se: float
    df: int
    sd: float
    p: float
    mde: float
    fewest: int
    most: int
    note: str

    def at_level(self, ci: float) -> tuple[float, float]:
        """The ends of the interval at another level."""
        half = t_quantile(1 - (1 - ci) / 2, self.df) * self.se if self.df else math.nan
        return self.value - half, self.value + half


def missing_estimate(reason: str) -> Estimate:
    """The estimate of what cannot be estimated: NaN and the reason, never 0."""
    nan = math.nan
    return Estimate(nan, nan, nan, nan, 0, nan, nan, nan, 0, 0, reason)


def contrast(
    cells: Sequence[np.ndarray], weights: Sequence[float], *, ci: float, alone: str = ONE_SEED
) -> Estimate:
    """Estimates a weighted sum of cell means with the pooled-variance t-interval.

    Args:
        cells: Per cell, [runs], one value per seed, none missing.
        weights: Per cell, its weight.
        ci: Level of the interval.
        alone: The note where every cell has one value.

    Returns:
        The estimate; without an interval where every cell has one run, or where the values
        of every cell are all equal (a game on its floor): a spread of 0 is not certainty.

    Raises:
        ValueError: if a cell is empty or holds a NaN, or the lengths differ.
    """
    if len(cells) != len(weights) or any(len(c) == 0 or np.isnan(c).any() for c in cells):
        raise ValueError("a contrast needs one weight per cell and at least one value in each")
    counts = [len(cell) for cell in cells]
    value = math.fsum(w * float(cell.mean()) for w, cell in zip(weights, cells, strict=True))
    df = sum(counts) - len(counts)
    nan = math.nan
    if df == 0:
        return Estimate(value, nan, nan, nan, 0, nan, nan, nan, 1, 1, alone)
    sd = math.sqrt(math.fsum(float(((c - c.mean()) ** 2).sum()) for c in cells) / df)
    scale = max(float(np.abs(cell).max()) for cell in cells)
    if sd <= 1e-12 * scale:
        few, many = min(counts), max(counts)
        return Estimate(value, nan, nan, nan, df, 0.0, nan, nan, few, many, NO_SPREAD)
    se = sd * math.sqrt(math.fsum(w**2 / n for w, n in zip(weights, counts, strict=True)))
    half = t_quantile(1 - (1 - ci) / 2, df) * se
    return Estimate(
        value=value,
        low=value - half,
        high=value + half,
        se=se,
        df=df,
        sd=sd,
        p=t_two_sided(value / se, df),
        mde=minimal_detectable_effect(se, df, alpha=1 - ci),
        fewest=min(counts),
        most=max(counts),
        note="",
    )


def minimal_detectable_effect(
    se: float, df: int, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The true effect that a two-sided t-test finds with the given power.

    From the noncentral t distribution with the interval's own degrees of freedom; the usual
    2.8 se is right for many seeds only (with df = 4 it is 3.8 se).

    Args:
        se: Standard error of the estimate.
        df: Its degrees of freedom, at least 1.
        alpha: Level of the test; divide by the size of a family for Holm's first step.
        power: Probability of finding the effect.
    """
    return se * _noncentrality(df, alpha, power)


@lru_cache(maxsize=1024)
def _noncentrality(df: int, alpha: float, power: float) -> float:
    # T = (Z + δ) / R with R² = χ²(df) / df. Given R the power is a normal probability; its
    # mean over R is a quadrature over the quantiles of R. (scipy's nct is NaN in places.)
    critical = t_quantile(1 - alpha / 2, df)
    nodes, weights = _quadrature()
    thresholds = critical * np.sqrt(chi2_quantile(nodes, df) / df)

    def excess(delta: float) -> float:
        found = special.ndtr(delta - thresholds) + special.ndtr(-delta - thresholds)
        return float((weights * found).sum()) - power

    low, high = 0.0, float(thresholds.max()) + 5
    while low < (middle := (low + high) / 2) < high:  # until no number lies between them
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return high


@lru_cache(maxsize=1024)
def t_quantile(probability: float, df: int) -> float:
    """The quantile of Student's t distribution; it is asked for the same ones again and again."""
    return float(special.stdtrit(df, probability))


def t_two_sided(t: float, df: int) -> float:
    """The probability that Student's t distribution gives values at least as far from 0."""
    return 2 * float(special.stdtr(df, -abs(t)))


def chi2_quantile(probabilities: np.ndarray, df: int) -> np.ndarray:
    """Quantiles of the χ² distribution."""
    return np.asarray(2 * special.gammaincinv(df / 2, probabilities))


@lru_cache(maxsize=1)
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(128)
    return (nodes + 1) / 2, weights / 2
