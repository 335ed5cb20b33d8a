"""Lines with bands: one line per arm over a common axis, with its pointwise interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from results.figures import style

LETTERS: Final = 26  # of a name in the legend; longer ones are broken


@dataclass(frozen=True)
class Band:
    """One line.

    Attributes:
        name: Its arm.
        x: [P], increasing.
        y: [P].
        low: [P], NaN where there is no interval.
        high: [P].
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


def draw(
    bands: Sequence[Band],
    *,
    x_label: str,
    y_label: str,
    marks: tuple[tuple[float, str], ...] = (),
    human: bool = False,
    note: str,
    width: float,
) -> Figure:
    """Draws the bands into one panel, with the legend under it.

    Args:
        bands: The lines, in the order of the legend.
        x_label: What x is, with its unit.
        y_label: What y is, with its unit.
        marks: Places on the x-axis with a thin line and a word.
        human: Whether a thin line marks y = 1.
        note: The lines at the foot.
        width: Inches.
    """
    note = style.wrapped_note(note, width)
    names = [style.broken(band.name, LETTERS) for band in bands]
    across = max(1, min(len(bands), int(width / 1.55)))
    rows = -(-len(bands) // across)
    lines = rows * max(name.count("\n") + 1 for name in names)
    head, foot = 0.14, 0.62 + 0.135 * lines + style.more_foot(note)
    height = head + foot + (1.9 if width < style.TWO_COLUMNS else 2.4)
    figure = Figure(figsize=(width, height))
    axes = figure.subplots()
    figure.subplots_adjust(
        left=0.52 / width, right=1 - 0.12 / width, top=1 - head / height, bottom=foot / height
    )
    for index, (band, name) in enumerate(zip(bands, names, strict=True)):
        draw_band(axes, band, name, index)
    for place, word in marks:
        axes.axvline(place, color=style.GREY, linewidth=0.6, linestyle=(0, (1, 1.5)), zorder=1)
        axes.text(
            place, 1.0, f" {word}", ha="left", va="top", fontsize=style.SMALL, color="#555555",
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    if human:
        axes.axhline(1.0, color=style.GREY, linewidth=0.6, linestyle=(0, (1, 1.5)), zorder=1)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.margins(x=0.02)
    figure.legend(
        loc="lower center", ncols=across, handlelength=2.2, columnspacing=1.2,
        bbox_to_anchor=(0.5, (0.17 + style.more_foot(note)) / height),
    )  # fmt: skip
    style.foot_note(figure, note)
    style.make_room(figure)
    return figure


def draw_band(axes: Axes, band: Band, name: str, index: int) -> None:
    """Draws one line with its interval."""
    color = style.series_color(index)
    axes.fill_between(
        band.x, band.low, band.high, color=color, alpha=0.16, linewidth=0, zorder=2,
        gid=f"interval of {band.name}",
    )  # fmt: skip
    axes.plot(
        band.x, band.y, color=color, linestyle=style.series_line(index), label=name, zorder=3,
        gid=f"line of {band.name}",
    )  # fmt: skip
