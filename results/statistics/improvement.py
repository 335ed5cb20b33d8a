"""How probable it is that a run of one arm scores more than a run of another, on the same game.

Agarwal et al., arXiv:2108.13264: of two arms X and Y, the mean over games of

    P(X > Y) = #{(i, j): x_i > y_j} / (n m) + #{(i, j): x_i = y_j} / (2 n m),

where x_1 .. x_n and y_1 .. y_m are their runs of the game. One half means that neither is better.
The interval draws the runs of both anew, within each game.
"""

import math
from dataclasses import dataclass

import numpy as np

from results.statistics import stratified
from results.statistics.aggregates import score_samples
from results.statistics.errors import StatisticsError
from results.statistics.intervals import ONE_SEED, SINGLE
from results.statistics.options import Options
from results.statistics.scores import Scores

FEWEST = 2  # runs of every game, in both arms


@dataclass(frozen=True)
class Improvement:
    """P(arm > other), and how sure it is.

    Attributes:
        arm: The one.
        other: The other.
        value: Mean over games of the probability that a run of the one scores more.
        low: Lower end of the interval; NaN where there is none.
        high: Upper end of the interval.
        runs: Fewest runs of a game, in either arm.
        games: Games.
        note: Why there is no interval, or no value; else empty.
    """

    arm: str
    other: str
    value: float
    low: float
    high: float
    runs: int
    games: int
    note: str


def probability_of_improvement(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """P(X > Y) of scores [..., n, games] and [..., m, games]; NaN below where runs are fewer."""
    one, other = x[..., :, None, :], y[..., None, :, :]
    more = (one > other).sum(axis=(-3, -2)) + (one == other).sum(axis=(-3, -2)) / 2
    pairs = stratified.runs_per_game(x) * stratified.runs_per_game(y)
    return np.asarray((more / pairs).mean(axis=-1))


def improvements(scores: Scores, other: str, options: Options) -> tuple[Improvement, ...]:
    """Every compared arm against one of them, in order.

    Raises:
        StatisticsError: if there is no other arm than that one, or the scores are means.
        UnknownGame: if one of the games has raw returns only.
        IncompleteStudy: if no game has a run of every arm.
    """
    if len(scores.arms) < 2:
        raise StatisticsError(f"Nothing can be compared with {other}: there is no other arm.")
    scores.refuse_means("the probability of improvement")
    games, samples = score_samples(scores)
    found = []
    for arm in scores.arms:
        if arm == other:
            continue
        pair = [samples[arm], samples[other]]
        runs = min(int(stratified.runs_per_game(sample).min()) for sample in pair)
        value, low, high, note = math.nan, math.nan, math.nan, ""
        if runs == 0:
            note = "an arm has no run yet"
        else:
            value = float(probability_of_improvement(*pair))
            most = max(int(stratified.runs_per_game(sample).max()) for sample in pair)
            note = "" if runs >= FEWEST else ONE_SEED if most < FEWEST else SINGLE
        if runs >= FEWEST:
            ends = stratified.interval(
                "probability of improvement",
                lambda x, y: probability_of_improvement(x, y)[:, None],
                pair,
                ci=options.ci,
                resamples=options.resamples,
                seed=options.seed,
            )
            low, high = float(ends[0][0]), float(ends[1][0])
        found.append(Improvement(arm, other, value, low, high, runs, len(games), note))
    return tuple(found)
