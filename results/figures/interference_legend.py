"""The key of the interference map: every place and every mark, in words."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Polygon, Rectangle

from results.figures import style

MARK_GREY: Final = "#A8A8A8"
KEY_INCHES: Final = 0.86
PLACE_INCHES: Final = 0.235
SWATCH_INCHES: Final = 0.18

_FILL: Final = "#F4F4F4"
_EDGE: Final = "#8A8A8A"
_BACKGROUNDS: Final = {
    "base": "added to the base",
    "full": "within the full agent",
    "averaged": "averaged over the rest",
}


@dataclass(frozen=True)
class Places:
    """What stands where on a map.

    Attributes:
        cut: Whether the diagonal is cut into A and L; else it holds averaged effects.
        lower: The background of the interactions below the diagonal: base or averaged.
        upper: That of those above it: full, or empty where there are none.
    """

    cut: bool = True
    lower: str = "base"
    upper: str = "full"

    @property
    def below(self) -> str:
        """What stands below the diagonal, in words."""
        return _BACKGROUNDS[self.lower]

    @property
    def above(self) -> str:
        """What stands above the diagonal, in words; empty if nothing does."""
        return _BACKGROUNDS[self.upper] if self.upper else ""

    def lines(self) -> list[tuple[str, str]]:
        """Returns each letter of the key with its words."""
        words = (
            [
                ("A", "effect of adding the\ntoggle to the base"),
                ("L", "effect of the toggle\nwithin the full agent"),
            ]
            if self.cut
            else [("E", "effect of the toggle\naveraged over the rest")]
        )
        words.append((f"I {_short(self.lower)}", f"interaction of the pair\n{self.below}"))
        if self.upper:
            words.append((f"I {_short(self.upper)}", f"interaction of the pair\n{self.above}"))
        return words


def _short(background: str) -> str:
    return "mean" if background == "averaged" else background


def draw_legend(
    axes: Axes, size: tuple[float, float], places: Places, *, interval: str, columns: int
) -> Axes:
    """Explains in words where each number stands and what each mark means.

    Args:
        axes: Drawn over without a frame.
        size: Width and height of the axes in inches.
        places: What stands where.
        interval: What the half-widths are; "" where no tile has one.
        columns: 3 (wide page) or 1 (narrow margin).
    """
    width, height = size
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    marks = _marks(interval)
    _draw_key(axes, places, 0.0, 0.0)
    lines = places.lines()
    if columns == 1:
        _draw_places(axes, lines, 0.0, KEY_INCHES + 0.26)
        top = KEY_INCHES + 0.16 + PLACE_INCHES * len(lines) + 0.06
        _draw_marks(axes, marks, 0.0, top, (height - top) / len(marks))
        return axes
    _draw_places(axes, lines, KEY_INCHES + 0.12, 0.13)
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
        ("no interval", "crossed, no ±: no interval\n(one value, or all equal)"),
        ("crossover", "triangle: crossover (an effect\nchanges its sign)"),
        ("bound", "F, C: a score on the floor (random\nplay), or at the game's ceiling"),
        ("undefined", "grey cross: not defined\n(there is no such agent)"),
        ("missing", "?: runs are missing\n(never drawn as 0)"),
        ("empty", "empty: the study's designs\ndo not ask for it"),
    ]


def draw_cross(
    axes: Axes, centre: tuple[float, float], reach: float, *, name: str = "key"
) -> None:
    """Draws the cross of what is no agent, as strokes of this name."""
    x, y = centre
    for sign in (-1, 1):
        axes.plot(
            [x - reach, x + reach], [y - sign * reach, y + sign * reach], color=MARK_GREY,
            linewidth=1.3, zorder=3, gid=name,
        )  # fmt: skip


def draw_strokes(
    axes: Axes,
    corners: Sequence[tuple[float, float]],
    *,
    apart: float,
    crossed: bool,
    ink: str | tuple[float, ...],
    name: str = "key",
) -> None:
    """Hatches a convex place with strokes of this name, so far apart in units of the axes.

    They are lines of their own because browsers print the pattern of a hatched area as a blur.
    """
    segments = [
        segment
        for sign in ((1, -1) if crossed else (1,))
        for segment in _strokes(corners, sign=sign, apart=apart)
    ]
    axes.add_collection(
        LineCollection(segments, colors=[ink], linewidths=0.5, zorder=3, gid=name), autolim=False
    )


def _strokes(
    corners: Sequence[tuple[float, float]], *, sign: int, apart: float
) -> Iterator[list[tuple[float, float]]]:
    """The pieces of the lines x + sign y = c that lie in a convex polygon."""
    levels = [x + sign * y for x, y in corners]
    edges = [(i, (i + 1) % len(corners)) for i in range(len(corners))]
    gap = apart * math.sqrt(2)
    for step in range(math.ceil((max(levels) - min(levels)) / gap)):
        level = min(levels) + (step + 0.5) * gap
        ends = []
        for i, j in edges:
            if (levels[i] - level) * (levels[j] - level) < 0:
                share = (level - levels[i]) / (levels[j] - levels[i])
                (x, y), (u, v) = corners[i], corners[j]
                ends.append((x + share * (u - x), y + share * (v - y)))
        if len(ends) == 2:
            yield ends


def draw_missing(
    axes: Axes,
    corners: Sequence[tuple[float, float]],
    centre: tuple[float, float],
    *,
    points: float,
    name: str = "key",
) -> None:
    """Draws the dotted place, of this name, of what the study asks for and has not run."""
    axes.add_patch(
        Polygon(
            corners, closed=True, facecolor="white", edgecolor=MARK_GREY, linewidth=0.7,
            linestyle=(0, (1, 1.5)), zorder=2, gid=name,
        )
    )  # fmt: skip
    axes.annotate(
        "?", centre, ha="center", va="center", fontsize=points, color=MARK_GREY, zorder=3,
        fontweight="bold",
    )  # fmt: skip


def _draw_key(axes: Axes, places: Places, x: float, y: float) -> None:
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
        if not places.cut:
            _letter(axes, left + half / 2, top + half / 2, "E")
            continue
        axes.plot([left, left + half], [top, top + half], color=_EDGE, linewidth=0.7)
        _letter(axes, left + 0.3 * half, top + 0.7 * half, "A")
        _letter(axes, left + 0.7 * half, top + 0.3 * half, "L")
    if places.upper:
        _letter(axes, x + 1.5 * half, y + 0.5 * half, f"I\n{_short(places.upper)}")
    _letter(axes, x + 0.5 * half, y + 1.5 * half, f"I\n{_short(places.lower)}")


def _letter(axes: Axes, x: float, y: float, text: str) -> None:
    axes.text(x, y, text, ha="center", va="center", fontsize=6.5, linespacing=0.95)


def _draw_places(axes: Axes, lines: Sequence[tuple[str, str]], x: float, y: float) -> None:
    for index, (letter, words) in enumerate(lines):
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
    empty = mark in ("missing", "undefined", "empty")
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
    elif mark == "missing":
        box = [(x, y), (x + size, y), (x + size, y + size), (x, y + size)]
        draw_missing(axes, box, middle, points=6.5)
    elif mark == "bound":
        axes.text(*middle, "F", ha="center", va="center", fontsize=6.5, fontweight="bold")
    elif mark == "excludes zero":
        axes.plot(*middle, "o", color="black", markersize=3.4)
    elif mark == "crossover":
        axes.plot(*middle, "^", color="black", markersize=4.2)
    elif mark in ("cannot tell", "no interval"):
        box = [(x, y), (x + size, y), (x + size, y + size), (x, y + size)]
        draw_strokes(axes, box, apart=0.04, crossed=mark == "no interval", ink="#6E6E6E")
    elif mark == "undefined":
        draw_cross(axes, middle, size / 4)
