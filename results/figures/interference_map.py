"""The interference map: which toggles help, and which help or hinder each other.

A matrix of toggles per panel, one panel for the mean of the games and one per game. Below the
diagonal stands the interaction of a pair added to the base (or averaged), above it that of the
same pair removed from the full agent; a tile of the diagonal is cut in two: the effect of adding
one toggle to the base (lower left) and of having it in the full agent (upper right).
"""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from results.figures import style
from results.figures.interference_layout import Geometry, label_size
from results.figures.interference_legend import (
    Places,
    draw_cross,
    draw_legend,
    draw_missing,
    draw_strokes,
)

HALVES_FROM: Final = 32  # points; smaller tiles show the estimate alone
STROKES_APART: Final = 4.5  # points
HALVES_OF_CUT_FROM: Final = 44  # the same for the two halves of a tile of the diagonal

Corner = tuple[float, float]


@dataclass(frozen=True)
class Tile:
    """One number of the map with what is known about it, or the reason why there is none.

    Attributes:
        estimate: The effect or interaction; NaN where there is none.
        state: Why there is none: "missing" runs, "undefined" as an agent; empty where there is
            one, or where no design of the study asks for it.
        half_width: Half of its interval; None where there is none: one seed, or all equal.
        significant: The Holm-adjusted test excludes zero.
        excludes_zero: The unadjusted interval excludes zero.
        cannot_tell: Smaller than the minimal detectable effect, and not significant.
        crossover: The effect of one toggle changes sign with the other.
        floor_limited: A cell that it is made of sits on the game's floor.
        ceiling_limited: A cell that it is made of sits at the game's ceiling.
    """

    estimate: float = math.nan
    state: Literal["", "missing", "undefined"] = ""
    half_width: float | None = None
    significant: bool = False
    excludes_zero: bool = False
    cannot_tell: bool = False
    crossover: bool = False
    floor_limited: bool = False
    ceiling_limited: bool = False


@dataclass(frozen=True)
class Panel:
    """The map of one game, or of the mean of the games.

    Attributes:
        title: What stands above it.
        added: Effect of adding each toggle to the base.
        left_out: Effect of each toggle within the full agent.
        whole: Averaged effect of each toggle, where the diagonal is not cut.
        below: Interaction of each pair below the diagonal.
        above: Interaction of each pair above it.
    """

    title: str
    added: Mapping[str, Tile]
    left_out: Mapping[str, Tile]
    below: Mapping[tuple[str, str], Tile]
    above: Mapping[tuple[str, str], Tile]
    whole: Mapping[str, Tile] = field(default_factory=dict)

    def tiles(self) -> list[Tile]:
        """Returns every tile of the panel."""
        groups = (self.added, self.left_out, self.whole, self.below, self.above)
        return [tile for group in groups for tile in group.values()]


@dataclass(frozen=True)
class _Look:
    """What all tiles of one figure share."""

    colors: Colormap
    limits: Normalize
    decimals: int
    tile: float  # width in points
    points: float  # of the estimate
    halves: bool  # half-widths are written
    halves_of_cut: bool  # also in the tiles of the diagonal
    border: float  # width of a thick border in points


def draw(
    panels: Sequence[Panel],
    toggles: Sequence[str],
    places: Places,
    *,
    unit: str,
    interval: str,
    note: str,
    page: float = style.TWO_COLUMNS,
) -> Figure:
    """Draws the map.

    Args:
        panels: The mean of the games first, then the games; one alone where the page is narrow.
        toggles: Rows and columns, in this order.
        places: What stands where, for the legend.
        unit: Of every number, as words on the colour scale.
        interval: What the half-widths are, as words in the legend; "" where there are none.
        note: The lines at the foot.
        page: Inches.
    """
    limit, note = shared_limit(panels), style.wrapped_note(note, page)
    geometry = Geometry.of(len(panels), toggles, note=style.more_foot(note), page=page)
    figure = Figure(figsize=(page, geometry.height))
    colors = matplotlib.colormaps["RdBu"]
    limits = Normalize(-limit, limit)
    for index, panel in enumerate(panels):
        left, bottom, size = geometry.panel(index)
        axes = figure.add_axes(geometry.fraction(left, bottom, size, size))
        tile_points = 72 * size / len(toggles)
        look = _Look(
            colors=colors,
            limits=limits,
            decimals=style.decimals(limit),
            tile=tile_points,
            points=min(8.0, max(5.0, tile_points / 4.2)),
            halves=tile_points >= HALVES_FROM,
            halves_of_cut=tile_points >= HALVES_OF_CUT_FROM,
            border=1.8 if tile_points >= HALVES_FROM else 1.2,
        )
        draw_panel(axes, panel, toggles, look)
        _label(axes, toggles, tile_points, rows=geometry.first_of_row(index))
    scale = figure.add_axes(geometry.fraction(*geometry.scale))
    bar = figure.colorbar(ScalarMappable(limits, colors), cax=scale, orientation="horizontal")
    bar.set_label(unit, fontsize=style.SMALL)
    bar.outline.set_linewidth(0.5)
    scale.tick_params(labelsize=style.SMALL)
    legend = figure.add_axes(geometry.fraction(*geometry.legend))
    draw_legend(
        legend, geometry.legend[2:], places, interval=interval, columns=geometry.legend_columns
    )
    style.foot_note(figure, note)
    return figure


def shared_limit(panels: Sequence[Panel]) -> float:
    """Returns the largest absolute number on the map: the colours run from minus to plus it."""
    sizes = [abs(tile.estimate) for panel in panels for tile in panel.tiles()]
    return max([size for size in sizes if math.isfinite(size)], default=0.0) or 1.0


def draw_panel(axes: Axes, panel: Panel, toggles: Sequence[str], look: _Look) -> Axes:
    """Draws the tiles of one panel; row 0 is at the top."""
    count = len(toggles)
    axes.set_xlim(0, count)
    axes.set_ylim(count, 0)
    axes.set_title(panel.title, pad=4)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    for row in range(count):
        for column in range(count):
            _frame(axes, row, column)
    for place, name in enumerate(toggles):
        middle = (place + 0.5, place + 0.5)
        if (tile := panel.whole.get(name)) is not None:
            _draw_tile(axes, _square(place, place), middle, tile, look, cut=False)
            continue
        if (tile := panel.added.get(name)) is not None:
            lower = (place + 0.33, place + 0.68)
            _draw_tile(axes, _lower_triangle(place), lower, tile, look, cut=True)
        if (tile := panel.left_out.get(name)) is not None:
            upper = (place + 0.67, place + 0.32)
            _draw_tile(axes, _upper_triangle(place), upper, tile, look, cut=True)
        axes.plot([place, place + 1], [place, place + 1], color="white", linewidth=1.2, zorder=4)
    for row, column in itertools.permutations(range(count), 2):
        group = panel.below if row > column else panel.above
        tile = group.get((toggles[row], toggles[column]))
        tile = tile or group.get((toggles[column], toggles[row]))
        if tile is not None:
            middle = (column + 0.5, row + 0.5)
            _draw_tile(axes, _square(row, column), middle, tile, look, cut=False)
    return axes


def _square(row: int, column: int) -> list[Corner]:
    return [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)]


def _lower_triangle(index: int) -> list[Corner]:
    return [(index, index), (index, index + 1), (index + 1, index + 1)]


def _upper_triangle(index: int) -> list[Corner]:
    return [(index, index), (index + 1, index), (index + 1, index + 1)]


def _frame(axes: Axes, row: int, column: int) -> None:
    """Outlines a place of the matrix, whether or not there is a number for it."""
    box = Rectangle((column, row), 1, 1, facecolor="none", edgecolor=style.PALE, linewidth=0.6)
    box.set_gid("place")
    box.set_zorder(1)
    axes.add_patch(box)


def _draw_tile(
    axes: Axes, corners: list[Corner], centre: Corner, tile: Tile, look: _Look, *, cut: bool
) -> None:
    """Draws one number with its marks, or the reason why there is none; never a zero."""
    if tile.state == "undefined":
        draw_cross(axes, centre, 0.12 if cut else 0.25, name="undefined")
    elif tile.state == "missing":
        draw_missing(axes, corners, centre, points=look.points, name="missing")
    if not math.isfinite(tile.estimate):
        return
    color = look.colors(look.limits(tile.estimate))
    patch = Polygon(corners, closed=True, facecolor=color, edgecolor="white", linewidth=0.8)
    patch.set_gid("tile")
    patch.set_zorder(2)
    axes.add_patch(patch)
    dark = _luminance(color) < 0.42
    without = tile.half_width is None
    if tile.cannot_tell or without:
        ink = (1, 1, 1, 0.45) if dark else (0, 0, 0, 0.22)
        name = "no interval" if without else "cannot tell"
        apart = STROKES_APART / look.tile
        draw_strokes(axes, corners, apart=apart, crossed=without, ink=ink, name=name)
    if tile.significant:
        inset = _shrunk(corners, 0.03)
        border = Polygon(
            inset, closed=True, facecolor="none", edgecolor="black", linewidth=look.border
        )
        border.set_gid("significant")
        border.set_zorder(5)
        axes.add_patch(border)
    letters = "white" if dark else "black"
    _write(axes, centre, (tile.estimate, tile.half_width), look, ink=letters, cut=cut)
    _draw_glyphs(axes, corners, tile, look, ink=letters, cut=cut)


def _write(
    axes: Axes,
    centre: Corner,
    numbers: tuple[float, float | None],
    look: _Look,
    *,
    ink: str,
    cut: bool,
) -> None:
    """Writes the estimate and, where there is room, its half-width."""
    estimate, half_width = numbers
    points = look.points * (0.84 if cut else 1.0)
    lines = [(_short(style.signed(estimate, look.decimals)), points, "estimate")]
    if half_width is not None and (look.halves_of_cut if cut else look.halves):
        lines.append((_short(f"±{half_width:.{look.decimals}f}"), points * 0.8, "half-width"))
    for index, (text, size, name) in enumerate(lines):
        offset = (0.55 - 1.1 * index) * points if len(lines) > 1 else 0.0
        axes.annotate(
            text,
            centre,
            xytext=(0, offset),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            color=ink,
            zorder=6,
            gid=name,
        )


def _draw_glyphs(
    axes: Axes, corners: list[Corner], tile: Tile, look: _Look, *, ink: str, cut: bool
) -> None:
    """Draws dot, triangle and F along the tile's right angle or upper corners."""
    left, top = corners[0]
    upper = cut and corners[1][1] == top
    size = look.points * 0.5
    if cut:
        inset = (0.4 * size + 1.3) / look.tile
        dot = (left + 1 - inset, top + inset) if upper else (left + inset, top + 1 - inset)
        floor = (left + 0.36, top + 0.11) if upper else (left + 0.64, top + 0.89)
    else:
        dot, floor = (left + 0.84, top + 0.16), (left + 0.16, top + 0.84)
    if tile.excludes_zero:
        axes.plot(*dot, "o", color=ink, markersize=size * 0.8, zorder=6, gid="excludes zero")
    if tile.crossover:
        place = (left + 0.16, top + 0.16)
        axes.plot(*place, "^", color=ink, markersize=size, zorder=6, gid="crossover")
    bounds = "F" * tile.floor_limited + "C" * tile.ceiling_limited
    if bounds:
        axes.annotate(
            bounds,
            floor,
            ha="center",
            va="center",
            fontsize=look.points * 0.72,
            fontweight="bold",
            color=ink,
            zorder=6,
            gid="bound",
        )


def _shrunk(corners: list[Corner], distance: float) -> list[Corner]:
    """Moves the corners towards the middle, so that neighbours' borders do not overlap."""
    x = sum(c[0] for c in corners) / len(corners)
    y = sum(c[1] for c in corners) / len(corners)
    return [(cx + (x - cx) * 2 * distance, cy + (y - cy) * 2 * distance) for cx, cy in corners]


def _luminance(color: tuple[float, float, float, float]) -> float:
    red, green, blue, _ = color
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _short(number: str) -> str:
    """Leaves out the zero before the point, to fit a tile."""
    return re.sub(r"(?<![0-9])0\.", ".", number)


def _label(axes: Axes, toggles: Sequence[str], tile_points: float, *, rows: bool) -> None:
    """Names the columns, and the rows of the leftmost panels."""
    places = [index + 0.5 for index in range(len(toggles))]
    points, turned = label_size(toggles, tile_points)
    axes.set_xticks(
        places,
        toggles,
        fontsize=points,
        rotation=40 if turned else 0,
        ha="right" if turned else "center",
        rotation_mode="anchor",
    )
    axes.set_yticks(places, toggles if rows else [""] * len(places), fontsize=points)
    axes.tick_params(length=0, pad=2)
