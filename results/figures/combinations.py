"""Every tested combination of toggles beside the sum of its parts: the gap is interaction.

One column per cell, the toggles that are on below it, a bar for its score, and a tick where the
effects of its toggles, each measured alone, would add up to.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from results.figures import captions, style
from results.figures.drawn import Drawn
from results.figures.found import SCORE, Found
from results.statistics.additive import Combination, combinations, combinations_frame
from results.statistics.cells import MEAN, NOT_DEFINED
from results.statistics.compared import Item, items
from results.statistics.errors import StatisticsError, counted
from results.statistics.findings import excludes
from results.statistics.options import Options
from results.statistics.study_data import StudyData

COLUMN_INCHES: Final = 0.7  # at most
PER_STRIP: Final = 32
MOST_SHOWN: Final = 64
BARS_INCHES: Final = 1.45
DOT_INCHES: Final = 0.145
BAR: Final = "#BDBDBD"


@dataclass(frozen=True)
class _Look:
    """What all strips share."""

    known: Sequence[Item]
    limits: tuple[float, float]
    wide: float  # inches of a column
    left: float


def draw_combinations(data: StudyData, options: Options) -> Drawn:
    """Draws every combination of toggles that a study has, with what addition predicts.

    Raises:
        StatisticsError: if the study has no toggle, or the runs do not allow it.
    """
    found = Found.of(data, options)
    if not data.study.toggles:
        raise StatisticsError(f"Study {data.study.name!r} has no toggle, so nothing to combine.")
    every = combinations(data.study, found.findings.cells, ci=options.ci)
    mean = [one for one in every if one.scope == MEAN]
    shown = in_order(telling(mean, toggles=len(data.study.toggles)))
    with style.house_style():
        figure = draw(
            shown,
            items(data.study),
            interval=f"{captions.percent(options.ci)} t-interval over seeds",
            note=found.foot(),
            page=style.width(options.columns),
        )
    count = len(found.findings.cells.compared_games)
    predicted = any(math.isfinite(one.predicted.value) for one in shown if len(one.on) > 1)
    caption = (
        f"Every combination of toggles, on the mean of {counted(count, 'game')}: fewer toggles "
        f"first, better ones first among as many. {_left_out(mean, shown)}Bar: its score; "
        "whisker: its interval. "
    )
    caption += (
        "Tick: what the toggles would give if their effects on the base added up, f(base) + Σ A. "
        "The line between is the gap, which is interaction; blue or red where the simultaneous "
        "interval of the gap, over all of them, excludes 0. "
        if predicted
        else "There is no additive prediction: it needs the base and every toggle alone. "
    )
    return Drawn(
        f"{data.study.name}_combinations",
        "Combinations of toggles",
        caption + found.caption(),
        figure,
        combinations_frame(every),
    )


def telling(found: Sequence[Combination], *, toggles: int) -> list[Combination]:
    """Those that a page has room for: near the base and the full agent, and the clearest gaps.

    Args:
        found: All, on one scope.
        toggles: Of the study.
    """
    if len(found) <= MOST_SHOWN:
        return list(found)
    near = [one for one in found if len(one.on) <= 1 or len(one.on) >= toggles - 1]
    rest = [one for one in found if one not in near]
    rest.sort(key=lambda one: (math.isnan(one.gap.p), one.gap.p))
    return [*near, *rest[: max(0, MOST_SHOWN - len(near))]]


def _left_out(found: Sequence[Combination], shown: Sequence[Combination]) -> str:
    if len(shown) == len(found):
        return ""
    return (
        f"Of {len(found)} combinations {len(shown)} are shown: those with at most one toggle on "
        "or off, and those whose gap is clearest of 0 (chosen for that, so their size is "
        "flattered); the numbers hold all. "
    )


def in_order(found: Sequence[Combination]) -> list[Combination]:
    """Returns few toggles first, high scores first, those without a score last of their size."""
    return sorted(
        found,
        key=lambda one: (
            len(one.on),
            math.isnan(one.score.value),
            -one.score.value if math.isfinite(one.score.value) else 0.0,
        ),
    )


def draw(
    shown: Sequence[Combination],
    known: Sequence[Item],
    *,
    interval: str,
    note: str,
    page: float = style.TWO_COLUMNS,
) -> Figure:
    """Draws the strips under each other, on one scale.

    Args:
        shown: From the left, strip by strip.
        known: Toggles at their levels: the rows of dots.
        interval: What the whiskers are.
        note: The lines at the foot.
        page: Inches.
    """
    narrow, note = page < style.TWO_COLUMNS, style.wrapped_note(note, page)
    per_strip, ncols = (PER_STRIP // 2, 2) if narrow else (PER_STRIP, 4)
    handles = _handles(shown, interval)
    left = 0.22 + 0.056 * max(len(item.name) for item in known)
    left = max(left, 0.55)
    strips = [shown[at : at + per_strip] for at in range(0, len(shown), per_strip)]
    wide = min(COLUMN_INCHES, (page - left - 0.1) / min(len(shown), per_strip))
    below = DOT_INCHES * len(known) + 0.1
    strip_inches = 0.2 + BARS_INCHES + below
    foot = 0.36 + 0.13 * -(-len(handles) // ncols) + style.more_foot(note)
    height = strip_inches * len(strips) + foot
    figure = Figure(figsize=(page, height))
    look = _Look(known, _limits(shown), wide, left)
    for index, strip in enumerate(strips):
        top = height - index * strip_inches - 0.2
        width = wide * len(strip) / page
        place = (left / page, width)
        bars = figure.add_axes(
            (place[0], (top - BARS_INCHES) / height, place[1], BARS_INCHES / height)
        )
        dots = figure.add_axes(
            (
                place[0],
                (top - BARS_INCHES - below) / height,
                place[1],
                DOT_INCHES * len(known) / height,
            )
        )
        draw_bars(bars, strip, look)
        draw_dots(dots, strip, known)
    figure.legend(
        handles=handles,
        loc="lower left",
        ncols=ncols,
        bbox_to_anchor=(0.0, (0.16 + style.more_foot(note)) / height),
        columnspacing=1.2,
        handletextpad=0.5,
        fontsize=style.SMALL,
    )
    style.foot_note(figure, note)
    return figure


def draw_bars(axes: Axes, strip: Sequence[Combination], look: _Look) -> Axes:
    """Draws the scores of one strip, with what addition predicts."""
    for place, one in enumerate(strip):
        if _absent(one):
            undefined = _undefined(one)
            axes.annotate(
                "×" if undefined else "?", (place, 0.06), xycoords=("data", "axes fraction"),
                ha="center", color=style.GREY, fontsize=8, fontweight="bold",
                gid="undefined" if undefined else "missing",
            )  # fmt: skip
            continue
        axes.bar(place, one.score.value, width=0.72, color=BAR, gid="score", zorder=2)
        if math.isfinite(one.score.low):
            axes.plot([place] * 2, [one.score.low, one.score.high], color="#5E5E5E",
                      linewidth=0.9, zorder=3, gid="interval")  # fmt: skip
        if len(one.on) > 1 and math.isfinite(one.predicted.value):
            _draw_gap(axes, place, one)
    axes.axhline(0, color=style.BLACK, linewidth=0.7, zorder=1)
    sizes = [len(one.on) for one in strip]
    for place in range(1, len(strip)):
        if sizes[place] != sizes[place - 1]:
            axes.axvline(place - 0.5, color=style.PALE, linewidth=0.8, zorder=0)
    for size in dict.fromkeys(sizes):
        middle = sizes.index(size) + (sizes.count(size) - 1) / 2
        words = f"{size} on" if sizes.count(size) * look.wide > 0.3 else str(size)
        axes.annotate(
            words, (middle, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom",
            xytext=(0, 2), textcoords="offset points", fontsize=6.2, color="#444444",
        )  # fmt: skip
    axes.set_xlim(-0.6, len(strip) - 0.4)
    axes.set_ylim(*look.limits)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylabel("HNS", labelpad=2)
    return axes


def _draw_gap(axes: Axes, place: int, one: Combination) -> None:
    color, clear = style.BLACK, excludes(one.simultaneous_low, one.simultaneous_high)
    if clear:
        color = style.BLUE if one.gap.value > 0 else style.VERMILLION
        axes.plot(
            [place + 0.24] * 2, [one.predicted.value, one.score.value], color=color,
            linewidth=1.8, zorder=4, solid_capstyle="butt", gid="clear gap",
        )  # fmt: skip
    axes.plot(
        [place - 0.42, place + 0.42], [one.predicted.value] * 2, color=color, linewidth=1.5,
        zorder=5, solid_capstyle="butt", gid="predicted",
    )  # fmt: skip


def draw_dots(axes: Axes, strip: Sequence[Combination], known: Sequence[Item]) -> Axes:
    """Draws which toggles are on in each column."""
    for row in range(0, len(known), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#F6F6F6", zorder=0)
    size = 3.4 if len(strip) > 16 else 4.4
    for place, one in enumerate(strip):
        on = [row for row, item in enumerate(known) if one.on.get(item.toggle) == item.level]
        off = [row for row in range(len(known)) if row not in on]
        axes.plot([place] * len(off), off, "o", color="#DADADA", markersize=size, zorder=1)
        axes.plot([place] * len(on), on, "o-", color=style.BLACK, markersize=size,
                  linewidth=0.9, zorder=2, gid="on")  # fmt: skip
    axes.set_xlim(-0.6, len(strip) - 0.4)
    axes.set_ylim(len(known) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks(range(len(known)), [item.name for item in known], fontsize=6.5)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _limits(shown: Sequence[Combination]) -> tuple[float, float]:
    ends = [0.0]
    for one in shown:
        ends += [one.score.value, one.score.low, one.score.high]
        ends += [one.predicted.value] if len(one.on) > 1 else []
    known = [end for end in ends if math.isfinite(end)]
    room = 0.05 * (max(known) - min(known)) or 0.1
    return min(known) - (room if min(known) < 0 else 0), max(known) + room


def _handles(shown: Sequence[Combination], interval: str) -> list[Line2D | Patch]:
    """Explains every mark that is drawn."""
    marks: Mapping[str, bool] = {
        "predicted": any(
            len(one.on) > 1 and math.isfinite(one.predicted.value) and one.score.most
            for one in shown
        ),
        "clear": any(excludes(one.simultaneous_low, one.simultaneous_high) for one in shown),
        "missing": any(_absent(one) and not _undefined(one) for one in shown),
        "undefined": any(_absent(one) and _undefined(one) for one in shown),
    }
    handles: list[Line2D | Patch] = [Patch(color=BAR, label=SCORE)]
    if any(math.isfinite(one.score.low) for one in shown):
        handles.append(Line2D([], [], color="#5E5E5E", linewidth=0.9, label=interval))
    if marks["predicted"]:
        handles.append(Line2D([], [], color=style.BLACK, linewidth=1.5, label="sum of the parts"))
    if marks["clear"]:
        handles += [
            Line2D([], [], color=style.BLUE, linewidth=1.8, label="more than the sum"),
            Line2D([], [], color=style.VERMILLION, linewidth=1.8, label="less than the sum"),
        ]
    signs = {"missing": ("$?$", "runs missing"), "undefined": ("x", "not defined: no such agent")}
    for mark, (sign, words) in signs.items():
        if marks[mark]:
            handles.append(
                Line2D([], [], linestyle="", marker=sign, color=style.GREY, label=words)
            )
    return handles


def _absent(one: Combination) -> bool:
    return math.isnan(one.score.value)


def _undefined(one: Combination) -> bool:
    return one.score.note.startswith(NOT_DEFINED)
