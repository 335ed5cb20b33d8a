"""The probability that a run of an arm scores more than a run of another, arm by arm."""

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.figure import Figure

from results.figures import style
from results.statistics.improvement import Improvement

ROW_INCHES: Final = 0.22


def draw(found: Sequence[Improvement], *, note: str, width: float) -> Figure:
    """Draws one row per arm: a bar from low to high with a line at the estimate.

    Args:
        found: Every arm against the same other.
        note: The lines at the foot.
        width: Inches.
    """
    note = style.wrapped_note(note, width)
    letters = 22 if width < style.TWO_COLUMNS else 40
    labels = [style.broken(one.arm, letters) for one in found]
    left = 0.16 + 0.0083 * 7 * max(len(line) for name in labels for line in name.splitlines())
    row = max(ROW_INCHES, 0.115 * max(name.count("\n") + 1 for name in labels))
    head, foot = 0.14, 0.68 + style.more_foot(note)
    height = head + foot + row * len(found)
    figure = Figure(figsize=(width, height))
    axes = figure.subplots()
    figure.subplots_adjust(
        left=left / width, right=1 - 0.16 / width, top=1 - head / height, bottom=foot / height
    )
    for place, one in enumerate(found):
        if place % 2 == 0:
            axes.axhspan(place - 0.5, place + 0.5, color="#F6F6F6", zorder=0)
        if not math.isfinite(one.value):
            axes.text(0.5, place, one.note, ha="center", va="center", fontsize=style.SMALL,
                      color=style.GREY, gid="missing")  # fmt: skip
        elif not math.isfinite(one.low):
            axes.plot(one.value, place, "o", color=style.BLUE, markersize=4.5, gid="point")
        else:
            axes.barh(place, one.high - one.low, left=one.low, height=0.55, color=style.SKY_BLUE,
                      gid="interval", zorder=2)  # fmt: skip
            axes.plot([one.value] * 2, [place - 0.36, place + 0.36], color=style.BLACK,
                      linewidth=1.6, gid="point", zorder=3)  # fmt: skip
    axes.axvline(0.5, color=style.BLACK, linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=1)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_yticks(range(len(found)), labels, linespacing=1.0)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"P(arm > {found[0].other})")
    style.foot_note(figure, note)
    return figure
