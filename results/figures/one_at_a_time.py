"""Learning curves of adding and of leaving out one toggle, in the manner of Rainbow.

Hessel et al., "Rainbow: Combining Improvements in Deep Reinforcement Learning", arXiv 1710.02298,
figure 3 leaves one out at a time. Here each toggle has a panel of its own, with the agent that it
is compared with, so that the bands can be seen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from results.figures import captions, style
from results.figures.drawn import Drawn
from results.figures.found import Found
from results.statistics.compared import Cell, items
from results.statistics.errors import StatisticsError, counted
from results.statistics.options import Options
from results.statistics.score_curves import score_curves
from results.statistics.shapley import players_of
from results.statistics.study_data import StudyData

PER_ROW: Final = 4
PANEL_INCHES: Final = 1.0
ADDED: Final = "Added to the base"
LEFT_OUT: Final = "Left out of the full agent"


@dataclass(frozen=True)
class Against:
    """One panel: an arm against the one that it differs from by a toggle.

    Attributes:
        title: The toggle, with a sign for whether it is added or left out.
        arm: The arm with the change; None where it is not compared.
        reference: The arm without it.
    """

    title: str
    arm: str | None
    reference: str | None


def draw_one_at_a_time(data: StudyData, options: Options) -> Drawn:
    """Draws the add-one-in and the leave-one-out curves of a study on the mean of games.

    Raises:
        StatisticsError: if the study has no toggle, or no arm beside the base or full agent.
    """
    found = Found.of(data, options)
    blocks = [
        (title, panels)
        for title, panels in (
            (ADDED, _added(found)),
            (LEFT_OUT, _left_out(found)),
        )
        if any(one.arm and one.reference for one in panels)
    ]
    if not blocks:
        raise StatisticsError(found.nothing_to_show())
    curves = score_curves(data, found.scores, options)
    if curves.frame["env_frames"].nunique() < 2:
        raise StatisticsError(
            f"The runs of study {data.study.name!r} have one evaluation each: there is no curve."
        )
    band = curves.frame["low"].notna().any()
    interval = f"{captions.percent(options.ci)} t-interval, variance pooled over arms"
    with style.house_style():
        figure = draw(
            blocks,
            curves.frame,
            interval=interval if band else "",
            note=found.foot(),
            width=style.width(options.columns),
        )
    count = counted(len(curves.games), "game")
    caption = (
        f"Human-normalised score, mean of {count}, one value per seed, against env frames. Each "
        "panel: the agent with one toggle added (or left out) in colour, the agent that it is "
        "compared with in black, all other arms of the row faint. "
        f"{f'Bands: {interval}; bands that overlap are no test. ' if band else ''}"
        f"{found.caption()}"
    )
    return Drawn(
        f"{data.study.name}_one_at_a_time", "One toggle at a time", caption, figure, curves.frame
    )


def _added(found: Found) -> list[Against]:
    arms = found.findings.cells.arms
    return [
        Against(
            f"+ {item.name}",
            arms.get(frozenset({(item.toggle, item.level)})),
            arms.get(frozenset()),
        )
        for item in items(found.data.study)
    ]


def _left_out(found: Found) -> list[Against]:
    arms, full = found.findings.cells.arms, players_of(found.data.study)
    if len(full) < 2:
        return []

    def without(toggle: str) -> Cell:
        return frozenset(one for one in full if one[0] != toggle)

    return [
        Against(f"− {toggle.name}", arms.get(without(toggle.name)), arms.get(full))
        for toggle in found.data.study.toggles
    ]


def draw(
    blocks: Sequence[tuple[str, Sequence[Against]]],
    curves: pd.DataFrame,
    *,
    interval: str,
    note: str,
    width: float,
) -> Figure:
    """Draws one panel per toggle in each block, all on one scale.

    Args:
        blocks: A heading and its panels each.
        curves: The frame of `score_curves`.
        interval: What the bands are; empty where there are none.
        note: The lines at the foot.
        width: Inches.
    """
    narrow, note = width < style.TWO_COLUMNS, style.wrapped_note(note, width)
    widest = max(len(panels) for _, panels in blocks)
    columns = math.ceil(widest / math.ceil(widest / (PER_ROW // 2 if narrow else PER_ROW)))
    rows = [math.ceil(len(panels) / columns) for _, panels in blocks]
    left, gap, line, title = 0.5, 0.14, PANEL_INCHES + 0.3, 0.38
    handles = _handles(blocks, style.wrapped(interval, 26) if narrow else interval)
    across = 2 if narrow else 3
    foot = 0.58 + 0.12 * narrow + 0.13 * -(-len(handles) // across) + style.more_foot(note)
    height = sum(rows) * line + title * len(blocks) + foot
    panel = (width - left - 0.1 - gap * (columns - 1)) / columns
    panel = min(panel, 2.2)
    figure = Figure(figsize=(width, height))
    shared: Axes | None = None
    top = height
    lowest: list[Axes] = []
    for (heading, panels), count in zip(blocks, rows, strict=True):
        figure.text(0.012, (top - 0.24) / height, heading, fontsize=8, fontweight="bold")
        top -= title
        family = {name for one in panels for name in (one.arm, one.reference) if name}
        for index, one in enumerate(panels):
            row, column = divmod(index, columns)
            axes = figure.add_axes(
                (
                    (left + column * (panel + gap)) / width,
                    (top - row * line - 0.16 - PANEL_INCHES) / height,
                    panel / width,
                    PANEL_INCHES / height,
                ),
                sharex=shared,
                sharey=shared,
            )
            shared = shared or axes
            draw_panel(axes, one, curves[curves["arm"].isin(family)])
            axes.tick_params(axis="y", labelleft=column == 0)
            axes.tick_params(axis="x", labelbottom=index + columns >= len(panels))
            if column == 0:
                axes.set_ylabel("HNS", labelpad=2)
            lowest.append(axes)
        top -= count * line
    _label_frames(figure, lowest[-1], curves, foot / height)
    figure.legend(
        handles=handles,
        loc="lower left",
        ncols=across,
        bbox_to_anchor=(0.0, (0.17 + style.more_foot(note)) / height),
        columnspacing=1.2,
        fontsize=style.SMALL,
    )
    style.foot_note(figure, note)
    style.make_room(figure)
    return figure


def draw_panel(axes: Axes, one: Against, curves: pd.DataFrame) -> Axes:
    """Draws one arm against its reference, with the others of its block behind."""
    for other in dict.fromkeys(curves["arm"]):
        if other not in (one.arm, one.reference):
            line = curves[curves["arm"] == other]
            axes.plot(line["env_frames"], line["value"], color="#D5D5D5", linewidth=0.7, zorder=1)
    for arm, color, name in (
        (one.reference, style.BLACK, "reference"),
        (one.arm, style.BLUE if one.title.startswith("+") else style.VERMILLION, "arm"),
    ):
        line = curves[curves["arm"] == arm]
        axes.fill_between(
            line["env_frames"], line["low"], line["high"], color=color, alpha=0.16, linewidth=0,
            zorder=2, gid=f"{name} band",
        )  # fmt: skip
        axes.plot(line["env_frames"], line["value"], color=color, linewidth=1.4, zorder=3,
                  gid=name)  # fmt: skip
    axes.set_title(one.title, loc="left", fontsize=7, pad=3, fontweight="normal")
    absent = one.arm is None or not (curves["arm"] == one.arm).any()
    if absent:
        axes.text(
            0.5, 0.5, "not in the study" if one.arm is None else "no runs yet", ha="center",
            transform=axes.transAxes, fontsize=style.SMALL, color=style.GREY, gid="missing",
        )  # fmt: skip
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return axes


def _label_frames(figure: Figure, axes: Axes, curves: pd.DataFrame, bottom: float) -> None:
    """Writes env frames in thousands or millions, once for all panels."""
    unit, name = (1e6, "millions") if curves["env_frames"].max() >= 2e6 else (1e3, "thousands")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:g}"))
    axes.set_xlim(left=0)
    height = figure.get_size_inches()[1]
    figure.text(0.5, bottom - 0.26 / height, f"env frames ({name})", ha="center", fontsize=7.5)


def _handles(blocks: Sequence[tuple[str, Sequence[Against]]], interval: str) -> list[Line2D]:
    """Explains every line."""
    titles = [title for title, _ in blocks]
    words = {
        ADDED: (style.BLUE, "base", "with the toggle added"),
        LEFT_OUT: (style.VERMILLION, "full", "without the toggle"),
    }
    references = ", or ".join(words[title][1] for title in titles)
    handles = [
        Line2D([], [], color=style.BLACK, label=references),
        *(Line2D([], [], color=words[title][0], label=words[title][2]) for title in titles),
        Line2D([], [], color="#D5D5D5", label="the other arms"),
    ]
    if interval:
        handles.append(Line2D([], [], color=style.BLACK, alpha=0.16, linewidth=6, label=interval))
    return handles
