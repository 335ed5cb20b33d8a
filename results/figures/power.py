"""How the smallest effect that a study can see falls with the number of its seeds."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from results.figures import style
from results.figures.drawn import Drawn
from results.statistics.power import Question
from results.statistics.study_power import Asked, StudyPower

HEIGHT: Final = 3.3
LEGEND_INCHES: Final = 2.35


def draw_power(found: StudyPower, asked: Asked) -> Drawn:
    """Draws the detectable effect of every question of a study against the seeds.

    Args:
        found: What the study can see.
        asked: Its levels and targets.
    """
    spread = found.spread
    known = math.isfinite(spread.low)
    with style.house_style():
        figure = draw(found, asked)
    limits = f" [{spread.low:.3f}, {spread.high:.3f}], {spread.df} df" if known else ""
    caption = (
        f"The smallest true effect that is found with {100 * asked.power:g}% power by a two-sided "
        f"test at {100 * asked.alpha:g}%, from the noncentral t with the interval's own degrees "
        f"of freedom. Standard deviation between seeds: {spread.sd:.3f}{limits}, from "
        f"{spread.source}."
    )
    if known:
        caption += " Bands: the same at both limits of that number."
    caption += f" Dotted: the {found.own_seeds} seeds of the study."
    return Drawn(f"{found.study}_power", "What seeds can see", caption, figure, found.detectable)


def draw(found: StudyPower, asked: Asked) -> Figure:
    """Draws one line per question, on two logarithmic scales."""
    width, spread = style.TWO_COLUMNS, found.spread
    source = style.wrapped(f"spread between seeds {spread.sd:.3f} HNS: {spread.source}", 118)
    figure = Figure(figsize=(width, HEIGHT))
    left, bottom = 0.6, 0.78 + style.more_foot(source)
    axes = figure.add_axes(
        (left / width, bottom / HEIGHT, (width - left - LEGEND_INCHES) / width,
         (HEIGHT - bottom - 0.15) / HEIGHT)
    )  # fmt: skip
    seeds = [int(n) for n in dict.fromkeys(found.detectable["seeds"]) if n > 1]
    draw_lines(axes, found, asked, seeds)
    handles, labels = axes.get_legend_handles_labels()
    if math.isfinite(found.spread.low):
        handles.append(Patch(color=style.GREY, alpha=0.25, linewidth=0))
        labels.append("at both limits of the spread")
    figure.legend(
        handles, labels, loc="upper left", fontsize=style.SMALL, handlelength=2.4,
        bbox_to_anchor=(1 - (LEGEND_INCHES - 0.1) / width, 1 - 0.1 / HEIGHT),
    )  # fmt: skip
    style.foot_note(figure, source)
    return figure


def draw_lines(axes: Axes, found: StudyPower, asked: Asked, seeds: Sequence[int]) -> Axes:
    """Draws the detectable effect of each question over a fine grid of seeds."""
    grid = np.unique(np.geomspace(2, max([*seeds, 5]), 40).round().astype(int))
    for index, one in enumerate(found.questions):
        color, line = style.series_color(index), "-" if one.family == 1 else "--"
        value, low, high = (
            _line(one, sd, grid, asked)
            for sd in (found.spread.sd, found.spread.low, found.spread.high)
        )
        axes.fill_between(grid, low, high, color=color, alpha=0.12, linewidth=0, gid="band")
        axes.plot(grid, value, color=color, linestyle=line, label=one.name, gid="detectable")
    for target in asked.targets:
        axes.axhline(target, color=style.PALE, linewidth=0.7, zorder=0, gid="target")
    if found.own_seeds > 1:
        axes.axvline(found.own_seeds, color=style.BLACK, linewidth=0.9, linestyle=(0, (1, 1.5)),
                     label=f"{found.own_seeds} seeds: this study", gid="own")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator([n for n in seeds if n in _ROUND] or seeds))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(FixedLocator([0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("seeds per arm and game")
    axes.set_ylabel("detectable effect (HNS)")
    axes.grid(axis="y")
    return axes


_ROUND: Final = frozenset({2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000})


def _line(one: Question, sd: float, grid: np.ndarray, asked: Asked) -> list[float]:
    if not math.isfinite(sd):
        return [math.nan] * len(grid)
    return [one.detectable(sd, int(seeds), alpha=asked.alpha, power=asked.power) for seeds in grid]
