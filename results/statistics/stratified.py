"""The stratified bootstrap: runs are drawn anew within each game, independently per game.

Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
arXiv:2108.13264. Scores are [runs, games, ...]; where games have unequal numbers of runs, the
shorter columns end in NaN. The runs of full matrices are drawn by rliable, which knows no others,
and the intervals are those of its `get_interval_estimates`; only the statistic is computed for
many draws at once. For the rest the same is done here: of a game with n runs, n are drawn with
replacement. Intervals are percentiles, stored under everything that decides them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np

from results.statistics import cache, progress

VERSION = 1  # raised when a statistic changes: what was stored of the earlier one is not read
Statistic = Callable[..., np.ndarray]
_State = dict[str, Any]
CHUNK = 250  # draws that a statistic is given at once
MOST_KEPT = 4_000_000  # runs drawn: 32 MB


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
        statistic: Takes as many arrays as there are samples, [draws, runs, games, ...] each, and
            returns [draws, numbers].
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
        uneven = any(np.isnan(sample).any() for sample in samples)
        drawing = _uneven if uneven else _rliable
        return drawing(name, statistic, samples, ci=ci, resamples=resamples, seed=seed)

    return cache.remembered(cache.key(words, samples), compute)


def packed(columns: Sequence[np.ndarray]) -> np.ndarray:
    """[runs, games], one column per game, filled up with NaN below."""
    filled = np.full((max(map(len, columns), default=0), len(columns)), np.nan)
    for index, column in enumerate(columns):
        filled[: len(column), index] = column
    return filled


def runs_per_game(scores: np.ndarray) -> np.ndarray:
    """[..., games], how many runs each has, of [..., runs, games]."""
    return np.asarray((~np.isnan(scores)).sum(axis=-2))


def weights(scores: np.ndarray) -> np.ndarray:
    """[runs, games], summing to 1: every game weighs the same, and every run of one game."""
    present = ~np.isnan(scores)
    return np.asarray(present / (present.sum(axis=0) * scores.shape[1]))


def _rliable(
    name: str,
    statistic: Statistic,
    samples: Sequence[np.ndarray],
    *,
    ci: float,
    resamples: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The percentiles of `rliable.library.get_interval_estimates`: its draws, many at a time."""
    shapes = tuple(sample.shape for sample in samples)
    keep = resamples * sum(map(math.prod, shapes)) <= MOST_KEPT
    found, done = [], 0
    for rows in (_kept_rows if keep else _rows)(shapes, resamples, seed):
        drawn = [np.take_along_axis(sample[None], row, axis=1)
                 for sample, row in zip(samples, rows, strict=True)]  # fmt: skip
        found.append(statistic(*drawn))
        done += len(found[-1])
        progress.tell(f"bootstrap of {name}", done, resamples)
    return _percentiles(np.concatenate(found), ci)


@lru_cache(maxsize=4)
def _kept_rows(
    shapes: tuple[tuple[int, ...], ...], resamples: int, seed: int
) -> tuple[list[np.ndarray], ...]:
    """The same, kept: all arms with equally many runs draw the same rows."""
    return tuple(_rows(shapes, resamples, seed))


def _rows(
    shapes: tuple[tuple[int, ...], ...], resamples: int, seed: int
) -> Iterator[list[np.ndarray]]:
    """Which runs rliable draws, chunk by chunk: of each sample [draws, runs, games, ...]."""
    from rliable import library  # a second of imports that only a first call needs

    empty = [np.empty(shape) for shape in shapes]
    alone = len(shapes) == 1
    maker = library.StratifiedBootstrap if alone else library.StratifiedIndependentBootstrap
    bootstrap = maker(*empty)
    state: _State = np.random.RandomState(seed).get_state(legacy=False)
    for done in range(0, resamples, CHUNK):
        with _global_numpy(state):
            drawn = [bootstrap.update_indices() for _ in range(min(CHUNK, resamples - done))]
            state = np.random.get_state(legacy=False)  # noqa: NPY002
        if alone:
            yield [np.array([rows for rows, *_ in drawn])]
        else:
            of_samples = zip(*(positional for positional, _ in drawn), strict=True)
            yield [np.array([rows for rows, *_ in one]) for one in of_samples]


def _uneven(
    name: str,
    statistic: Statistic,
    samples: Sequence[np.ndarray],
    *,
    ci: float,
    resamples: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    for done in range(0, resamples, CHUNK):
        now = min(CHUNK, resamples - done)
        drawn = [[_drawn(sample, rng) for sample in samples] for _ in range(now)]
        found.append(statistic(*map(np.array, zip(*drawn, strict=True))))
        progress.tell(f"bootstrap of {name}", done + now, resamples)
    return _percentiles(np.concatenate(found), ci)


def _percentiles(found: np.ndarray, ci: float) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the intervals of [draws, numbers]."""
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
def _global_numpy(state: _State) -> Iterator[None]:
    """Puts numpy's global generator into a state, and back afterwards.

    rliable ignores the generator it is given and draws from the global one.
    """
    before = np.random.get_state(legacy=False)  # noqa: NPY002  rliable reads the global generator
    np.random.set_state(state)  # noqa: NPY002  rliable reads the global generator
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002  rliable reads the global generator
