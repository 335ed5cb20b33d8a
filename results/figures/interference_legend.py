"""The key of the interference map: every place and every mark, in words."""

import math
from typing import Final

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from results.figures import style

MARK_GREY: Final = "#9A9A9A"
HATCH: Final = "////"
NO_INTERVAL_HATCH: Final = "xxxx"  # crossed: also told apart where no ± fits
KEY_INCHES: Final = 0.86
PLACE_INCHES: Final = 0.235
SWATCH_INCHES: Final = 0.18

_FILL: Final = "#F4F4F4"
_EDGE: Final = "#8A8A8A"
_PLACES: Final = (
    ("A", "effect of adding the\ntoggle to the base"),
    ("L", "effect of the toggle\nwithin the full agent"),
    ("I base", "interaction of the pair\nadded to the base"),
    ("I full", "interaction of the pair\nwithin the full agent"),
)


def draw_legend(axes: Axes, size: tuple[float, float], *, interval: str, columns: int) -> Axes:
    """Explains in words where each number stands and what each mark means.

    Args:
        axes: Drawn over without a frame.
        size: Width and height of the axes in inches.
        interval: What the half-widths are; "" where no tile has one.
        columns: 3 (wide page) or 1 (narrow margin).
    """
    width, height = size
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    marks = _marks(interval)
    _draw_key(axes, 0.0, 0.0)
    if columns == 1:
        _draw_places(axes, 0.0, KEY_INCHES + 0.26)
        top = KEY_INCHES + 0.16 + PLACE_INCHES * len(_PLACES) + 0.06
        _draw_marks(axes, marks, 0.0, top, (height - top) / len(marks))
        return axes
    _draw_places(axes, KEY_INCHES + 0.12, 0.13)
    half = math.ceil(len(marks) / 2)
    _draw_marks(axes, marks[:half], 0.385 * width, 0.0, height / half)
    _draw_marks(axes, marks[half:], 0.70 * width, 0.0, height / half)
    return axes


def _marks(interval: str) -> list[tuple[str, str]]:
    half = f"± half of the\n{interval}, where it fits" if interval else "no ±\nanywhere"
    return [
        ("number", f"estimate; {half}"),
        ("significant", "thick border: differs from 0\n(Holm, over all pairs)"),
        ("excludes zero", "dot: unadjusted interval\nexcludes 0"),
        ("cannot tell", "hatched: cannot tell (smaller than\nwhat these seeds can detect)"),
        ("no interval", "crossed, no ±: no interval\n(one seed, or all seeds equal)"),
        ("crossover", "triangle: crossover (an effect\nchanges its sign)"),
        ("floor", "F: floor-limited (a score hardly\nabove random play)"),
        ("undefined", "grey cross: not defined\n(no agent can have both)"),
        ("missing", "empty: no runs\n(never drawn as 0)"),
    ]


def _draw_key(axes: Axes, x: float, y: float) -> None:
    """Draws a 2 x 2 map with letters for the places."""
    half = KEY_INCHES / 2
    for row in range(2):
        for column in range(2):
            corner = (x + column * half, y + row * half)
            axes.add_patch(
                Rectangle(corner, half, half, facecolor=_FILL, edgecolor=_EDGE, linewidth=0.7)
            )
    for step in range(2):
        left, top = x + step * half, y + step * half
        axes.plot([left, left + half], [top, top + half], color=_EDGE, linewidth=0.7)
        _letter(axes, left + 0.3 * half, top + 0.7 * half, "A")
        _letter(axes, left + 0.7 * half, top + 0.3 * half, "L")
    _letter(axes, x + 1.5 * half, y + 0.5 * half, "I\nfull")
    _letter(axes, x + 0.5 * half, y + 1.5 * half, "I\nbase")


def _letter(axes: Axes, x: float, y: float, text: str) -> None:
    axes.text(x, y, text, ha="center", va="center", fontsize=6.5, linespacing=0.95)


def _draw_places(axes: Axes, x: float, y: float) -> None:
    for index, (letter, words) in enumerate(_PLACES):
        top = y + PLACE_INCHES * index
        axes.text(x, top, letter, va="center", fontsize=6.2, fontweight="bold")
        axes.text(x + 0.36, top, words, va="center", fontsize=6.2, linespacing=1.05)


def _draw_marks(axes: Axes, marks: list[tuple[str, str]], x: float, y: float, line: float) -> None:
    """Draws a swatch and its words per line, downwards from (x, y), `line` inches apart."""
    for index, (mark, words) in enumerate(marks):
        middle = y + (index + 0.5) * line
        _draw_swatch(axes, mark, x, middle - SWATCH_INCHES / 2)
        axes.text(
            x + SWATCH_INCHES + 0.09,
            middle,
            words,
            va="center",
            fontsize=6.2,
            linespacing=1.1,
        )


def _draw_swatch(axes: Axes, mark: str, x: float, y: float) -> None:
    size = SWATCH_INCHES
    middle = (x + size / 2, y + size / 2)
    empty = mark in ("missing", "undefined")
    axes.add_patch(
        Rectangle(
            (x, y),
            size,
            size,
            facecolor="white" if empty else _FILL,
            edgecolor="black" if mark == "significant" else style.PALE if empty else _EDGE,
            linewidth=1.8 if mark == "significant" else 0.6,
        )
    )
    if mark == "number":
        axes.text(*middle, ".12", ha="center", va="center", fontsize=5.5)
    elif mark == "floor":
        axes.text(*middle, "F", ha="center", va="center", fontsize=6.5, fontweight="bold")
    elif mark == "excludes zero":
        axes.plot(*middle, "o", color="black", markersize=3.4)
    elif mark == "crossover":
        axes.plot(*middle, "^", color="black", markersize=4.2)
    elif mark in ("cannot tell", "no interval"):
        hatch = HATCH if mark == "cannot tell" else NO_INTERVAL_HATCH
        axes.add_patch(
            Rectangle(
                (x, y), size, size, facecolor="none", edgecolor="#6E6E6E", hatch=hatch * 2,
                linewidth=0,
            )
        )  # fmt: skip
    elif mark == "undefined":
        inset = size / 4
        for y0, y1 in ((y + inset, y + size - inset), (y + size - inset, y + inset)):
            axes.plot([x + inset, x + size - inset], [y0, y1], color=MARK_GREY, linewidth=1.6)
