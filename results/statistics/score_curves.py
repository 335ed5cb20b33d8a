"""How the mean score of every arm grows with env frames, one value per seed at every point.

At each point a run counts with its last evaluation at or before it, at most one evaluation
interval back, as everywhere; a seed counts where it has every game. The interval is the t-interval
over seeds with the variance pooled over the arms at that point.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from results.statistics.intervals import t_quantile
from results.statistics.options import Options
from results.statistics.score_points import evaluation_intervals
from results.statistics.scores import Scores
from results.statistics.study_data import StudyData

MOST_POINTS = 60


@dataclass(frozen=True)
class ScoreCurves:
    """The curves of a study on the mean of games.

    Attributes:
        env_frames: [points].
        games: The games of the mean.
        frame: One row per arm and point with a seed: arm, env_frames, seeds, value, low, high;
            low and high are NaN where no arm has two seeds.
    """

    env_frames: np.ndarray
    games: tuple[str, ...]
    frame: pd.DataFrame


def score_curves(data: StudyData, scores: Scores, options: Options) -> ScoreCurves:
    """Follows the mean over games of every compared arm from the first evaluation to the end.

    Args:
        data: The study.
        scores: Its scores at the end; they say which arms and games are compared.
        options: The level of the intervals.
    """
    rows = data.evaluations if data.imported is None else data.imported.evaluations
    games = scores.matrices().games
    rows = rows[
        rows["arm"].isin(scores.arms)
        & rows["game"].isin(games)
        & (rows["env_frames"] <= scores.env_frames)
    ]
    keys = ["run_id", "arm", "seed", "game"]
    points = rows.groupby([*keys, "env_frames"], as_index=False)["episode_return"].mean()
    grid = _grid(points["env_frames"].to_numpy())
    intervals = evaluation_intervals(rows).to_dict()
    runs = {}
    for (run_id, arm, seed, game), run in points.groupby(keys, sort=False):
        values = run["episode_return"].to_numpy(dtype=float)
        if data.imported is None:
            values = np.array([scores.normalization.score(str(game), one) for one in values])
        at = run["env_frames"].to_numpy()
        runs[arm, seed, game] = _followed(at, values, grid, float(intervals[run_id]))
    nothing = np.full(len(grid), np.nan)
    by_arm = {
        arm: np.array(
            [
                np.mean([runs.get((arm, seed, game), nothing) for game in games], axis=0)
                for seed in scores.seeds
            ]
        )
        for arm in scores.arms
    }
    return ScoreCurves(grid, games, _summary(by_arm, grid, options.ci))


def _grid(points: np.ndarray) -> np.ndarray:
    """[points], where anything was evaluated; thinned to a reasonable number, the last kept."""
    every = np.unique(points)
    if len(every) <= MOST_POINTS:
        return every
    chosen = np.linspace(len(every) - 1, 0, MOST_POINTS).round().astype(int)
    return np.asarray(every[np.unique(chosen)])


def _followed(at: np.ndarray, values: np.ndarray, grid: np.ndarray, interval: float) -> np.ndarray:
    """[points], the last value at or before each point and at most one interval back."""
    last = np.searchsorted(at, grid, side="right") - 1
    near = (last >= 0) & (grid - at[np.maximum(last, 0)] <= interval)
    return np.where(near, values[np.maximum(last, 0)], np.nan)


def _summary(by_arm: dict[str, np.ndarray], grid: np.ndarray, ci: float) -> pd.DataFrame:
    rows = []
    for place, env_frames in enumerate(grid):
        here = {arm: values[:, place] for arm, values in by_arm.items()}
        seeds = {arm: one[~np.isnan(one)] for arm, one in here.items()}
        df = sum(max(len(one) - 1, 0) for one in seeds.values())
        squares = sum(float(((one - one.mean()) ** 2).sum()) for one in seeds.values() if len(one))
        sd = math.sqrt(squares / df) if df else math.nan
        for arm, one in seeds.items():
            if not len(one):
                continue
            half = math.nan
            if df and sd > 0:
                half = t_quantile(1 - (1 - ci) / 2, df) * sd / math.sqrt(len(one))
            value = float(one.mean())
            rows.append((arm, int(env_frames), len(one), value, value - half, value + half))
    return pd.DataFrame(rows, columns=["arm", "env_frames", "seeds", "value", "low", "high"])
