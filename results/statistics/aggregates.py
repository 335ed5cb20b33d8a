"""Aggregates over games with stratified bootstrap intervals.

Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
arXiv:2108.13264. Mean and median are over per-game means; interquartile mean (IQM) and optimality
gap are over all runs x games. Where games have unequal numbers of runs every game weighs the same,
and so do the runs of one game; with equal numbers that is what rliable computes.

The clipped mean takes each game's mean score between 0 and 1 (Badia et al., arXiv:2003.13350); the
human gap is how far each game's mean falls short of 1 (Dabney et al., arXiv:1806.06923).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from results.statistics import stratified
from results.statistics.errors import IncompleteStudy, StatisticsError
from results.statistics.intervals import MEANS_ONLY, NO_SPREAD, ONE_SEED
from results.statistics.options import Options
from results.statistics.scores import Scores

FEW_RUNS = 10  # with fewer per game the percentile bootstrap covers visibly too little
TOO_NARROW = (
    "With few runs they are too narrow (simulated contrasts are covered by 83% of 95% intervals "
    "at 3 runs, by 91% at 5)."
)
NO_RUN = "a game has no run yet"
QUARTER = 0.25 + 1e-12  # of the weight; sums of reciprocals are not exact


Metric = Callable[[np.ndarray], np.ndarray]
"""Takes scores [..., runs, games] and returns [...], one number for each matrix."""


def mean(scores: np.ndarray) -> np.ndarray:
    """Mean over games of the per-game mean, of scores [..., runs, games]."""
    return np.asarray(_per_game(scores).mean(axis=-1))


def median(scores: np.ndarray) -> np.ndarray:
    """Median over games of the per-game mean, of scores [..., runs, games]."""
    return np.asarray(np.median(_per_game(scores), axis=-1))


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean: of all runs x games, without the lowest and the highest quarter.

    The scores left out at each end are those whose weights together are at most a quarter: int(n /
    4) of n where all weigh the same.
    """
    if not np.isnan(scores).any():
        ordered = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
        cut = int(0.25 * ordered.shape[-1])
        return np.asarray(ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1))
    if scores.ndim > 2:
        return np.array([iqm(one) for one in scores])
    present = ~np.isnan(scores)
    order = np.argsort(scores[present])
    ordered, heavy = scores[present][order], stratified.weights(scores)[present][order]
    kept = (np.cumsum(heavy) > QUARTER) & (np.cumsum(heavy[::-1])[::-1] > QUARTER)
    return np.asarray(np.average(ordered[kept], weights=heavy[kept]))


def optimality_gap(scores: np.ndarray) -> np.ndarray:
    """How far the scores, each counted at most 1 (human), fall short of 1 on average."""
    return np.asarray(1 - _per_game(np.minimum(scores, 1)).mean(axis=-1))


def clipped_mean(scores: np.ndarray) -> np.ndarray:
    """Mean over games of the per-game mean, each counted at least 0 and at most 1."""
    return np.asarray(np.clip(_per_game(scores), 0, 1).mean(axis=-1))


def human_gap(scores: np.ndarray) -> np.ndarray:
    """How far the games' means, each counted at most 1 (human), fall short of 1 on average."""
    return np.asarray(1 - np.minimum(_per_game(scores), 1).mean(axis=-1))


def _per_game(scores: np.ndarray) -> np.ndarray:
    """[..., games], the mean over the runs of each."""
    means = scores.mean(axis=-2)
    return np.asarray(np.nanmean(scores, axis=-2) if np.isnan(means).any() else means)


METRICS: Final[Mapping[str, Metric]] = {
    "mean": mean,
    "median": median,
    "iqm": iqm,
    "optimality_gap": optimality_gap,
}
"""What tables and figures of aggregates show."""
CLIPPED: Final[Mapping[str, Metric]] = {
    "clipped_mean": clipped_mean,
    "human_gap": human_gap,
}
"""What is in their numbers, and below the table of scores, besides."""
ALL: Final = {**METRICS, **CLIPPED}
LOWER_IS_BETTER: Final = ("optimality_gap", "human_gap")


@dataclass(frozen=True)
class Aggregate:
    """One aggregate of one arm, and how sure it is.

    Attributes:
        arm: The arm.
        metric: A key of ALL.
        value: Point estimate; NaN where a game has no run.
        low: Lower end of the interval; NaN where there is none.
        high: Upper end of the interval.
        runs: Runs per game that went in; of the game with the fewest.
        games: Games.
        most_runs: Runs of the game with the most.
        note: Why there is no interval, or no value; else empty.
    """

    arm: str
    metric: str
    value: float
    low: float
    high: float
    runs: int
    games: int
    most_runs: int
    note: str


@dataclass(frozen=True)
class Aggregates:
    """The aggregates of a study with everything needed to make them again.

    Attributes:
        values: One per arm and metric, arms in order.
        games: The games that went in.
        dropped_games: The games left out because an arm has no run of them.
        normalization: Identifier of the table of random and human returns.
        env_frames: Where the arms are compared.
        ci: Level of the intervals.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """

    values: tuple[Aggregate, ...]
    games: tuple[str, ...]
    dropped_games: tuple[str, ...]
    normalization: str
    env_frames: int
    ci: float
    resamples: int
    seed: int

    @property
    def too_narrow(self) -> bool:
        """Whether an interval rests on so few runs that it is narrower than it says."""
        return any(one.runs < FEW_RUNS and math.isfinite(one.low) for one in self.values)

    @property
    def uneven(self) -> bool:
        """Whether an arm has more runs of one game than of another."""
        return any(one.runs < one.most_runs for one in self.values)

    @property
    def shown(self) -> tuple[str, ...]:
        """The metrics that say something of their own.

        Over one game the median is the mean; so is the IQM while no arm has four scores, of
        which it would leave out two.
        """
        scores = max((one.most_runs * one.games for one in self.values), default=0)
        same = {"median": len(self.games) == 1, "iqm": len(self.games) == 1 and scores < 4}
        return tuple(metric for metric in METRICS if not same.get(metric, False))

    def of(self, metric: str) -> list[Aggregate]:
        """One metric of every arm, in order."""
        return [one for one in self.values if one.metric == metric]


def aggregate(
    arm: str, scores: np.ndarray, *, ci: float, resamples: int, seed: int
) -> tuple[Aggregate, ...]:
    """ALL metrics of one arm, with percentile intervals from the stratified bootstrap.

    The interval depends on the scores and the seed alone, not on other arms or earlier calls.

    Args:
        arm: Name of the arm.
        scores: [runs, games] human-normalised scores, as `stratified.interval` takes them; no
            row means that there is no run.
        ci: Level of the intervals.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Raises:
        StatisticsError: if the scores are no matrix, have no game, or one is infinite.
    """
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise StatisticsError(
            f"Aggregates take a matrix of runs x games; arm {arm!r} has shape {scores.shape}."
        )
    if np.isinf(scores).any():
        raise StatisticsError(
            f"The scores of arm {arm!r} hold {int(np.isinf(scores).sum())} that are infinite."
        )
    counts = stratified.runs_per_game(scores)
    runs, most = int(counts.min()), int(counts.max())
    about = {"runs": runs, "games": scores.shape[1], "most_runs": most}
    nan = math.nan
    if runs == 0:
        return tuple(Aggregate(arm, name, nan, nan, nan, note=NO_RUN, **about) for name in ALL)
    values = {name: float(metric(scores)) for name, metric in ALL.items()}
    if most == 1 or _is_flat(scores):
        note = ONE_SEED if most == 1 else NO_SPREAD
        return tuple(
            Aggregate(arm, name, value, nan, nan, note=note, **about)
            for name, value in values.items()
        )
    low, high = stratified.interval(
        "aggregates", _every_metric, [scores], ci=ci, resamples=resamples, seed=seed
    )
    return tuple(
        Aggregate(arm, name, value, float(low[row]), float(high[row]), note="", **about)
        for row, (name, value) in enumerate(values.items())
    )


def study_aggregates(scores: Scores, options: Options) -> Aggregates:
    """The aggregates of every arm over the games that all arms have a run of.

    Only a partial answer can leave out games: `scores.collect` refuses missing runs otherwise.

    Raises:
        UnknownGame: if one of the games has raw returns only.
        IncompleteStudy: if no game has a run of every arm.
    """
    games, samples = score_samples(scores)
    values = [
        replace(one, note=MEANS_ONLY) if scores.means and one.runs else one
        for arm, sample in samples.items()
        for one in aggregate(
            arm, sample, ci=options.ci, resamples=options.resamples, seed=options.seed
        )
    ]
    return Aggregates(
        values=tuple(values),
        games=games,
        dropped_games=tuple(game for game in scores.games if game not in games),
        normalization=scores.normalization.id,
        env_frames=scores.env_frames,
        ci=options.ci,
        resamples=options.resamples,
        seed=options.seed,
    )


def score_samples(scores: Scores) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The games that every compared arm has a run of, and per arm its scores on them.

    The scores are [runs, games] as `stratified.interval` takes them: the seeds of one game have
    nothing to do with those of another. Arms without a single run take no part in choosing the
    games, and have no row.

    Raises:
        UnknownGame: if one of the games has raw returns only.
        IncompleteStudy: if no game has a run of every compared arm.
    """
    cells = {arm: {game: scores.hns(arm, game) for game in scores.games} for arm in scores.arms}
    begun = [arm for arm in scores.arms if any(map(len, cells[arm].values()))]
    games = tuple(game for game in scores.games if all(len(cells[arm][game]) for arm in begun))
    if not games:
        raise IncompleteStudy(
            "No game has a run of every arm, so there is no mean over games to compare: "
            "let the study go on, or choose arms or games that have runs."
        )
    return games, {
        arm: stratified.packed([cells[arm][game] for game in games]) for arm in scores.arms
    }


def aggregates_frame(aggregates: Aggregates) -> pd.DataFrame:
    """One tidy row per arm and metric, with what is needed to make it again."""
    return pd.DataFrame([asdict(one) for one in aggregates.values]).assign(
        normalization=aggregates.normalization,
        env_frames=aggregates.env_frames,
        ci=aggregates.ci,
        resamples=aggregates.resamples,
        seed=aggregates.seed,
    )


def _every_metric(scores: np.ndarray) -> np.ndarray:
    return np.stack([metric(scores) for metric in ALL.values()], axis=-1)


def _is_flat(scores: np.ndarray) -> bool:
    """Whether the runs of every game are all equal: a spread of 0 is not certainty."""
    spread = np.nanmax(scores, axis=0) - np.nanmin(scores, axis=0)
    return bool(spread.max() <= 1e-12 * np.nanmax(np.abs(scores)))
