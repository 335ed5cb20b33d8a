"""Tables of scores: games down, arms across; raw returns, or human-normalised."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from results.statistics.aggregates import (
    CLIPPED,
    LOWER_IS_BETTER,
    Aggregate,
    Aggregates,
    aggregates_frame,
    study_aggregates,
)
from results.statistics.collecting import collect
from results.statistics.errors import counted
from results.statistics.intervals import MEANS_ONLY, Estimate, contrast, missing_estimate
from results.statistics.options import Options
from results.statistics.scores import Scores
from results.statistics.study_data import StudyData
from results.tables import captions
from results.tables.table import (
    NOTHING,
    Entry,
    Layout,
    Table,
    number,
    plus_minus,
    with_ends,
)

NAMES = {
    "mean": "mean",
    "median": "median",
    "iqm": "IQM",
    "optimality_gap": "optimality gap",
    "clipped_mean": "clipped mean",
    "human_gap": "human gap",
}
ALL_GAMES = "all games"
MOST_ACROSS = 10  # arms; of more each has a row
BEST = "the best of the {line}; no test is implied."

Cell = tuple[str, str]  # arm, game


def scores_table(data: StudyData, options: Options) -> Table:
    """Raw returns of every arm on every game, beside the random player's and the human's."""
    scores = collect(data, options)
    cells = _cells(scores, scores.returns, options.ci)
    table = scores.normalization
    rows = []
    for game in scores.games:
        known = table.reference(game) if game in table else None
        references = (known.random, known.human) if known else (np.nan, np.nan)
        rows.append(
            (
                Entry(game),
                *_game_row(scores, cells, game, digits=1),
                *(Entry(number(value, 1)) for value in references),
            )
        )
    return Table(
        kind="scores",
        title=f"Returns: {data.study.name}",
        caption=captions.paragraph(
            captions.compared(data, scores, options),
            captions.t_interval(cells.values(), options),
            captions.references(scores),
        ),
        frame=_frame(cells),
        layout=_arms_down_if_many(
            Layout(("game", *scores.arms, "random", _upper(scores)), tuple(rows)), scores
        ),
    )


def hns_table(data: StudyData, options: Options) -> Table:
    """Human-normalised scores of every arm on every game, aggregates below."""
    scores = collect(data, options)
    cells = _cells(scores, scores.hns, options.ci)
    aggregates = study_aggregates(scores, options)
    clipped = tuple(CLIPPED) if scores.normalization.human else ()
    metrics = (*aggregates.shown, *clipped)
    rows = [
        (Entry(_labelled(scores, game)), *_game_row(scores, cells, game, digits=3))
        for game in scores.games
    ]
    below = [
        (Entry(NAMES[metric]), *_aggregate_entries(aggregates.of(metric))) for metric in metrics
    ]
    return Table(
        kind="hns",
        title=f"{_scale(scores)} scores: {data.study.name}",
        caption=captions.paragraph(
            captions.compared(data, scores, options),
            captions.normalised(scores),
            captions.t_interval(cells.values(), options),
            captions.bootstrap(aggregates),
            captions.uneven(aggregates),
            captions.few_games(aggregates),
            captions.CLIPPED if clipped else "",
        ),
        frame=pd.concat([_frame(cells), _aggregate_frame(aggregates, metrics)], ignore_index=True),
        layout=_arms_down_if_many(
            Layout(("game", *scores.arms), tuple(rows + below), blocks=(len(rows),)), scores
        ),
    )


def aggregates_table(data: StudyData, options: Options) -> Table:
    """The aggregates over games of every arm: arms down, metrics across."""
    scores = collect(data, options)
    aggregates = study_aggregates(scores, options)
    columns = [_aggregate_entries(aggregates.of(metric)) for metric in aggregates.shown]
    rows = tuple(
        (Entry(one.arm), Entry(_runs(one)), *(entries[index] for entries in columns))
        for index, one in enumerate(aggregates.of("mean"))
    )
    return Table(
        kind="aggregates",
        title=f"Aggregates over {counted(len(aggregates.games), 'game')}: {data.study.name}",
        caption=captions.paragraph(
            captions.compared(data, scores, options),
            captions.normalised(scores),
            f"Games: {', '.join(aggregates.games)}.",
            captions.bootstrap(aggregates),
            captions.uneven(aggregates),
            captions.few_games(aggregates),
            "The clipped mean and the human gap: --kind hns, or --format csv."
            if scores.normalization.human
            else "",
        ),
        frame=aggregates_frame(aggregates),
        layout=Layout(
            ("arm", "runs per game", *(NAMES[metric] for metric in aggregates.shown)),
            rows,
            legend=_legend(scores, "column"),
        ),
    )


def _runs(one: Aggregate) -> str:
    """The runs per game, or the fewest and the most."""
    if one.note == MEANS_ONLY:
        return "unknown"
    return str(one.runs) if one.runs == one.most_runs else f"{one.runs} to {one.most_runs}"


def _scale(scores: Scores) -> str:
    """What kind of scores they are, for a title."""
    return "Human-normalised" if scores.normalization.human else "Normalised"


def _upper(scores: Scores) -> str:
    """The heading of the column of what counts as 1."""
    own = scores.normalization.declared
    if not own:
        return "human"
    return "declared" if len(own) == len(scores.games) else "human or declared"


def _labelled(scores: Scores, game: str) -> str:
    """A game, and that its scale is its own where it is."""
    return f"{game} (declared)" if game in scores.normalization.declared else game


def _cells(
    scores: Scores, values: Callable[[str, str], np.ndarray], ci: float
) -> dict[Cell, Estimate]:
    """The mean of every cell with its t-interval over seeds."""
    return {
        (arm, game): _cell(scores, runs, ci) if len(runs) else missing_estimate("no run yet")
        for game in scores.games
        for arm in scores.arms
        for runs in [values(arm, game)]
    }


def _cell(scores: Scores, runs: np.ndarray, ci: float) -> Estimate:
    return contrast([runs], [1], ci=ci, alone=scores.alone)


def _frame(cells: Mapping[Cell, Estimate]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "game": game,
                "statistic": "mean",
                "runs": one.most,
                "value": one.value,
                "low": one.low,
                "high": one.high,
                "sd": one.sd,
                "note": one.note,
            }
            for (arm, game), one in cells.items()
        ]
    )


def _aggregate_frame(aggregates: Aggregates, metrics: Sequence[str]) -> pd.DataFrame:
    """The aggregates as rows of a table of cells."""
    frame = aggregates_frame(aggregates).rename(columns={"metric": "statistic"})
    shown = frame[frame["statistic"].isin(metrics)]
    return shown.assign(game=ALL_GAMES, sd=np.nan)[
        ["arm", "game", "statistic", "runs", "value", "low", "high", "sd", "note"]
    ]


def _game_row(
    scores: Scores, cells: Mapping[Cell, Estimate], game: str, *, digits: int
) -> list[Entry]:
    fewest, most = scores.runs_per_cell()
    row = [cells[arm, game] for arm in scores.arms]
    texts = [
        f"{plus_minus(one, digits)} (n={one.most})"
        if fewest != most and one.most and not scores.means
        else plus_minus(one, digits)
        for one in row
    ]
    return _best(texts, [one.value for one in row])


def _aggregate_entries(values: list[Aggregate]) -> list[Entry]:
    sign = -1 if values[0].metric in LOWER_IS_BETTER else 1
    texts = [with_ends(one.value, one.low, one.high, 3) for one in values]
    return _best(texts, [sign * one.value for one in values])


def _arms_down_if_many(layout: Layout, scores: Scores) -> Layout:
    """A layout of games down and arms across, turned where there are too many arms for a page."""
    if len(scores.arms) <= MOST_ACROSS:
        return replace(layout, legend=_legend(scores, "row"))
    rows = [
        (Entry(name), *(row[column] for row in layout.rows))
        for column, name in enumerate(layout.header)
        if column > 0
    ]
    beside = len(rows) - len(scores.arms)  # random and human
    return Layout(
        ("arm", *(row[0].text for row in layout.rows)),
        tuple(rows),
        blocks=(len(scores.arms),) if beside else (),
        legend=_legend(scores, "column"),
    )


def _legend(scores: Scores, line: str) -> str:
    return BEST.format(line=line) if len(scores.arms) > 1 else ""


def _best(texts: list[str], values: list[float]) -> list[Entry]:
    """Marks the highest value, and every other that prints the same."""
    present = [value for value in values if not np.isnan(value)]
    if len(present) < 2:
        return [Entry(text) for text in texts]
    highest = max(present)
    return [
        Entry(text, best=value == highest and text != NOTHING)
        for text, value in zip(texts, values, strict=True)
    ]
