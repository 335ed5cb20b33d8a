"""The subsets of columns whose regression has the smallest leave-one-out error: all are compared.

There are 4.2 million ways to choose 5 of 57 games, and a leave-one-out error costs a pass over all
methods. But it is never less than the residual e of the fit itself,

    Σ_i (e_i / (1 − h_ii))² ≥ Σ_i e_i²,

and that needs only the Gram matrix: after sweeping the first k − 2 columns out of it, the residual
of every pair of further columns i, j is, with g the swept matrix and b the swept target,

    RSS = rss − (b_i² g_jj − 2 b_i b_j g_ij + b_j² g_ii) / (g_ii g_jj − g_ij²).

A subset whose RSS exceeds the leave-one-out sum of the worst one kept cannot be among the best:
what is found is what comparing all leave-one-out errors would find.

Sweep operator: Goodnight, "A tutorial on the SWEEP operator", The American Statistician 33 (1979);
leave-one-out by bounds: Furnival and Wilson, "Regressions by leaps and bounds", Technometrics 16
(1974).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

SINGULAR = 1e-9  # of the trace: a Gram matrix with a smaller eigenvalue gives no fit
DEPENDENT = 1e-12  # of a column's square: what is left of one that the others explain
SLACK = 1e-7  # of the target's square, for rounding in the sweeps
BATCH = 2_000


@dataclass
class _Best:
    """The best subsets so far, and those whose error is still to be computed."""

    features: np.ndarray
    target: np.ndarray
    kept: int
    errors: np.ndarray = field(default_factory=lambda: np.empty(0))
    chosen: list[tuple[int, ...]] = field(default_factory=list)
    waiting: list[np.ndarray] = field(default_factory=list)

    @property
    def bound(self) -> float:
        """The largest RSS with which a subset can still be among the best."""
        methods = len(self.target)
        worst = self.errors[-1] if len(self.errors) == self.kept else math.inf
        return float(methods * worst**2 + SLACK * (self.target**2).sum())

    def offer(self, subsets: np.ndarray) -> None:
        """Takes [subsets, k] that may be among the best."""
        self.waiting.append(subsets)
        if sum(map(len, self.waiting)) >= BATCH:
            self.settle()

    def settle(self) -> None:
        """Computes the errors that are due."""
        if not self.waiting:
            return
        subsets = np.concatenate(self.waiting)
        self.waiting.clear()
        found = loo_errors(self.features, self.target, subsets)
        errors = np.concatenate([self.errors, found])
        chosen = [*self.chosen, *(tuple(int(g) for g in one) for one in subsets)]
        order = [i for i in np.argsort(errors, kind="stable") if math.isfinite(errors[i])]
        self.errors = errors[order[: self.kept]]
        self.chosen = [chosen[i] for i in order[: self.kept]]


def search(
    features: np.ndarray,
    target: np.ndarray,
    size: int,
    *,
    kept: int,
    told: Callable[[int, int], None] = lambda done, steps: None,
) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """The subsets of so many columns with the smallest leave-one-out errors, the best first.

    Args:
        features: [methods, columns].
        target: [methods], regressed on the columns without an intercept.
        size: Columns in a subset.
        kept: How many subsets are returned; fewer where fewer can be fitted.
        told: Is told how many of the choices of the first columns are done, of how many.

    Returns:
        Their columns, and the root mean squares of their leave-one-out errors.
    """
    best = _Best(features, target, kept)
    columns = features.shape[1]
    gram = features.T @ features
    cross, total = features.T @ target, float(target @ target)
    scale = np.maximum(np.diag(gram), 1e-300)
    if size == 1:
        best.offer(np.arange(columns)[:, None])
    else:
        steps = math.comb(columns, size - 2)
        for done, swept in enumerate(_prefixes(gram, cross, total, scale, size - 2), start=1):
            _offer_pairs(best, swept, scale)
            if done % 256 == 0 and done < steps:
                told(done, steps)
        told(steps, steps)
    best.settle()
    return best.chosen, best.errors


@dataclass(frozen=True)
class _Swept:
    """What is left of the columns and the target after some columns are explained away."""

    columns: tuple[int, ...]
    gram: np.ndarray
    cross: np.ndarray
    rss: float


def _prefixes(
    gram: np.ndarray, cross: np.ndarray, total: float, scale: np.ndarray, size: int
) -> Iterator[_Swept]:
    """Every increasing choice of so many first columns, with what they leave over."""
    stack = [_Swept((), gram, cross, total)]
    while stack:
        one = stack.pop()
        if len(one.columns) == size:
            yield one
            continue
        first = one.columns[-1] + 1 if one.columns else 0
        for column in range(len(scale) - 1, first - 1, -1):
            pivot = one.gram[column, column]
            if pivot <= DEPENDENT * scale[column]:
                continue
            row = one.gram[column] / pivot
            slope = one.cross[column] / pivot
            stack.append(
                _Swept(
                    (*one.columns, column),
                    one.gram - np.outer(one.gram[column], row),
                    one.cross - one.gram[column] * slope,
                    one.rss - one.cross[column] * slope,
                )
            )


def _offer_pairs(best: _Best, swept: _Swept, scale: np.ndarray) -> None:
    """Offers every pair of later columns that can still be among the best."""
    first = swept.columns[-1] + 1 if swept.columns else 0
    g, b = swept.gram[first:, first:], swept.cross[first:]
    own = np.diag(g)
    alone = own > DEPENDENT * scale[first:]
    both = np.outer(own, own)
    rest = both - g**2
    fits = np.triu(np.outer(alone, alone) & (rest > DEPENDENT * both), 1)
    gain = (np.outer(b**2, own) + np.outer(own, b**2) - 2 * np.outer(b, b) * g)[fits] / rest[fits]
    i, j = np.nonzero(fits)
    near = swept.rss - gain <= best.bound
    if near.any():
        pairs = np.column_stack([i[near], j[near]]) + first
        prefix = np.tile(np.array(swept.columns, dtype=int), (len(pairs), 1))
        best.offer(np.column_stack([prefix, pairs]))


def loo_errors(features: np.ndarray, target: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """[subsets], the root mean square leave-one-out error of each; infinite where unfittable.

    Args:
        features: [methods, columns].
        target: [methods].
        chosen: [subsets, k], indices of columns.
    """
    x = np.moveaxis(features[:, chosen], 1, 0)  # [subsets, methods, k]
    gram = np.swapaxes(x, 1, 2) @ x
    scale = np.maximum(np.trace(gram, axis1=1, axis2=2), 1e-300)
    good = np.linalg.eigvalsh(gram)[:, 0] > SINGULAR * scale
    errors = np.full(len(chosen), np.inf)
    if not good.any():
        return errors
    x, gram = x[good], gram[good]
    solved = np.linalg.solve(gram, np.swapaxes(x, 1, 2))  # [subsets, k, methods]
    fitted = np.einsum("smk,skn,n->sm", x, solved, target, optimize=True)
    leverage = np.einsum("smk,skm->sm", x, solved)
    left_out = (target - fitted) / np.maximum(1 - leverage, 1e-9)
    errors[good] = np.sqrt((left_out**2).mean(axis=1))
    return errors
