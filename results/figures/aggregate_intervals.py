"""Aggregate scores per arm with their bootstrap intervals, one panel per aggregate."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from results.figures import style
from results.statistics.aggregates import LOWER_IS_BETTER, Aggregate, Aggregates
from results.statistics.intervals import MEANS_ONLY

ROW_INCHES: Final = 0.2
LINE_INCHES: Final = 0.12  # of an arm's name that takes several
LINE_LETTERS: Final = 40  # longer names of arms go on in another line
TITLES: Final[Mapping[str, str]] = {
    "mean": "Mean",
    "median": "Median",
    "iqm": "IQM",
    "optimality_gap": "Optimality gap",
}


def draw(
    aggregates: Aggregates,
    *,
    arms: Sequence[str],
    reference: str | None,
    note: str,
    width: float = style.TWO_COLUMNS,
) -> Figure:
    """Draws one panel per aggregate, one row per arm; two in a row where the page is narrow.

    Args:
        aggregates: Every aggregate of every arm.
        arms: Rows, from the top.
        reference: The arm whose estimate is drawn through all rows; None for none.
        note: The lines at the foot.
        width: Inches.
    """
    note = style.wrapped_note(note, width)
    runs = {one.arm: _runs(one) for one in aggregates.values}
    letters = LINE_LETTERS if width >= style.TWO_COLUMNS else 18
    labels = [style.broken(f"{arm} (n = {runs.get(arm, '0')})", letters) for arm in arms]
    lines = [line for label in labels for line in label.splitlines()]
    longest = max(map(len, lines))
    points = 7.0 if longest <= 30 else 5.8
    left = 0.18 + 0.0083 * points * longest
    shown = aggregates.shown
    across = len(shown) if width >= style.TWO_COLUMNS else min(2, len(shown))
    down = -(-len(shown) // across)
    head, foot = 0.45, 0.66 + style.more_foot(note)
    row = max(ROW_INCHES, LINE_INCHES * max(label.count("\n") + 1 for label in labels))
    between = 0.72
    panel = row * len(arms)
    height = head + foot + down * panel + (down - 1) * between
    figure = Figure(figsize=(width, height))
    grid = figure.subplots(down, across, sharey=True, squeeze=False)
    figure.subplots_adjust(
        left=left / width, right=1 - 0.12 / width, top=1 - head / height, bottom=foot / height,
        wspace=0.14, hspace=between / panel,
    )  # fmt: skip
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, metric in zip(grid.flat, shown, strict=False):
        draw_panel(
            axes, {one.arm: one for one in aggregates.of(metric)}, arms, reference=reference
        )
        axes.set_title(TITLES[metric], pad=12)
        axes.xaxis.set_major_locator(MaxNLocator(3 if width >= style.TWO_COLUMNS else 2))
        hint = "lower is better" if metric in LOWER_IS_BETTER else "higher is better"
        axes.text(
            0.5, 1.0, hint, ha="center", va="bottom", fontsize=style.SMALL, color="#555555",
            transform=axes.transAxes,
        )  # fmt: skip
    for axes in grid[:, 0]:
        axes.set_yticks(range(len(arms)), labels, fontsize=points, linespacing=1.2)
    style.foot_note(figure, note)
    return figure


def _runs(one: Aggregate) -> str:
    """The runs per game, or the fewest and the most."""
    if one.note == MEANS_ONLY:
        return "unknown"
    return str(one.runs) if one.runs == one.most_runs else f"{one.runs} to {one.most_runs}"


def draw_panel(
    axes: Axes, estimates: Mapping[str, Aggregate], arms: Sequence[str], *, reference: str | None
) -> Axes:
    """Draws one aggregate: a bar from low to high with a line at the estimate, or a point."""
    for row, arm in enumerate(arms):
        if row % 2 == 0:
            axes.axhspan(row - 0.5, row + 0.5, color="#F6F6F6", zorder=0)
        estimate = estimates.get(arm)
        if estimate is None or not math.isfinite(estimate.value):
            axes.text(
                0.5, row, "no complete runs", ha="center", va="center", fontsize=style.SMALL,
                color=style.GREY, transform=axes.get_yaxis_transform(), gid="missing",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )  # fmt: skip
        else:
            _draw_estimate(axes, row, estimate)
    base = estimates.get(reference) if reference is not None else None
    if base is not None and math.isfinite(base.value):
        axes.axvline(
            base.value, color=style.BLACK, linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=1,
            gid="reference",
        )  # fmt: skip
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.set_xlabel("HNS")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.use_sticky_edges = False  # bars would end at the frame
    axes.margins(x=0.1)
    return axes


def _draw_estimate(axes: Axes, row: int, estimate: Aggregate) -> None:
    if not math.isfinite(estimate.low):
        axes.plot(estimate.value, row, "o", color=style.BLUE, markersize=4.5, gid="point")
        return
    axes.barh(
        row, estimate.high - estimate.low, left=estimate.low, height=0.55, color=style.SKY_BLUE,
        gid="interval", zorder=2,
    )  # fmt: skip
    axes.plot(
        [estimate.value] * 2, [row - 0.36, row + 0.36], color=style.BLACK, linewidth=1.6,
        gid="point", zorder=3, solid_capstyle="butt",
    )  # fmt: skip
