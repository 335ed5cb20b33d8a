"""Scores against a numeric setting: one panel for the mean of games and one per game."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from results.figures import style
from results.statistics.intervals import Estimate

Line = Mapping[float, Estimate]  # by value of the setting, increasing
LETTERS: Final = 26
APART: Final = 0.12  # of the narrowest gap between values, from the first line to the last
MANY: Final = 4  # values that span more than this ratio stand on a logarithmic axis


def draw(
    panels: Mapping[str, Mapping[str, Line]], *, setting: str, note: str, width: float
) -> Figure:
    """Draws one panel per scope, with a line per group of arms.

    Args:
        panels: By title, by the arm that names the line, the estimates along it.
        setting: What x is.
        note: The lines at the foot.
        width: Inches.
    """
    note = style.wrapped_note(note, width)
    across = min(len(panels), 4 if width >= style.TWO_COLUMNS else 2)
    down = -(-len(panels) // across)
    names = list(next(iter(panels.values())))
    legend = 0.0 if len(names) < 2 else 0.135 * -(-len(names) // max(1, int(width / 1.6)))
    head, foot, panel, between = 0.3, 0.7 + legend + style.more_foot(note), 1.35, 0.62
    height = head + foot + down * panel + (down - 1) * between
    figure = Figure(figsize=(width, height))
    grid = figure.subplots(down, across, squeeze=False)
    figure.subplots_adjust(
        left=0.5 / width, right=1 - 0.12 / width, top=1 - head / height, bottom=foot / height,
        wspace=0.42, hspace=between / panel,
    )  # fmt: skip
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (title, lines) in zip(grid.flat, panels.items(), strict=False):
        axes.set_title(title)
        draw_panel(axes, lines)
        axes.set_xlabel(setting)
    for row in grid:
        row[0].set_ylabel("score (HNS)")
    if len(names) > 1:
        handles, _ = grid[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, [style.broken(name, LETTERS) for name in names], loc="lower center",
            ncols=max(1, int(width / 1.6)),
            bbox_to_anchor=(0.5, (0.17 + style.more_foot(note)) / height),
        )  # fmt: skip
    style.foot_note(figure, note)
    return figure


def draw_panel(axes: Axes, lines: Mapping[str, Line]) -> None:
    """Draws the lines of one scope, a bar for every interval; bars of one value stand abreast."""
    values = sorted({value for line in lines.values() for value in line})
    if values[0] > 0 and values[-1] / values[0] > MANY:
        axes.set_xscale("log", base=2)
    _ticks(axes, values)
    beside = Beside(values, len(lines), logarithmic=axes.get_xscale() == "log")
    for index, (name, line) in enumerate(lines.items()):
        y = np.array([one.value for one in line.values()])
        low = np.array([one.low for one in line.values()])
        high = np.array([one.high for one in line.values()])
        axes.errorbar(
            beside.places(list(line), index), y, yerr=np.vstack([y - low, high - y]),
            color=style.series_color(index), linestyle=style.series_line(index),
            marker=style.series_marker(index), capsize=2, elinewidth=0.8, label=name,
        )  # fmt: skip
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.margins(x=0.1, y=0.1)


@dataclass(frozen=True)
class Beside:
    """Where lines stand around the values that they share, so that no bar covers another.

    Attributes:
        values: All values, increasing.
        lines: How many lines there are.
        logarithmic: Whether the axis is.
    """

    values: Sequence[float]
    lines: int
    logarithmic: bool

    def places(self, values: Sequence[float], line: int) -> list[float]:
        """The values moved by a line's share of the narrowest gap."""
        scale = np.log2(self.values) if self.logarithmic else np.asarray(self.values, float)
        gap = float(np.diff(scale).min()) if len(scale) > 1 else 0.0
        shift = APART * gap * (line - (self.lines - 1) / 2) / max(self.lines - 1, 1)
        moved = (2 ** (np.log2(value) + shift) if self.logarithmic else value + shift
                 for value in values)  # fmt: skip
        return [float(place) for place in moved]


def _ticks(axes: Axes, values: Sequence[float]) -> None:
    """Puts a tick at every value that arms have."""
    axes.set_xticks(values)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
