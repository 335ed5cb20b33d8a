"""Where on its curve a run is scored, and with how much.

At the end of the budget that is the final evaluation; at a stated number of env frames the last
evaluation at or before them, provided that it lies at most one evaluation interval back; with
the measure "auc" the mean height of the curve up to there.
"""

import numpy as np
import pandas as pd

from results.statistics.errors import StatisticsError
from results.statistics.options import Options
from results.statistics.study_data import StudyData


def evaluation_intervals(evaluations: pd.DataFrame) -> pd.Series:
    """Env frames between two evaluations of each run, as recorded: the median of its gaps.

    Of a run that was evaluated once, the median of all gaps; 0 where no run was evaluated twice:
    such a run has a score where it was evaluated, and nowhere else.

    Returns:
        By run_id.
    """
    points = evaluations[["run_id", "env_frames"]].drop_duplicates()
    points = points.sort_values(["run_id", "env_frames"])
    gaps = points.groupby("run_id")["env_frames"].diff()
    usual = gaps.median() if gaps.notna().any() else 0.0
    return gaps.groupby(points["run_id"]).median().fillna(usual)


def scoring_evaluations(data: StudyData) -> pd.DataFrame:
    """What scores the runs."""
    return data.evaluations if data.imported is None else data.imported.evaluations


def score_points(data: StudyData, options: Options) -> pd.DataFrame:
    """What scores each run: arm, game, seed, env_frames, mean_return, episodes, truncated."""
    rows = scoring_evaluations(data)
    end = data.study.env_frames if options.at is None else options.at
    final = rows[rows["final"].astype(bool)]
    if end == data.study.env_frames:
        reached = set(final["run_id"])
    else:
        intervals = rows["run_id"].map(evaluation_intervals(rows))
        late = rows["env_frames"].between(end - intervals, end)
        reached = set(rows.loc[late, "run_id"])
    if end == data.study.env_frames and options.measure == "end":
        rows = final
    rows = rows[rows["run_id"].isin(reached) & (rows["env_frames"] <= end)]
    if options.measure == "end":
        last = rows.groupby("run_id")["env_frames"].transform("max")
        rows = rows[rows["env_frames"] == last]
    _refuse_what_is_no_number(rows)
    points = rows.groupby(["arm", "game", "seed", "env_frames"], as_index=False).agg(
        mean_return=("episode_return", "mean"),
        episodes=("episode_return", "size"),
        truncated=("truncated", "sum"),
    )
    if options.measure == "auc":
        points = mean_heights(points, start=data.study.prefill_frames, end=end)
    return points.astype({"seed": "int64", "env_frames": "float64", "mean_return": "float64"})


def mean_heights(points: pd.DataFrame, *, start: int, end: int) -> pd.DataFrame:
    """The mean height of every run's curve: trapezoids from start to end, over their width.

    The curve is straight between its points, and level before the first and after the last. A
    run with fewer than two points from start to end has none.

    Args:
        points: arm, game, seed, env_frames, mean_return, episodes, truncated; at most one per
            run and env_frames.
        start: Env frames at which the curve is taken up: the end of the prefill.
        end: Env frames at which it ends.

    Returns:
        The same columns, one row per run, at `end`.
    """
    rows = []
    for (arm, game, seed), run in points.groupby(["arm", "game", "seed"]):
        curve = run.sort_values("env_frames")
        x, y = curve["env_frames"].to_numpy(float), curve["mean_return"].to_numpy(float)
        inside = (x > start) & (x < end)
        if ((x >= start) & (x <= end)).sum() < 2:
            continue
        grid = np.concatenate([[start], x[inside], [end]])
        area = float(np.trapezoid(np.interp(grid, x, y), grid))
        rows.append(
            {
                "arm": arm,
                "game": game,
                "seed": seed,
                "env_frames": end,
                "mean_return": area / (end - start),
                "episodes": int(curve["episodes"].sum()),
                "truncated": int(curve["truncated"].sum()),
            }
        )
    return pd.DataFrame(rows, columns=list(points.columns))


def _refuse_what_is_no_number(rows: pd.DataFrame) -> None:
    """Makes sure that every return can be averaged.

    Raises:
        StatisticsError: if one is not finite; its run is named.
    """
    wrong = rows[~np.isfinite(rows["episode_return"].to_numpy(dtype=float))]
    if len(wrong):
        run = wrong.iloc[0]
        raise StatisticsError(
            f"The evaluation of {run['arm']} on {run['game']}, seed {run['seed']}, holds a return "
            f"that is not a number ({run['episode_return']}): nothing can be averaged over it."
        )
