"""The few games whose scores best predict the median of a whole benchmark.

After Aitchison, Sweetser and Hutter, "Atari-5: Distilling the Arcade Learning Environment down to
Five Games", arXiv:2210.02019: for every subset of k games a regression without intercept,

    φ(median over all games) = Σ_g w_g φ(score of g),      φ(s) = log10(1 + max(0, 100 s)),

over the arms (methods) of a study, s being human-normalised. All subsets are compared by the
leave-one-out error over methods, e_i / (1 − h_ii) with h the hat matrix. The best of many subsets
flatters itself; so its promise is checked by choosing anew without a fifth of the methods at a
time and predicting those.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from results.statistics import progress
from results.statistics.errors import StatisticsError, counted, listed
from results.statistics.scores import Scores
from results.statistics.subset_search import search

MOST_SUBSETS = 50_000_000  # 6 of 57 games are 36 million
FOLDS = 5


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
    searches = 1 + min(FOLDS, len(methods))
    told = _telling(counted(size, "game"), len(games), searches)
    chosen, errors = search(features, target, size, kept=shown, told=told)
    if not chosen:
        raise StatisticsError(
            f"No subset of {counted(size, 'game')} can be fitted: the methods' scores on them do "
            "not differ enough. Choose fewer games, or import more methods."
        )
    predictions, baseline = _held_out(features, target, size, told)
    residual, total = target - predictions, target - target.mean()
    return Subsets(
        best=tuple(
            Subset(
                tuple(games[g] for g in one),
                tuple(float(w) for w in _fit(features[:, one], target)),
                float(error),
            )
            for one, error in zip(chosen, errors, strict=True)
        ),
        methods=methods,
        benchmark=games,
        searched=math.comb(len(games), size),
        honest_error=float(np.sqrt((residual**2).mean())),
        honest_r2=1 - float((residual**2).sum()) / float((total**2).sum())
        if (total**2).sum() > 0
        else math.nan,
        baseline_error=float(np.sqrt(((target - baseline) ** 2).mean())),
    )


def _held_out(
    features: np.ndarray, target: np.ndarray, size: int, told: Callable[[int, int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """[methods] twice: predictions of each without its fold, and the mean of the others."""
    fold = np.arange(len(target)) % FOLDS
    predictions, baseline = np.full(len(target), np.nan), np.empty(len(target))
    for out in np.unique(fold):
        kept, held = fold != out, fold == out
        found, _ = search(features[kept], target[kept], size, kept=1, told=told)
        baseline[held] = target[kept].mean()
        for best in found:
            weights = _fit(features[kept][:, best], target[kept])
            predictions[held] = features[held][:, best] @ weights
    return predictions, baseline


def _telling(subset: str, games: int, searches: int) -> Callable[[int, int], None]:
    """Tells who watches how far all searches together are."""
    done_before = 0

    def told(done: int, steps: int) -> None:
        nonlocal done_before
        progress.tell(f"subsets of {subset} out of {games}", done_before + done, searches * steps)
        if done == steps:
            done_before += steps

    return told


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
