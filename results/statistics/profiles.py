"""Performance profiles: which share of the runs scores more than each threshold.

Agarwal et al., arXiv:2108.13264, the score distribution: at a threshold t, the mean over games of
the share of a game's runs whose score is more than t (strictly). The interval is pointwise.
"""

from dataclasses import dataclass

import numpy as np

from results.statistics import stratified
from results.statistics.aggregates import score_samples
from results.statistics.options import Options
from results.statistics.scores import Scores

THRESHOLDS = 81
MOST = 0.95  # quantile of all scores where the thresholds end: single runs lie far beyond


@dataclass(frozen=True)
class Profile:
    """The performance profile of an arm.

    Attributes:
        arm: The arm.
        thresholds: [T], increasing.
        shares: [T], of the runs that score more.
        low: [T], lower ends of the pointwise intervals; NaN where a game has a single run.
        high: [T], upper ends.
        runs: Fewest runs of a game.
    """

    arm: str
    thresholds: np.ndarray
    shares: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: int


def shares_above(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """[..., T], the mean over games of the share of runs above each, of [..., runs, games]."""
    above = (scores[..., None] > thresholds).sum(axis=-3)
    return np.asarray((above / stratified.runs_per_game(scores)[..., None]).mean(axis=-2))


def performance_profiles(
    scores: Scores, options: Options
) -> tuple[tuple[str, ...], tuple[Profile, ...]]:
    """The games that every arm has a run of, and the profile of every arm that has runs.

    Raises:
        StatisticsError: if the scores are means over unknown numbers of runs.
        UnknownGame: if one of the games has raw returns only.
        IncompleteStudy: if no game has a run of every arm.
    """
    scores.refuse_means("a performance profile")
    games, samples = score_samples(scores)
    samples = {arm: sample for arm, sample in samples.items() if len(sample)}
    every = np.concatenate([sample[~np.isnan(sample)] for sample in samples.values()])
    highest = max(1.2, float(np.quantile(every, MOST)))
    thresholds = np.linspace(min(0.0, float(every.min())), highest, THRESHOLDS)
    found = []
    for arm, sample in samples.items():
        runs = int(stratified.runs_per_game(sample).min())
        low = high = np.full(THRESHOLDS, np.nan)
        if runs > 1:
            low, high = stratified.interval(
                "performance profile",
                lambda drawn: shares_above(drawn, thresholds),
                [sample],
                ci=options.ci,
                resamples=options.resamples,
                seed=options.seed,
                settings=thresholds.tolist(),
            )
        shares = shares_above(sample, thresholds)
        found.append(Profile(arm, thresholds, shares, low, high, runs))
    return games, tuple(found)
