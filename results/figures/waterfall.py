"""From the base to the full agent by Shapley values: whom the gain belongs to, in no order.

A plain waterfall depends on the order in which toggles are added. The steps here are the means
over all orders; whiskers show the least and the most that a toggle adds in any of them.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from results.figures import style
from results.figures.drawn import Drawn
from results.figures.found import SCORE, Found
from results.statistics.cells import MEAN
from results.statistics.contrasts import Effect
from results.statistics.errors import StatisticsError, counted
from results.statistics.intervals import Estimate
from results.statistics.options import Options
from results.statistics.shapley import SHAPLEY, marginal_gains, players_of
from results.statistics.study_data import StudyData

ROW_INCHES: Final = 0.27
END: Final = "#9C9C9C"


@dataclass(frozen=True)
class Step:
    """One toggle of the waterfall.

    Attributes:
        name: The toggle.
        value: Its Shapley value.
        least: The least that it adds in any order.
        most: The most.
    """

    name: str
    value: Estimate
    least: float
    most: float


def draw_waterfall(data: StudyData, options: Options) -> Drawn:
    """Draws how the gain of the full agent is shared out.

    Raises:
        StatisticsError: if a cell of the full factorial is missing, or there are too few toggles.
    """
    found = Found.of(data, options)
    shares = [one for one in found.findings.effects if one.kind == SHAPLEY]
    if len(data.study.toggles) < 2 or not shares:
        raise StatisticsError(
            f"Study {data.study.name!r} has {counted(len(data.study.toggles), 'toggle')}: a gain "
            "is shared out among two to ten."
        )
    mean = [one for one in shares if one.scope == MEAN]
    lacking = next((one.estimate.note for one in mean if math.isnan(one.estimate.value)), "")
    if lacking:
        raise StatisticsError(
            "Shapley values need every combination of the toggles (the design factorial): "
            f"{lacking}."
        )
    steps = [_step(found, one) for one in mean]
    steps.sort(key=lambda step: -step.value.value)
    cells = found.findings.cells
    ends = tuple(
        cells.estimate({cell: 1.0}, MEAN, ci=options.ci)
        for cell in (frozenset[tuple[str, str]](), players_of(data.study))
    )
    with style.house_style():
        figure = draw(
            steps, ends[0], ends[1], note=found.foot(), width=style.width(options.columns)
        )
    count = counted(len(cells.compared_games), "game")
    caption = (
        f"From f(base) to f(full) on the mean of {count}, by the Shapley value of each toggle: "
        "the mean of what it adds over all orders of adding the toggles; the steps add up. "
        "Whiskers: the least and the most that it adds in any order; they are the extremes of "
        "noisy differences, so they are wider than the truth. Numbers: Shapley value and half of "
        f"its interval. {found.caption()}"
    )
    return Drawn(
        f"{data.study.name}_waterfall",
        "Who brings the gain",
        caption,
        figure,
        _numbers(found, shares),
    )


def _step(found: Found, one: Effect) -> Step:
    gains = marginal_gains(found.findings.cells, found.data.study, one)
    return Step(one.name, one.estimate, min(gains), max(gains))


def _numbers(found: Found, shares: Sequence[Effect]) -> pd.DataFrame:
    rows = []
    for one in shares:
        gains = marginal_gains(found.findings.cells, found.data.study, one)
        known = gains and not math.isnan(one.estimate.value)
        rows.append(
            {
                "toggle": one.name,
                "scope": one.scope,
                **asdict(one.estimate),
                "least_in_any_order": min(gains) if known else math.nan,
                "most_in_any_order": max(gains) if known else math.nan,
            }
        )
    return pd.DataFrame(rows)


def draw(
    steps: Sequence[Step], base: Estimate, full: Estimate, *, note: str, width: float
) -> Figure:
    """Draws the base, the steps from the largest down, and the full agent.

    Args:
        steps: In the order of drawing.
        base: Score of the base.
        full: Score of the full agent.
        note: The lines at the foot.
        width: Inches.
    """
    names = ["base", *(step.name for step in steps), "full"]
    left = 0.2 + 0.058 * max(map(len, names))
    narrow, note = width < style.TWO_COLUMNS, style.wrapped_note(note, width)
    foot = 0.95 + 0.13 * narrow + style.more_foot(note)
    height = 0.12 + ROW_INCHES * len(names) + foot
    text = 0.82 if narrow else 1.15
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes(
        (
            left / width,
            foot / height,
            (width - left - text) / width,
            ROW_INCHES * len(names) / height,
        )
    )
    draw_steps(axes, steps, base, full)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(SCORE)
    figure.legend(
        handles=[
            Patch(color=END, label="score of base and full"),
            Patch(color=style.BLUE, label="adds"),
            Patch(color=style.VERMILLION, label="takes away"),
            Line2D([], [], color=style.BLACK, linewidth=1.0, marker="|", markersize=5,
                   label="least and most in any order"),
        ],
        loc="lower left", ncols=2 if narrow else 4, columnspacing=1.2, handletextpad=0.5,
        fontsize=style.SMALL,
        bbox_to_anchor=(0.0, (0.17 + style.more_foot(note)) / height),
    )  # fmt: skip
    style.foot_note(figure, note)
    return figure


def draw_steps(axes: Axes, steps: Sequence[Step], base: Estimate, full: Estimate) -> Axes:
    """Draws one row per step; each begins where the one above it ends."""
    last = len(steps) + 1
    for place, end in ((0, base), (last, full)):
        axes.barh(place, end.value, height=0.62, color=END, zorder=2, gid="end")
        _say(axes, place, _score(end))
    start = base.value
    for place, step in enumerate(steps, start=1):
        value = step.value.value
        axes.barh(
            place, value, left=start, height=0.62, zorder=2, gid="step",
            color=style.BLUE if value >= 0 else style.VERMILLION,
        )  # fmt: skip
        axes.plot(
            [start + step.least, start + step.most], [place] * 2, color=style.BLACK,
            linewidth=1.0, marker="|", markersize=5, zorder=4, gid="orders",
        )  # fmt: skip
        axes.plot([start + value] * 2, [place - 0.31, place + 1.31], color=style.GREY,
                  linewidth=0.7, zorder=3)  # fmt: skip
        _say(axes, place, _signed(step.value))
        start += value
    axes.plot([base.value] * 2, [-0.31, 1.31], color=style.GREY, linewidth=0.7, zorder=3)
    style.zero_line(axes)
    axes.set_ylim(last + 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.use_sticky_edges = False
    return axes


def _score(estimate: Estimate) -> str:
    half = f" ± {estimate.high - estimate.value:.2f}" if math.isfinite(estimate.high) else ""
    return f"{estimate.value:.2f}{half}".replace("-", "−")


def _signed(estimate: Estimate) -> str:
    half = f" ± {estimate.high - estimate.value:.2f}" if math.isfinite(estimate.high) else ""
    return f"{style.signed(estimate.value, 2)}{half}"


def _say(axes: Axes, place: int, words: str) -> None:
    axes.annotate(
        words, (1.0, place), xycoords=axes.get_yaxis_transform(), xytext=(6, 0),
        textcoords="offset points", va="center", fontsize=6.5, annotation_clip=False, gid="words",
    )  # fmt: skip
