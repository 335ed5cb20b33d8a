"""The few games whose scores best predict the median of a whole benchmark.

After Aitchison, Sweetser and Hutter, "Atari-5: Distilling the Arcade Learning Environment down to
Five Games", arXiv:2210.02019: for every subset of k games a regression without intercept,

    φ(median over all games) = Σ_g w_g φ(score of g),      φ(s) = log10(1 + max(0, 100 s)),

over the arms (methods) of a study, s being human-normalised. Subsets are compared by the
leave-one-out error over methods, e_i / (1 − h_ii) with h the hat matrix. The best of many subsets
flatters itself; so its promise is checked by choosing anew without a fifth of the methods at a
time and predicting those.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from results.statistics.errors import StatisticsError, counted, listed
from results.statistics.scores import Scores

MOST_SUBSETS = 300_000
FOLDS = 5
SINGULAR = 1e-9
CHUNK = 20_000


@dataclass(frozen=True)
class Subset:
    """A set of games that predicts the benchmark's median.

    Attributes:
        games: Its games.
        weights: w, one per game.
        error: Root mean square of its leave-one-out errors, in log10.
    """

    games: tuple[str, ...]
    weights: tuple[float, ...]
    error: float


@dataclass(frozen=True)
class Subsets:
    """The best subsets of one size.

    Attributes:
        best: The best first.
        methods: Arms that they were fitted on.
        benchmark: Games of the whole.
        searched: How many subsets were compared.
        honest_error: Root mean square error, in log10, of methods that had no part in the choice
            of the subset and its weights.
        honest_r2: Share of the variance between methods that these predictions explain.
        baseline_error: Error of predicting the mean of the other methods instead.
    """

    best: tuple[Subset, ...]
    methods: tuple[str, ...]
    benchmark: tuple[str, ...]
    searched: int
    honest_error: float
    honest_r2: float
    baseline_error: float


def log_normalised(hns: np.ndarray) -> np.ndarray:
    """φ of human-normalised scores; random play and everything below it is 0."""
    return np.asarray(np.log10(1 + np.maximum(0.0, 100 * hns)))


def best_subsets(scores: Scores, size: int, *, shown: int = 5) -> Subsets:
    """Searches all subsets of a size.

    Args:
        scores: The scores of many methods on all games of the benchmark.
        size: Games in a subset.
        shown: How many of the best are kept.

    Raises:
        UnknownGame: if a game has raw returns only.
        StatisticsError: if there are too few methods or games, or too many subsets.
    """
    matrices = scores.matrices()
    methods = tuple(arm for arm in scores.arms if len(matrices.values[arm]))
    games = matrices.games
    _check(size, games, methods)
    means = np.array([matrices.values[arm].mean(axis=0) for arm in methods])
    features, target = log_normalised(means), log_normalised(np.median(means, axis=1))
    chosen = np.array(list(itertools.combinations(range(len(games)), size)))
    errors = loo_errors(features, target, chosen)
    if not np.isfinite(errors).any():
        raise StatisticsError(
            f"No subset of {counted(size, 'game')} can be fitted: the methods' scores on them do "
            "not differ enough. Choose fewer games, or import more methods."
        )
    order = np.argsort(errors, kind="stable")[:shown]
    predictions, baseline = _held_out(features, target, chosen)
    residual, total = target - predictions, target - target.mean()
    return Subsets(
        best=tuple(
            Subset(
                tuple(games[g] for g in chosen[one]),
                tuple(float(w) for w in _fit(features[:, chosen[one]], target)),
                float(errors[one]),
            )
            for one in order
            if math.isfinite(errors[one])
        ),
        methods=methods,
        benchmark=games,
        searched=len(chosen),
        honest_error=float(np.sqrt((residual**2).mean())),
        honest_r2=1 - float((residual**2).sum()) / float((total**2).sum())
        if (total**2).sum() > 0
        else math.nan,
        baseline_error=float(np.sqrt(((target - baseline) ** 2).mean())),
    )


def loo_errors(features: np.ndarray, target: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """[subsets], the root mean square leave-one-out error of each; infinite where unfittable.

    Args:
        features: [methods, games].
        target: [methods].
        chosen: [subsets, k], indices of games.
    """
    found = [
        _loo_errors(features, target, chosen[start : start + CHUNK])
        for start in range(0, len(chosen), CHUNK)
    ]
    return np.concatenate(found)


def _loo_errors(features: np.ndarray, target: np.ndarray, chosen: np.ndarray) -> np.ndarray:
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


def _held_out(
    features: np.ndarray, target: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """[methods] twice: predictions of each without its fold, and the mean of the others."""
    fold = np.arange(len(target)) % FOLDS
    predictions, baseline = np.empty(len(target)), np.empty(len(target))
    for out in np.unique(fold):
        kept, held = fold != out, fold == out
        errors = loo_errors(features[kept], target[kept], chosen)
        best = chosen[int(np.argmin(errors))]
        weights = _fit(features[kept][:, best], target[kept])
        predictions[held] = features[held][:, best] @ weights
        baseline[held] = target[kept].mean()
    return predictions, baseline


def _fit(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.lstsq(x, target, rcond=None)[0])


def _check(size: int, games: Sequence[str], methods: Sequence[str]) -> None:
    """Refuses a search that has no answer.

    Raises:
        StatisticsError: if so.
    """
    if size >= len(games):
        raise StatisticsError(
            f"A subset of {counted(size, 'game')} is no smaller than the benchmark, which has "
            f"{counted(len(games), 'game')} that every arm has runs of ({listed(games)})."
        )
    fewest = math.ceil((size + 2) * FOLDS / (FOLDS - 1))
    if len(methods) < fewest:
        raise StatisticsError(
            f"A regression on {counted(size, 'game')}, checked on held-out methods, needs at "
            f"least {fewest} arms (methods), and {len(methods)} have runs of every game. Import "
            "the results of more methods, or ask for a smaller subset."
        )
    count = math.comb(len(games), size)
    if count > MOST_SUBSETS:
        raise StatisticsError(
            f"There are {count:,} subsets of {size} of {len(games)} games, and {MOST_SUBSETS:,} "
            "is the most that is searched: ask for a smaller subset, or choose games with --games."
        )
