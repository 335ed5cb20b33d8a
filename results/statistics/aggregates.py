"""Aggregates over games with stratified bootstrap intervals: rliable, with its traps closed.

Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
arXiv:2108.13264. The bootstrap resamples runs within each game, independently per game, and
takes percentiles. Mean and median are over per-game means; interquartile mean (IQM) and
optimality gap are over all runs x games.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from results.statistics.errors import StatisticsError
from results.statistics.intervals import NO_SPREAD, ONE_SEED
from results.statistics.options import Options
from results.statistics.scores import Matrices, Scores

FEW_RUNS = 10  # with fewer per game the percentile bootstrap covers visibly too little
TOO_NARROW = (
    "With few runs they are too narrow (simulated contrasts are covered by 83% of 95% intervals "
    "at 3 runs, by 91% at 5)."
)
NO_RUN = "no seed has every game yet"


def mean(scores: np.ndarray) -> float:
    """Mean over games of the per-game mean, of scores [runs, games]."""
    return float(scores.mean(axis=0).mean())


def median(scores: np.ndarray) -> float:
    """Median over games of the per-game mean, of scores [runs, games]."""
    return float(np.median(scores.mean(axis=0)))


def iqm(scores: np.ndarray) -> float:
    """Interquartile mean: of all runs x games, without int(n / 4) lowest and highest."""
    ordered = np.sort(scores, axis=None)
    cut = int(0.25 * ordered.size)
    return float(ordered[cut : ordered.size - cut].mean())


def optimality_gap(scores: np.ndarray) -> float:
    """How far the scores, each counted at most 1 (human), fall short of 1 on average."""
    return float(1 - np.minimum(scores, 1).mean())


METRICS: dict[str, Callable[[np.ndarray], float]] = {
    "mean": mean,
    "median": median,
    "iqm": iqm,
    "optimality_gap": optimality_gap,
}
LOWER_IS_BETTER = ("optimality_gap",)


@dataclass(frozen=True)
class Aggregate:
    """One aggregate of one arm, and how sure it is.

    Attributes:
        arm: The arm.
        metric: A key of METRICS.
        value: Point estimate; NaN where no run is complete.
        low: Lower end of the interval; NaN where there is none.
        high: Upper end of the interval.
        runs: Runs per game that went in.
        note: Why there is no interval, or no value; else empty.
    """

    arm: str
    metric: str
    value: float
    low: float
    high: float
    runs: int
    note: str


@dataclass(frozen=True)
class Aggregates:
    """The aggregates of a study with everything needed to make them again.

    Attributes:
        values: One per arm and metric, arms in order.
        matrices: The scores that went in, and what was left out of them.
        normalization: Identifier of the table of random and human returns.
        env_frames: Where the arms are compared.
        ci: Level of the intervals.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """

    values: tuple[Aggregate, ...]
    matrices: Matrices
    normalization: str
    env_frames: int
    ci: float
    resamples: int
    seed: int

    @property
    def too_narrow(self) -> bool:
        """Whether an interval rests on so few runs that it is narrower than it says."""
        return any(one.runs < FEW_RUNS and math.isfinite(one.low) for one in self.values)


def aggregate(
    arm: str, scores: np.ndarray, *, ci: float, resamples: int, seed: int
) -> tuple[Aggregate, ...]:
    """All METRICS of one arm, with percentile intervals from the stratified bootstrap.

    The interval depends on the scores and the seed alone, not on other arms or earlier calls.

    Args:
        arm: Name of the arm.
        scores: [runs, games] human-normalised scores; no row means that there is no run.
        ci: Level of the intervals.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Raises:
        StatisticsError: if the scores are no matrix, have no game, or hold a NaN.
    """
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise StatisticsError(
            f"Aggregates take a matrix of runs x games; arm {arm!r} has shape {scores.shape}."
        )
    if not np.isfinite(scores).all():
        raise StatisticsError(
            f"The scores of arm {arm!r} hold {int((~np.isfinite(scores)).sum())} values that are "
            "missing or infinite: aggregate the full matrix of runs that all games share."
        )
    runs = len(scores)
    flat = runs > 0 and bool(np.ptp(scores, axis=0).max() <= 1e-12 * np.abs(scores).max())
    if runs < 2 or flat:
        note = NO_RUN if runs == 0 else ONE_SEED if runs == 1 else NO_SPREAD
        return tuple(
            Aggregate(arm, name, metric(scores) if runs else np.nan, np.nan, np.nan, runs, note)
            for name, metric in METRICS.items()
        )
    low, high = _bootstrap(scores, ci=ci, resamples=resamples, seed=seed)
    return tuple(
        Aggregate(arm, name, metric(scores), float(low[row]), float(high[row]), runs, "")
        for row, (name, metric) in enumerate(METRICS.items())
    )


def study_aggregates(scores: Scores, options: Options) -> Aggregates:
    """The aggregates of every arm over the games that all arms share.

    rliable needs full matrices, so a seed that lacks a game is left out of its arm, and a game
    that lacks an arm is left out of all; `matrices` says which. Only a partial answer can
    come to that: `scores.collect` refuses missing runs otherwise.

    Raises:
        UnknownGame: if one of the games has raw returns only.
        IncompleteStudy: if no game has a run of every arm.
    """
    matrices = scores.matrices()
    values = [
        one
        for arm in scores.arms
        for one in aggregate(
            arm,
            matrices.values[arm],
            ci=options.ci,
            resamples=options.resamples,
            seed=options.seed,
        )
    ]
    return Aggregates(
        values=tuple(values),
        matrices=matrices,
        normalization=scores.normalization.id,
        env_frames=scores.env_frames,
        ci=options.ci,
        resamples=options.resamples,
        seed=options.seed,
    )


def aggregates_frame(aggregates: Aggregates) -> pd.DataFrame:
    """One tidy row per arm and metric."""
    return pd.DataFrame([asdict(one) for one in aggregates.values])


def _bootstrap(
    scores: np.ndarray, *, ci: float, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    from rliable import library  # a second of imports that only aggregates need

    def every_metric(sample: np.ndarray) -> np.ndarray:
        return np.array([metric(sample) for metric in METRICS.values()])

    with _global_numpy_seeded(seed):
        _, intervals = library.get_interval_estimates(
            {"arm": scores}, every_metric, reps=resamples, confidence_interval_size=ci
        )
    low, high = intervals["arm"]
    return low, high


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
