"""Which games stand for a benchmark: three criteria for each, and subsets that predict the whole.

The criteria, for agents that are compared over a short horizon, are a reasonable score there, an
increase with env frames that can be told from noise, and little variance over seeds:

    score        P = mean HNS at the horizon
    increase     R = Spearman's rank correlation of env frames with the mean curve up to there
    spread       V = standard deviation between seeds / max(P, 0.1)
    fitness      (min(max(P, 0), 1) · max(R, 0) · 1 / (1 + V)) ** (1/3)

each averaged over the arms that are asked for. A game that fails one criterion has fitness 0.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from results.statistics.collecting import collect
from results.statistics.errors import StatisticsError
from results.statistics.options import Options
from results.statistics.scores import Scores
from results.statistics.study_data import StudyData

LEAST_MEAN = 0.1  # HNS; below it a spread is not divided by the mean, which may be 0
FEWEST_POINTS = 3  # of a curve that can be said to increase

FORMULA = (
    "fitness = (min(max(P, 0), 1) · max(R, 0) / (1 + V)) ** (1/3), with P the mean "
    "human-normalised score at the horizon, R Spearman's rank correlation of env frames with the "
    "mean curve up to there, V the standard deviation between seeds over max(P, 0.1)"
)


@dataclass(frozen=True)
class ProxyGame:
    """How well one game stands for a benchmark.

    Attributes:
        game: The game.
        score: P.
        increase: R; NaN where a curve has too few points.
        spread: V; NaN where every arm has one seed.
        fitness: The three in one number; NaN where one of them is.
        seeds: The most seeds of an arm.
        points: Points of the longest curve.
    """

    game: str
    score: float
    increase: float
    spread: float
    fitness: float
    seeds: int
    points: int


def fitness(score: float, increase: float, spread: float) -> float:
    """The three criteria in one number, 0 to 1; NaN where one is not known."""
    if any(math.isnan(one) for one in (score, increase, spread)):
        return math.nan
    return float(np.cbrt(min(max(score, 0.0), 1.0) * max(increase, 0.0) / (1 + spread)))


def proxy_games(data: StudyData, options: Options) -> tuple[ProxyGame, ...]:
    """Every game with its criteria, the fittest first, those without a fitness last.

    Raises:
        StatisticsError: as `collect` does, or if no game has random and human returns.
    """
    scores = collect(data, options)
    games = [game for game in scores.games if game in scores.normalization]
    if not games:
        raise StatisticsError(
            f"No game of study {data.study.name!r} has random and human returns, so none has a "
            "score to judge it by."
        )
    rows = data.evaluations if data.imported is None else data.imported.evaluations
    rows = rows[(rows["env_frames"] <= scores.env_frames) & rows["arm"].isin(scores.arms)]
    found = [_game(scores, rows[rows["game"] == game], game) for game in games]
    return tuple(sorted(found, key=lambda one: (math.isnan(one.fitness), -one.fitness, one.game)))


def _game(scores: Scores, rows: pd.DataFrame, game: str) -> ProxyGame:
    ends = [scores.hns(arm, game) for arm in scores.arms]
    known = [end for end in ends if len(end)]
    means = [float(end.mean()) for end in known]
    spreads = [
        float(end.std(ddof=1)) / max(float(end.mean()), LEAST_MEAN)
        for end in known
        if len(end) > 1
    ]
    curves = [curve for arm in scores.arms if len(curve := _curve(rows, arm)) >= FEWEST_POINTS]
    score, spread = _mean(means), _mean(spreads)
    increase = _mean([_rank_correlation(curve) for curve in curves])
    return ProxyGame(
        game=game,
        score=score,
        increase=increase,
        spread=spread,
        fitness=fitness(score, increase, spread),
        seeds=max(map(len, ends), default=0),
        points=max(map(len, curves), default=0),
    )


def _curve(rows: pd.DataFrame, arm: str) -> "pd.Series[float]":
    """The mean return of an arm by env frames: ranks are the same for scores."""
    mine = rows[rows["arm"] == arm]
    runs = mine.groupby(["env_frames", "seed"])["episode_return"].mean()
    return runs.groupby(level="env_frames").mean()


def _rank_correlation(curve: "pd.Series[float]") -> float:
    if curve.nunique() < 2:
        return 0.0  # a flat curve does not increase
    return float(np.corrcoef(np.arange(len(curve)), curve.rank())[0, 1])


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
