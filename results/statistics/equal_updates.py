"""The scores of a study at equal updates instead of equal frames.

Some toggles change how often the agent is updated. At equal env frames such an arm has had more
compute; here every arm is judged where it had made as many updates as the arm with the fewest had
at the end. Updates are spread evenly over the frames after the prefill, as the recipe makes them:

    updates(x) = U (x − P) / (T − P),      x* = P + (T − P) U_fewest / U_arm,

with P the prefill, T the budget and U the updates of a finished run. A run's score at x* is its
last evaluation at or before it and at most one evaluation interval back, as everywhere.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from results.statistics.choice import chosen_arms
from results.statistics.collecting import collect
from results.statistics.options import Options
from results.statistics.score_points import evaluation_intervals
from results.statistics.scores import Scores
from results.statistics.study_data import StudyData

SAME = 0.01  # arms whose updates differ by less than this share have made equally many


@dataclass(frozen=True)
class EqualUpdates:
    """Where every arm had made the same number of updates.

    Attributes:
        updates: How many: those of the arm with the fewest at the end.
        env_frames: By arm, where it had made them.
        scores: The scores there; runs not evaluated there are missing.
    """

    updates: int
    env_frames: Mapping[str, int]
    scores: Scores


def equal_updates(data: StudyData, options: Options) -> EqualUpdates | None:
    """Scores a study at equal updates; None where it has no such version.

    There is none where all arms make equally many updates (equal frames are equal updates), where
    an arm has no finished run to count them, where another point than the end is asked for, or
    where the runs were not trained here.

    Raises:
        UnknownName: if the options name an arm, a game or a table that the study has not.
    """
    study = data.study
    arms = chosen_arms(options.arms, tuple(arm.name for arm in study.arms))
    if data.imported is not None or options.at not in (None, study.env_frames):
        return None
    finished = data.runs[(data.runs["state"] == "finished") & data.runs["arm"].isin(arms)]
    made = finished.groupby("arm")["updates"].mean()
    if any(arm not in made or not made[arm] > 0 for arm in arms):
        return None
    fewest, most = (float(one) for one in (made.min(), made.max()))
    if most - fewest <= SAME * most:
        return None
    trained = study.env_frames - study.prefill_frames
    points = {
        arm: math.floor(study.prefill_frames + trained * fewest / float(made[arm])) for arm in arms
    }
    shifted = dataclasses.replace(data, evaluations=_at(data.evaluations, points))
    return EqualUpdates(
        updates=round(fewest),
        env_frames=points,
        scores=collect(shifted, dataclasses.replace(options, at=None, partial=True)),
    )


def _at(evaluations: pd.DataFrame, points: Mapping[str, int]) -> pd.DataFrame:
    """The evaluations, with those at or before the point of each arm called the final ones."""
    limit = evaluations["arm"].map(points)
    at = evaluations["env_frames"]
    intervals = evaluations["run_id"].map(evaluation_intervals(evaluations))
    near = (at <= limit) & (at >= limit - intervals)
    last = at.where(near).groupby(evaluations["run_id"]).transform("max")
    return evaluations.assign(final=near & (at == last))
