"""Sample-efficiency curves: an aggregate over games as a function of the env frames seen.

Agarwal et al., arXiv:2108.13264. At each point a run's score is that of its last evaluation at or
before it, at most one evaluation interval back. Only the points are kept that every run has. The
interval is pointwise.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from results.statistics import stratified
from results.statistics.aggregates import METRICS, score_samples
from results.statistics.collecting import collect
from results.statistics.errors import StatisticsError
from results.statistics.options import Options
from results.statistics.score_points import evaluation_intervals
from results.statistics.study_data import StudyData

MOST_POINTS = 25
FEW_GAMES = 10  # with fewer the IQM is unstable, and the mean is shown


@dataclass(frozen=True)
class Efficiency:
    """The sample efficiency of an arm.

    Attributes:
        arm: The arm.
        env_frames: [P], increasing.
        values: [P], the aggregate there.
        low: [P], lower ends of the pointwise intervals; NaN where a game has a single run.
        high: [P], upper ends.
        runs: Fewest runs of a game.
    """

    arm: str
    env_frames: np.ndarray
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: int


def metric_of(games: tuple[str, ...]) -> str:
    """The aggregate that so many games allow: `iqm`, or `mean` where they are few."""
    return "iqm" if len(games) >= FEW_GAMES else "mean"


def efficiency_curves(
    data: StudyData, options: Options
) -> tuple[tuple[str, ...], tuple[Efficiency, ...]]:
    """The games that every arm has a run of, and the curve of every arm that has runs.

    Raises:
        StatisticsError: if no point before the end is common to all runs, or the runs are to be
            measured by anything but their evaluations.
        UnknownGame: if one of the games has raw returns only.
        IncompleteStudy: if runs are missing and the options do not ask for a partial answer.
    """
    if options.measure != "end":
        raise StatisticsError("A sample-efficiency curve shows evaluations: leave out --measure.")
    scores = collect(data, options)
    games, samples = score_samples(scores)
    table = _scores_on_the_way(data, end=scores.env_frames)
    columns = {
        arm: [
            [(arm, game, int(seed)) for seed in rows["seed"]]
            for game in games
            for rows in [_scored(scores.frame, arm, game)]
        ]
        for arm, sample in samples.items()
        if len(sample)
    }
    wanted = [run for runs in columns.values() for one in runs for run in one]
    known = table.reindex(columns=pd.MultiIndex.from_tuples(wanted)).dropna(axis=0)
    if len(known) < 2:
        raise StatisticsError(
            f"The runs of study {data.study.name!r} were not evaluated at two common points up to "
            f"{scores.env_frames:,} env frames: there is no sample-efficiency curve."
        )
    picked = np.unique(np.linspace(0, len(known) - 1, MOST_POINTS).round().astype(int))
    known = known.iloc[picked].copy()
    for game in games:
        if not scores.without_returns:
            reference = scores.normalization.reference(game)
            mine = known.columns.get_level_values(1) == game
            known.loc[:, mine] = (known.loc[:, mine] - reference.random) / (
                reference.human - reference.random
            )
    metric = METRICS[metric_of(games)]

    def along(drawn: np.ndarray) -> np.ndarray:
        return metric(np.moveaxis(drawn, -1, -3))

    found = []
    for arm, runs in columns.items():
        sample = np.full((max(map(len, runs)), len(games), len(known)), np.nan)
        for index, one in enumerate(runs):
            sample[: len(one), index] = known[one].to_numpy().T
        fewest = min(map(len, runs))
        low = high = np.full(len(known), np.nan)
        if fewest > 1:
            low, high = stratified.interval(
                f"sample efficiency ({metric_of(games)})",
                along,
                [sample],
                ci=options.ci,
                resamples=options.resamples,
                seed=options.seed,
            )
        x = known.index.to_numpy(float)
        found.append(Efficiency(arm, x, along(sample), low, high, fewest))
    return games, tuple(found)


def _scored(frame: pd.DataFrame, arm: str, game: str) -> pd.DataFrame:
    return frame[(frame["arm"] == arm) & (frame["game"] == game) & frame["mean_return"].notna()]


def _scores_on_the_way(data: StudyData, *, end: int) -> pd.DataFrame:
    """What every run (columns: arm, game, seed) had last got at every point where any was tested.

    NaN where its last evaluation lies more than its evaluation interval back.
    """
    rows = data.evaluations if data.imported is None else data.imported.evaluations
    rows = rows[rows["env_frames"] <= end]
    keys = ["arm", "game", "seed"]
    wide = rows.pivot_table(
        index="env_frames", columns=keys, values="episode_return", aggfunc="mean"
    ).sort_index()
    at = pd.DataFrame(
        np.where(wide.notna(), wide.index.to_numpy()[:, None], np.nan),
        index=wide.index,
        columns=wide.columns,
    ).ffill()
    age = at.rsub(wide.index.to_series(), axis=0)
    runs = rows.drop_duplicates("run_id").set_index(keys)["run_id"]
    return wide.ffill().where(age.le(runs.map(evaluation_intervals(rows)), axis=1))
