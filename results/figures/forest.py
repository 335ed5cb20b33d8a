"""The forest plot: every effect and interaction, sorted, with its intervals and its games."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from results.figures import style

ROW_INCHES: Final = 0.235
NARROW_ROW_INCHES: Final = 0.165  # where there are many
TWO_LINE_ROW_INCHES: Final = 0.25
MOST_WIDE_ROWS: Final = 28
BAND: Final = "#E9E9E9"
STAGGER: Final = 0.2  # rows between the marks of the first and of the last game
HOLLOW: Final[Mapping[str, Any]] = {
    "fillstyle": "none", "markersize": 3.4, "markeredgewidth": 0.8,
}  # fmt: skip
TEXT_INCHES: Final = 1.95  # right of the axes: the numbers in words


@dataclass(frozen=True)
class Row:
    """One effect or interaction.

    Attributes:
        name: What stands at the left.
        estimate: The number; None where runs are missing.
        interval: Ends of its own interval; None with one seed.
        simultaneous: Ends of the interval that holds for the whole family at once.
        games: The same number per game.
        mde: The minimal detectable effect.
        words: What may be said about it, or why there is no number, in a word or two.
    """

    name: str
    estimate: float | None
    interval: tuple[float, float] | None = None
    simultaneous: tuple[float, float] | None = None
    games: Mapping[str, float] = field(default_factory=dict)
    mde: float | None = None
    words: str = ""


@dataclass(frozen=True)
class Section:
    """A family of numbers under one heading."""

    title: str
    rows: Sequence[Row]

    def sorted(self) -> list[Row]:
        """Returns the rows, the largest estimate first, those without one last."""
        return sorted(
            self.rows,
            key=lambda row: (row.estimate is None, -(row.estimate or 0.0)),
        )


def draw(
    sections: Sequence[Section],
    *,
    games: Sequence[str],
    unit: str,
    interval: str,
    note: str,
    width: float = style.TWO_COLUMNS,
) -> Figure:
    """Draws the sections under each other on one scale.

    Args:
        sections: From the top; empty ones are left out.
        games: All games, in the order of their colours. One alone is what the circles are.
        unit: Of the scale, in words.
        interval: What the thick lines are; "" where there are none.
        note: The lines at the foot.
        width: Inches; in one column the words stand below the names.
    """
    shown = [section for section in sections if section.rows]
    narrow, note = width < style.TWO_COLUMNS, style.wrapped_note(note, width)
    places = style.decimals(max(map(abs, _ends(shown))))
    rows = [one for section in shown for one in section.rows]
    said = max(len(in_words(one, places, narrow=narrow)) for one in rows)
    longest = max(len(one.name) for one in rows)
    left = 0.12 + max(0.05 * longest, 0.047 * said) if narrow else 0.15 + 0.056 * longest
    right = 0.1 if narrow else max(TEXT_INCHES, 0.14 + 0.05 * said)
    handles = _handles(shown, games, interval)
    across = 2 if narrow else 4
    gap, head = 0.34 + 0.12 * narrow, 0.34 + 0.12 * narrow
    foot = 0.74 + 0.14 * narrow + 0.13 * -(-len(handles) // across) + style.more_foot(note)
    many = len(rows) > MOST_WIDE_ROWS
    row = TWO_LINE_ROW_INCHES if narrow else NARROW_ROW_INCHES if many else ROW_INCHES
    bodies = [row * len(section.rows) + 0.06 for section in shown]
    height = head + sum(bodies) + gap * (len(shown) - 1) + foot
    figure = Figure(figsize=(width, height))
    top = height - head
    panels: list[Axes] = []
    for section, body in zip(shown, bodies, strict=True):
        place = (
            left / width,
            (top - body) / height,
            (width - left - right) / width,
            body / height,
        )
        axes = figure.add_axes(place, sharex=panels[0] if panels else None)
        draw_section(axes, section, games, places, narrow=narrow)
        title = style.wrapped(section.title, 56) if narrow else section.title
        axes.set_title(title, loc="left", pad=4, fontsize=6 if narrow else 7.5)
        if narrow:
            _move_title_to_the_margin(axes, left / (width - left - right))
        panels.append(axes)
        top -= body + gap
    for axes in panels[:-1]:
        axes.tick_params(axis="x", labelbottom=False)
    panels[-1].set_xlabel(style.wrapped(unit, 26) if narrow else unit)
    panels[-1].xaxis.set_major_locator(MaxNLocator(4 if narrow else 7))
    _keep_zero_inside(panels[0], shown)
    figure.legend(
        handles=handles,
        loc="lower left",
        ncols=across,
        bbox_to_anchor=(0.0, (0.2 + style.more_foot(note)) / height),
        columnspacing=1.2,
        handletextpad=0.5,
        fontsize=style.SMALL,
    )
    style.foot_note(figure, note)
    return figure


def draw_section(
    axes: Axes, section: Section, games: Sequence[str], places: int, *, narrow: bool = False
) -> Axes:
    """Draws one family: a row per number, sorted, the largest on top."""
    rows = section.sorted()
    for place, row in enumerate(rows):
        _draw_row(axes, place, row, games)
        if not narrow:
            _say(axes, place, in_words(row, places))
    style.zero_line(axes)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    if narrow:
        names = [f"{row.name}\n{in_words(row, places, narrow=True)}" for row in rows]
        axes.set_yticks(range(len(rows)), names, fontsize=5.8, linespacing=1.1)
    else:
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return axes


def _move_title_to_the_margin(axes: Axes, widths: float) -> None:
    """Lets a long title begin at the left of the page, so many widths of the axes away."""
    title = axes.get_title(loc="left")
    points = 6.0
    axes.set_title("", loc="left")
    axes.text(-widths + 0.03, 1.0, title, transform=axes.transAxes, fontsize=points, va="bottom",
              fontweight="bold")  # fmt: skip


def _draw_row(axes: Axes, place: int, row: Row, games: Sequence[str]) -> None:
    if row.mde is not None and math.isfinite(row.mde):
        axes.barh(place, 2 * row.mde, left=-row.mde, height=1.0, color=BAND, zorder=0, gid="mde")
    for index, game in enumerate(_apart(games)):
        if game in row.games and math.isfinite(row.games[game]):
            axes.plot(
                row.games[game], place + 0.26 + _offset(index, len(games)),
                style.series_marker(index), color=style.series_color(index), **HOLLOW, zorder=3,
                gid=f"game {game}",
            )  # fmt: skip
    if row.estimate is None:
        return
    height = place - 0.12
    if row.simultaneous is not None:
        axes.plot(
            row.simultaneous, [height] * 2, color=style.BLACK, linewidth=0.8, zorder=4,
            gid="simultaneous",
        )  # fmt: skip
    if row.interval is not None:
        axes.plot(
            row.interval, [height] * 2, color=style.BLACK, linewidth=2.6, zorder=5,
            solid_capstyle="butt", gid="interval",
        )  # fmt: skip
    axes.plot(
        row.estimate, height, "o", color="white", markeredgecolor=style.BLACK,
        markeredgewidth=1.1, markersize=4.6, zorder=6, gid="estimate",
    )  # fmt: skip


def _apart(games: Sequence[str]) -> Sequence[str]:
    """The games that have marks of their own beside the circle of their mean."""
    return games if len(games) > 1 else ()


def _offset(index: int, games: int) -> float:
    """Moves the marks of a row's games a little up and down, so that equal ones are all seen."""
    return STAGGER * (index / (games - 1) - 0.5) if games > 1 else 0.0


def in_words(row: Row, places: int, *, narrow: bool = False) -> str:
    """Writes a row's number, its interval where there is room, and what may be said about it."""
    if row.estimate is None:
        return row.words
    words = style.signed(row.estimate, places)
    if row.interval is not None and not narrow:
        low, high = (style.signed(end, places) for end in row.interval)
        words += f" [{low}, {high}]"
    return f"{words}  {row.words}" if row.words else words


def _say(axes: Axes, place: int, words: str) -> None:
    axes.annotate(
        words, (1.0, place), xycoords=axes.get_yaxis_transform(), xytext=(6, 0),
        textcoords="offset points", va="center", fontsize=6.2, annotation_clip=False,
        gid="words",
    )  # fmt: skip


def _keep_zero_inside(axes: Axes, sections: Sequence[Section]) -> None:
    """Sets the scale to hold every number, zero and every band of what is too small."""
    limits = [row.mde for section in sections for row in section.rows if row.mde is not None]
    bands = [end for limit in limits if math.isfinite(limit) for end in (-limit, limit)]
    ends = _ends(sections) + bands
    room = 0.06 * (max(ends) - min(ends)) or 0.1
    axes.set_xlim(min(ends) - room, max(ends) + room)


def _ends(sections: Sequence[Section]) -> list[float]:
    """Lists every number that is shown, and zero."""
    ends = [0.0]
    for row in (row for section in sections for row in section.rows):
        ends += [row.estimate or 0.0, *row.games.values(), *(row.interval or ())]
        ends += row.simultaneous or ()
    return [end for end in ends if math.isfinite(end)]


def _handles(
    sections: Sequence[Section], games: Sequence[str], interval: str
) -> list[Line2D | Patch]:
    """Explains every mark that is drawn."""
    rows = [row for section in sections for row in section.rows]
    handles: list[Line2D | Patch] = [
        Line2D(
            [], [], marker="o", linestyle="", color="white", markeredgecolor=style.BLACK,
            markeredgewidth=1.1, markersize=4.6,
            label="mean of the games" if _apart(games) else games[0],
        )
    ]  # fmt: skip
    if interval:
        handles.append(Line2D([], [], color=style.BLACK, linewidth=2.6, label=interval))
    if any(row.simultaneous is not None for row in rows):
        handles.append(
            Line2D([], [], color=style.BLACK, linewidth=0.8, label="simultaneous interval")
        )
    if any(row.mde is not None for row in rows):
        handles.append(Patch(color=BAND, label="too small to detect (MDE)"))
    handles += [
        Line2D(
            [], [], marker=style.series_marker(index), linestyle="",
            color=style.series_color(index), **HOLLOW, label=game,
        )
        for index, game in enumerate(_apart(games))
        if any(game in row.games for row in rows)
    ]  # fmt: skip
    return handles
