"""Inference on a family of contrasts at once: Holm's step-down, and the largest |t|.

Contrasts that share cells are correlated, so dividing the level by their number asks for too much.
Instead the joint distribution of the t statistics where nothing is true is simulated, with the
weights, the numbers of seeds and the degrees of freedom of the very family: cell means are normal,
their spreads chi-squared. The smallest p-value of a family is below the `level` found here in a
share 1 − ci of the simulated families: intervals at 1 − level cover all true values together with
probability ci (single step), and p-values are adjusted by stepping down through the family.

Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6 (1979);
Westfall and Young, "Resampling-Based Multiple Testing" (1993), algorithm 2.8 (min P), of which
Romano and Wolf, JASA 100 (2005), is the general form; here with a parametric bootstrap, because
resampling three seeds knows too little about their tails.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

DRAWS = 10_000
SEED = 0  # of the simulated families: their quantile, not an answer, depends on it


@dataclass(frozen=True)
class Simultaneous:
    """What a family of tests makes of its members.

    Attributes:
        level: The two-sided level of each interval of a family, at most 1 − ci.
        p: Per contrast, the p-value adjusted by stepping down, in order.
    """

    level: float
    p: tuple[float, ...]


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


def null_of_cells(weights: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Simulated p-values of contrasts, each with the variance pooled over its own cells.

    Args:
        weights: [contrasts, cells], 0 where a contrast has no part of a cell.
        counts: [cells], runs per cell, at least 1.

    Returns:
        [DRAWS, contrasts], two-sided p-values under no effect anywhere.
    """
    matrix = np.ascontiguousarray(weights, dtype=float)
    return _null_of_cells(matrix.tobytes(), matrix.shape, tuple(counts))


def null_of_model(covariance: np.ndarray, df: int) -> np.ndarray:
    """Simulated p-values of estimates that share one estimate of the variance.

    Args:
        covariance: [contrasts, contrasts], of the estimates, up to the variance.
        df: Degrees of freedom of the variance.

    Returns:
        [DRAWS, contrasts], two-sided p-values under no effect anywhere.
    """
    rng = np.random.default_rng(SEED)
    scale = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    normal = rng.standard_normal((DRAWS, len(values)))
    z = normal @ (vectors * np.sqrt(np.maximum(values, 0))).T
    spread = np.sqrt(rng.chisquare(df, size=(DRAWS, 1)) / df)
    return two_sided(z / spread, np.array([df]))


def adjust(null: np.ndarray, p_values: Sequence[float], *, ci: float) -> Simultaneous:
    """The level of simultaneous intervals, and the p-values adjusted by stepping down.

    Both stay between what one contrast alone and what Bonferroni or Holm would give.

    Args:
        null: [draws, contrasts], simulated p-values under no effect anywhere.
        p_values: [contrasts], the observed ones.
        ci: Probability that all intervals of the family cover.
    """
    family = len(p_values)
    if family == 0:
        return Simultaneous(1 - ci, ())
    alpha = 1 - ci
    smallest = float(np.quantile(null.min(axis=1), alpha))
    level = min(max(smallest, alpha / family), alpha) if family > 1 else alpha
    order = np.argsort(p_values)
    least = np.minimum.accumulate(null[:, order[::-1]], axis=1)[:, ::-1]
    observed = np.asarray(p_values, dtype=float)[order]
    steps = np.maximum((least <= observed).mean(axis=0), observed)
    stepped = np.minimum(np.maximum.accumulate(steps), np.asarray(holm(p_values))[order])
    adjusted = np.empty(family)
    adjusted[order] = stepped
    return Simultaneous(level, tuple(float(one) for one in adjusted))


def two_sided(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Two-sided p-values of t statistics [..., contrasts] with [contrasts] degrees of freedom."""
    return np.asarray(2 * special.stdtr(df, -np.abs(t)))


@lru_cache(maxsize=32)
def _null_of_cells(weights: bytes, shape: tuple[int, int], counts: tuple[int, ...]) -> np.ndarray:
    matrix = np.frombuffer(weights).reshape(shape)
    n = np.asarray(counts)
    rng = np.random.default_rng(SEED)
    means = rng.standard_normal((DRAWS, len(n))) / np.sqrt(n)
    squares = np.where(n > 1, rng.chisquare(np.maximum(n - 1, 1), size=(DRAWS, len(n))), 0.0)
    involved = (matrix != 0).astype(float)
    df = involved @ (n - 1)
    se = np.sqrt((squares @ involved.T) / df * (matrix**2 @ (1 / n)))
    return two_sided((means @ matrix.T) / se, df)
