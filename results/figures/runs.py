"""What the runs of a study scored: learning curves and aggregates."""

import pandas as pd

from results.figures import aggregate_intervals, captions, learning_curves, style
from results.figures.drawn import Drawn
from results.figures.learning_curves import Curves
from results.statistics.aggregates import TOO_NARROW, aggregates_frame, study_aggregates
from results.statistics.choice import chosen_arms, chosen_games
from results.statistics.collecting import asked_runs, collect
from results.statistics.errors import IncompleteStudy, StatisticsError, counted
from results.statistics.normalize import study_normalization
from results.statistics.options import Options
from results.statistics.study_data import StudyData
from results.tables.captions import OF_MEANS, uneven

EPISODES = "episode_return"
POINTS = ["arm", "game", "seed", "env_frames", "value"]


def draw_curves(data: StudyData, options: Options) -> Drawn:
    """Draws the learning curves of a study; of an unfinished one, what there is.

    Raises:
        IncompleteStudy: if nothing has been evaluated yet.
        StatisticsError: if the study was imported as scores.
        UnknownName: if the options name an arm, a game or a table that does not exist.
    """
    study = data.study
    if data.imported is not None:
        raise StatisticsError(
            f"Study {study.name!r} was imported as human-normalised scores (table "
            f"{data.imported.table}): its raw returns, which the curves show, are not known."
        )
    arms = chosen_arms(options.arms, tuple(arm.name for arm in study.arms))
    games = chosen_games(options.games, study.games, partial=options.partial)
    end = study.env_frames if options.at is None else options.at
    evaluations = _kept(evaluation_returns(data.evaluations), arms, games, end)
    training = data.curves.get(EPISODES, pd.DataFrame(columns=POINTS))
    episodes = _kept(training, arms, games, end)
    if not len(evaluations) and not len(episodes):
        raise IncompleteStudy(
            f"No run of study {study.name!r} has been evaluated or has ended an episode by "
            f"{end:,} env frames: there is no curve to draw yet."
        )
    table = study_normalization(options.norm, games, data.declared)
    asked = asked_runs(data, arms, games)
    counts = asked.groupby(["arm", "game"]).size()
    last = evaluations.groupby("arm")["env_frames"].max()
    curves = Curves(
        evaluations,
        episodes,
        {game: table.reference(game).random for game in games if game in table},
        expected={(arm, game): int(counts[arm, game]) for arm in arms for game in games},
        ends={arm: float(last.get(arm, end) if data.sources else end) for arm in arms},
    )
    shown = len(evaluations[["arm", "game", "seed"]].drop_duplicates())
    of_all = f"{shown} of {counted(len(asked), 'run')}"
    seeds = counted(asked["seed"].nunique(), "seed")
    line = f"one line per run ({of_all}, {seeds})"
    if data.means:
        line = "means over unknown numbers of runs"
    note = f"{line} · raw returns · up to {end:,} env frames"
    with style.house_style():
        figure = learning_curves.draw(
            curves, arms=arms, games=games, note=note, page=style.width(options.columns)
        )
    lines = "Means over unknown numbers of runs, one line each"
    single = "so no interval"
    if not data.means:
        lines = (
            "Mean return of the episodes of each evaluation, one coloured line per seed "
            f"({of_all} evaluated). Dots: returns of training episodes"
        )
        single = "single runs, so no interval"
    caption = (
        f"{lines}. Dashed: random play (table {table.id}). Raw returns, not normalised; {single}. "
        f"Protocol {study.protocol}; evaluation: {study.evaluation}; up to {end:,} env "
        "frames."
    )
    cut = int(data.evaluations["truncated"].sum())
    if cut:
        caption += f" {cut} of {len(data.evaluations)} test episodes were cut at the length cap."
    numbers = pd.DataFrame(
        [
            {"series": series, **row}
            for series, frame in (("evaluation", evaluations), ("training episode", episodes))
            for row in frame.to_dict("records")
        ]
    )
    return Drawn(f"{study.name}_curves", "Learning curves", caption, figure, numbers)


def draw_aggregates(data: StudyData, options: Options) -> Drawn:
    """Draws the aggregate scores of a study.

    Raises:
        StatisticsError: if the runs do not allow it.
    """
    scores = collect(data, options)
    aggregates = study_aggregates(scores, options)
    several = any(one.runs > 1 for one in aggregates.values)
    interval = (
        f"{captions.percent(options.ci)} stratified bootstrap, {options.resamples:,} resamples"
        if several
        else scores.alone
    )
    base = next((arm.name for arm in data.study.arms if not arm.toggles), None)
    with style.house_style():
        figure = aggregate_intervals.draw(
            aggregates,
            arms=scores.arms,
            reference=base if base in scores.arms else None,
            note=captions.foot(
                scores, interval, captions.TOO_NARROW if aggregates.too_narrow else ""
            ),
            width=style.width(options.columns),
        )
    games = aggregates.games
    caption = (
        f"Aggregate scores over {counted(len(games), 'game')} ({', '.join(games)}). "
        "Mean and median are over per-game means; the interquartile mean and the optimality gap "
        "(how far scores fall short of 1, the human) are over "
        f"{OF_MEANS if scores.means else 'all runs'}. "
        f"Line: estimate; bar: {interval}{f' (seed {options.seed})' if several else ''}; dotted: "
        f"{base}. {captions.basis(data, scores)}"
    )
    if aggregates.too_narrow:
        caption += (
            f" About the intervals: {TOO_NARROW[0].lower()}{TOO_NARROW[1:]} Bars that lie apart "
            "are no test of a difference: the effects have one."
        )
    if words := uneven(aggregates):
        caption += f" {words}"
    return Drawn(
        f"{data.study.name}_aggregates",
        "Aggregate scores",
        caption,
        figure,
        aggregates_frame(aggregates),
    )


def evaluation_returns(evaluations: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per evaluation of a run: the mean return of its episodes.

    Args:
        evaluations: One row per test episode, as `StudyData.evaluations`.

    Returns:
        arm, game, seed, env_frames, value.
    """
    points = evaluations.groupby(["arm", "game", "seed", "env_frames"], as_index=False)
    return points.agg(value=("episode_return", "mean"))[POINTS]


def _kept(
    points: pd.DataFrame, arms: tuple[str, ...], games: tuple[str, ...], end: int
) -> pd.DataFrame:
    kept = points["arm"].isin(arms) & points["game"].isin(games) & (points["env_frames"] <= end)
    return points.loc[kept, POINTS].reset_index(drop=True)
