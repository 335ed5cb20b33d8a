"""The stratified bootstrap: runs are drawn anew within each game, independently per game.

Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
arXiv:2108.13264. Scores are [runs, games, ...]; where games have unequal numbers of runs, the
shorter columns end in NaN. Full matrices go through rliable, which knows no others. For the rest
the same is done here: of a game with n runs, n are drawn with replacement. Intervals are
percentiles, stored under everything that decides them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

import numpy as np

from results.statistics import cache, progress

VERSION = 1  # raised when a statistic changes: what was stored of the earlier one is not read
Statistic = Callable[..., np.ndarray]
STEPS_BETWEEN_WORDS = 50


def interval(
    name: str,
    statistic: Statistic,
    samples: Sequence[np.ndarray],
    *,
    ci: float,
    resamples: int,
    seed: int,
    settings: Sequence[float] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the percentile intervals of a statistic, one per number that it gives.

    They depend on the arguments alone: not on other samples, nor on earlier calls.

    Args:
        name: Names the statistic, for the cache and for who watches; nothing else may bear it.
        statistic: Takes as many arrays as there are samples, and returns [numbers].
        samples: [runs, games, ...] each, with at least one run of every game; a game's runs stand
            in the first rows, and the rest of its column is NaN. Several are drawn independently.
        ci: Level of the intervals.
        resamples: How often the runs are drawn.
        seed: Seed of the draws.
        settings: What else the statistic depends on.
    """
    versions = (VERSION, version("rliable"), np.__version__)
    words: list[str | int | float] = [name, *versions, ci, resamples, seed, *settings]

    def compute() -> tuple[np.ndarray, np.ndarray]:
        counted = _counting(name, statistic, resamples)
        if any(np.isnan(sample).any() for sample in samples):
            return _uneven(counted, samples, ci=ci, resamples=resamples, seed=seed)
        return _rliable(counted, samples, ci=ci, resamples=resamples, seed=seed)

    return cache.remembered(cache.key(words, samples), compute)


def packed(columns: Sequence[np.ndarray]) -> np.ndarray:
    """[runs, games], one column per game, filled up with NaN below."""
    filled = np.full((max(map(len, columns), default=0), len(columns)), np.nan)
    for index, column in enumerate(columns):
        filled[: len(column), index] = column
    return filled


def runs_per_game(scores: np.ndarray) -> np.ndarray:
    """[games], how many runs each has."""
    return np.asarray((~np.isnan(scores)).sum(axis=0))


def weights(scores: np.ndarray) -> np.ndarray:
    """[runs, games], summing to 1: every game weighs the same, and every run of one game."""
    present = ~np.isnan(scores)
    return np.asarray(present / (present.sum(axis=0) * scores.shape[1]))


def _counting(name: str, statistic: Statistic, resamples: int) -> Statistic:
    """The statistic, telling who watches how often it was asked for."""
    done = 0

    def counted(*drawn: np.ndarray) -> np.ndarray:
        nonlocal done
        done += 1
        if done % STEPS_BETWEEN_WORDS == 0 or done >= resamples:
            progress.tell(name, min(done, resamples), resamples)
        return statistic(*drawn)

    return counted


def _rliable(
    statistic: Statistic, samples: Sequence[np.ndarray], *, ci: float, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    from rliable import library  # a second of imports that only a first call needs

    together = samples[0] if len(samples) == 1 else list(samples)
    with _global_numpy_seeded(seed):
        _, intervals = library.get_interval_estimates(
            {"these": together}, statistic, reps=resamples, confidence_interval_size=ci
        )
    low, high = intervals["these"]
    return np.asarray(low), np.asarray(high)


def _uneven(
    statistic: Statistic, samples: Sequence[np.ndarray], *, ci: float, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = np.array(
        [statistic(*(_drawn(sample, rng) for sample in samples)) for _ in range(resamples)]
    )
    low, high = np.quantile(found, [(1 - ci) / 2, (1 + ci) / 2], axis=0)
    return low, high


def _drawn(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One resample: as many runs of each game as it has, drawn with replacement."""
    flat = scores.reshape(*scores.shape[:2], -1)
    missing = np.isnan(flat[:, :, 0])
    counts = (~missing).sum(axis=0)
    rows = (rng.random(missing.shape) * counts).astype(int)
    drawn = np.take_along_axis(flat, rows[:, :, None], axis=0)
    drawn[missing] = np.nan
    return drawn.reshape(scores.shape)


@contextmanager
def _global_numpy_seeded(seed: int) -> Iterator[None]:
    """Seeds numpy's global generator and puts its state back afterwards.

    rliable ignores the generator it is given and draws from the global one.
    """
    before = np.random.get_state()  # noqa: NPY002  rliable reads the global generator
    np.random.seed(seed)  # noqa: NPY002  rliable reads the global generator
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002  rliable reads the global generator
