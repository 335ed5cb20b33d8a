"""What the runs of a study cost: attempts, updates, time and speed, arm by arm."""

import math
from collections.abc import Hashable
from typing import Any

import pandas as pd

from results.database.records import RunState
from results.statistics.choice import chosen_arms, chosen_games
from results.statistics.errors import IncompleteStudy
from results.statistics.options import Options
from results.statistics.study_data import StudyData
from results.tables.table import Entry, Layout, Table, number

COLUMNS = (
    "arm",
    "runs",
    "finished",
    "attempts",
    "updates",
    "seconds",
    "seconds_in_all",
    "env_frames_per_second",
    "times_base",
)


def compute_table(data: StudyData, options: Options) -> Table:
    """Time and updates of every arm's finished runs, and how many times the base's that is.

    Raises:
        IncompleteStudy: if runs are not finished and the options do not ask for a partial answer,
            or none is.
        UnknownName: if the options name an arm or a game that the study has not.
    """
    study = data.study
    arms = chosen_arms(options.arms, tuple(arm.name for arm in study.arms))
    games = chosen_games(options.games, study.games, partial=options.partial)
    runs = data.runs[data.runs["arm"].isin(arms) & data.runs["game"].isin(games)]
    finished = runs[runs["state"] == RunState.FINISHED.value]
    if not len(finished) or (len(finished) < len(runs) and not options.partial):
        raise IncompleteStudy(
            f"{len(finished)} of {len(runs)} runs of study {study.name!r} are finished: let it "
            "finish, or ask for a partial answer."
        )
    base = next((arm.name for arm in study.arms if not arm.toggles), arms[0])
    rows = [_row(arm, runs[runs["arm"] == arm], finished[finished["arm"] == arm]) for arm in arms]
    frame = pd.DataFrame(rows)
    of_base = frame.loc[frame["arm"] == base, "seconds"]
    frame["times_base"] = frame["seconds"] / (of_base.iloc[0] if len(of_base) else math.nan)
    frame = frame[list(COLUMNS)]
    untimed = int(finished["seconds"].isna().sum())
    return Table(
        kind="compute",
        title=f"Compute: {study.name}",
        caption=(
            f"Study {study.name}, {study.env_frames:,} env frames per run, "
            f"{', '.join(games)}. Updates and minutes are means over the finished runs; the time "
            "of a run holds that of the attempts that it went on from, and of other work on the "
            f"same machine. The last column is the time of a run over that of one of {base}."
            + (f" Nobody knows how long {untimed} imported runs took." if untimed else "")
        ),
        frame=frame,
        layout=Layout(
            (
                *("arm", "finished runs", "attempts", "updates", "minutes", "hours in all"),
                *("env frames per s", "times base"),
            ),
            tuple(_entries(row) for row in frame.to_dict("records")),
        ),
    )


def _row(arm: str, runs: pd.DataFrame, finished: pd.DataFrame) -> dict[str, object]:
    timed = finished[finished["seconds"].notna() & (finished["seconds"] > 0)]
    seconds = float(timed["seconds"].sum())
    return {
        "arm": arm,
        "runs": len(runs),
        "finished": len(finished),
        "attempts": int(runs["attempts"].sum()),
        "updates": float(finished["updates"].mean()) if len(finished) else math.nan,
        "seconds": seconds / len(timed) if len(timed) else math.nan,
        "seconds_in_all": seconds if len(timed) else math.nan,
        "env_frames_per_second": float(timed["env_frames"].sum()) / seconds
        if seconds
        else math.nan,
    }


def _entries(row: dict[Hashable, Any]) -> tuple[Entry, ...]:
    texts = (
        str(row["arm"]),
        f"{row['finished']:.0f} of {row['runs']:.0f}",
        number(row["attempts"], 0),
        number(row["updates"], 0),
        number(row["seconds"] / 60, 1),
        number(row["seconds_in_all"] / 3600, 2),
        number(row["env_frames_per_second"], 0),
        number(row["times_base"], 2),
    )
    return tuple(map(Entry, texts))
