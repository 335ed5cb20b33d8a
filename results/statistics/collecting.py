"""Scores every run that a study asks for, and says which are missing and why."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from results.statistics.choice import chosen_arms, chosen_games
from results.statistics.errors import IncompleteStudy, StatisticsError, listed
from results.statistics.normalize import Normalization, Reference, game_key, study_normalization
from results.statistics.options import Options
from results.statistics.score_points import score_points, scoring_evaluations
from results.statistics.scores import Missing, Scores
from results.statistics.study_data import StudyData


def collect(data: StudyData, options: Options) -> Scores:
    """Scores every run of a study.

    Raises:
        IncompleteStudy: if runs are missing and the options do not ask for a partial answer, or
            if there is no score at all.
        UnknownName: if the options name an arm, a game or a table that the study has not.
        StatisticsError: if the options compare beyond the budget, or a return is not a number.
    """
    study = data.study
    if options.at is not None and options.at > study.env_frames:
        raise StatisticsError(
            f"Study {study.name!r} ends at {study.env_frames:,} env frames and cannot be compared "
            f"at {options.at:,}: choose an earlier point."
        )
    arms = chosen_arms(options.arms, tuple(arm.name for arm in study.arms))
    games = chosen_games(options.games, study.games, partial=options.partial)
    table = _table(data, options, games)
    points = score_points(data, options)
    frame = asked_runs(data, arms, games).merge(
        points, on=["arm", "game", "seed"], how="left", validate="1:1"
    )
    if data.imported is not None:
        frame["score"] = frame["mean_return"]
    else:
        frame["score"] = [
            table.score(game, value) if game in table else np.nan
            for game, value in zip(frame["game"], frame["mean_return"], strict=True)
        ]
    missing = _missing(frame, data)
    scores = Scores(
        arms=arms,
        games=games,
        seeds=tuple(study.seeds),
        env_frames=study.env_frames if options.at is None else options.at,
        normalization=table,
        frame=frame,
        missing=missing,
        without_returns=data.imported is not None,
        measure=options.measure,
        means=data.means,
    )
    if missing and (not options.partial or len(missing) == len(frame)):
        raise IncompleteStudy(_incomplete(data, options, scores))
    return scores


def asked_runs(data: StudyData, arms: Sequence[str], games: Sequence[str]) -> pd.DataFrame:
    """The runs that a study asks for: every seed of every arm on every game.

    Files from elsewhere may hold more runs of one game than of another. Of an imported study the
    runs that the files hold are asked for; only an arm without any run of a game lacks them all.

    Returns:
        arm, game, seed: one row per run, arms and games in the order given.
    """
    names = ["arm", "game", "seed"]
    every = pd.MultiIndex.from_product([arms, games, data.study.seeds], names=names)
    if not data.sources:
        return every.to_frame(index=False)
    held = every.isin(pd.MultiIndex.from_frame(data.runs[names]))
    asked = every.to_frame(index=False).assign(held=held)
    runs = asked.groupby(["arm", "game"])["held"].transform("sum")
    return asked.loc[asked["held"] | (runs == 0), names].reset_index(drop=True)


def _table(data: StudyData, options: Options, games: tuple[str, ...]) -> Normalization:
    """The table that is asked for; of imported scores only the one that they were made with.

    Raises:
        UnknownName: if there is no such table.
        StatisticsError: if the scores were made with another one.
    """
    if data.imported is None:
        return study_normalization(options.norm, games, data.declared)
    if options.norm != data.imported.table:
        raise StatisticsError(
            f"Study {data.study.name!r} was imported as scores of the normalisation table "
            f"{data.imported.table}, which cannot be turned into those of {options.norm}: its raw "
            f"returns are not known. Ask for the table {data.imported.table}, with --norm."
        )
    unknown = Reference("", np.nan, np.nan, "imported")
    return Normalization(
        data.imported.table, data.imported.table, {game_key(game): unknown for game in games}
    )


def _missing(frame: pd.DataFrame, data: StudyData) -> tuple[Missing, ...]:
    runs, absent = data.runs, "in no file" if data.sources else "not submitted"
    states = {
        (arm, game, seed): "no point there" if data.sources else str(state)
        for arm, game, seed, state in zip(
            runs["arm"], runs["game"], runs["seed"], runs["state"], strict=True
        )
    }
    gone = frame[frame["mean_return"].isna()]
    return tuple(
        Missing(arm, game, int(seed), states.get((arm, game, seed), absent))
        for arm, game, seed in zip(gone["arm"], gone["game"], gone["seed"], strict=True)
    )


def _incomplete(data: StudyData, options: Options, scores: Scores) -> str:
    missing = scores.missing
    states = Counter(run.state for run in missing)
    where = (
        "final evaluation" if options.at is None else f"evaluation at {options.at:,} env frames"
    )
    if options.measure == "auc":
        where = f"curve of two evaluations that reaches {scores.env_frames:,} env frames"
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    paragraph = (
        f"{len(missing)} of {len(scores.frame)} runs of study {data.study.name!r} have no {where} "
        f"({counts}): {listed([str(run) for run in missing], most=3)}."
    )
    if options.at is not None:
        written = sorted(set(scoring_evaluations(data)["env_frames"]))
        points = listed([f"{int(point):,}" for point in written])
        paragraph += f" Evaluations were written at {points} env frames."
    if len(missing) == len(scores.frame):
        return f"{paragraph} There is nothing to show{'' if data.sources else ' yet'}."
    remedy = "Compare at an earlier point, with --at" if data.sources else "Let the study finish"
    return f"{paragraph} {remedy}, or ask for a partial answer, with --partial."
