"""Learning curves: what every run scored in its evaluations, seed by seed, arm by arm."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from results.figures import style

PANEL_INCHES: Final = 1.05
NARROWEST_INCHES: Final = 1.35  # with more games than fit at this width the page grows
NARROWEST_IN_ONE_COLUMN: Final = 0.85
MOST_ARMS_IN_A_ROW: Final = 4  # of a study of one game
CHARACTER_INCHES: Final = 0.072  # of an arm's name
MOST_VECTOR_DOTS: Final = 2000  # more would make a vector file slow to open
FAINT: Final = 0.4
MOST_MARKERS: Final = 12  # of a line with a marker at every point
FEW_MARKERS: Final = 5  # of any other
ROUND: Final = (1, 2, 2.5, 5, 10)  # steps between ticks


@dataclass(frozen=True)
class Curves:
    """What the figure shows.

    Attributes:
        evaluations: arm, game, seed, env_frames, value: one row per evaluation of a run.
        episodes: arm, game, seed, env_frames, value: one row per training episode.
        random: Mean return of random play per game, where it is known.
        expected: How many runs an arm has on a game, by (arm, game).
        ends: The env frames at which the curves of an arm end, by arm.
    """

    evaluations: pd.DataFrame
    episodes: pd.DataFrame
    random: Mapping[str, float]
    expected: Mapping[tuple[str, str], int]
    ends: Mapping[str, float]


def draw(
    curves: Curves,
    *,
    arms: Sequence[str],
    games: Sequence[str],
    note: str,
    page: float = style.TWO_COLUMNS,
) -> Figure:
    """Draws one column per game and one row per arm, with one scale of returns per game.

    Of one game the arms stand beside each other, row by row. All panels share the scale of env
    frames, unless some arms end before half of it: then each arm has its own.

    Args:
        curves: The points.
        arms: Rows, from the top.
        games: Columns, from the left.
        note: The line at the foot.
        page: Inches of the paper; the figure is wider where the games need it.
    """
    narrow = page < style.TWO_COLUMNS
    rows, columns = len(arms), len(games)
    if one_game := columns == 1:
        rows = math.ceil(len(arms) / _most_in_a_row(arms, page))
        columns = math.ceil(len(arms) / rows)
    panel = NARROWEST_IN_ONE_COLUMN if narrow else NARROWEST_INCHES
    width = max(page, 0.6 + panel * columns)
    own_frames = max(curves.ends.values()) > 2 * min(curves.ends.values())
    if own_frames:
        note += f" · every {'arm' if one_game else 'row'} has its own scale of env frames"
    note = style.wrapped_note(note, width)
    seeds = sorted(set(curves.evaluations["seed"]) | set(curves.episodes["seed"]))
    across = 3 if narrow else 8
    legend = -(-(len(seeds) + 2) // across) - 1
    head, foot = 0.42, 0.95 + style.more_foot(note) + 0.14 * legend
    between = 0.45 if own_frames else 0.3
    height = head + foot + rows * (PANEL_INCHES + between)
    figure = Figure(figsize=(width, height))
    sharex: Literal["none", "row", "all"] = "all"
    if own_frames:
        sharex = "none" if one_game else "row"
    grid = figure.subplots(
        rows, columns, sharex=sharex, sharey="all" if one_game else "col", squeeze=False
    )
    figure.subplots_adjust(
        left=0.72 / width,
        right=1 - 0.12 / width,
        top=1 - head / height,
        bottom=foot / height,
        hspace=between / PANEL_INCHES,
        wspace=0.12 if one_game else 0.55 if narrow else 0.32,
    )
    cells = [(arm, game) for arm in arms for game in games]
    panels = list(grid.flat)[: len(cells)]
    for empty in list(grid.flat)[len(cells) :]:
        empty.remove()
    lowest = panels[-columns:]
    for axes, (arm, game) in zip(panels, cells, strict=True):
        draw_panel(axes, _of(curves.evaluations, arm, game), _of(curves.episodes, arm, game),
                   seeds=seeds, random=curves.random.get(game),
                   as_image=len(curves.episodes) > MOST_VECTOR_DOTS)  # fmt: skip
        _say_what_is_there(axes, _of(curves.evaluations, arm, game), curves.expected[arm, game])
        if one_game or axes in grid[:, 0]:
            axes.set_title(arm, loc="left", fontsize=7.5, pad=3)
        if axes in grid[:, 0]:
            axes.set_ylabel("return")
    for axes in lowest:
        axes.tick_params(labelbottom=True)
    for column, game in enumerate(games):
        first, last = grid[0, column], grid[0, -1 if one_game else column]
        middle = (first.get_position().x0 + last.get_position().x1) / 2
        figure.text(
            middle, 1 - 0.08 / height, game, ha="center", va="top", fontsize=8.5,
            fontweight="bold",
        )  # fmt: skip
    unit = _label_frames(panels, curves)
    if narrow:
        middle = (grid[0, 0].get_position().x0 + grid[0, -1].get_position().x1) / 2
        figure.text(middle, (foot - 0.27) / height, unit, ha="center", va="top", fontsize=7.5)
        for axes in panels:
            axes.yaxis.set_major_formatter(FuncFormatter(_short))
            axes.margins(x=0.12)
            axes.set_xlim(left=0)
    else:
        for axes in lowest:
            axes.set_xlabel(unit)
    figure.legend(
        handles=_handles(seeds, curves),
        loc="lower center",
        ncols=min(across, len(seeds) + 2),
        bbox_to_anchor=(0.5, (0.2 + style.more_foot(note)) / height),
    )
    style.foot_note(figure, note)
    return figure


def _most_in_a_row(arms: Sequence[str], page: float) -> int:
    """How many arms stand beside each other without one name running into the next."""
    room = (page - 0.84) / (CHARACTER_INCHES * max(map(len, arms)))
    return min(max(int(room), 1), 2 if page < style.TWO_COLUMNS else MOST_ARMS_IN_A_ROW)


def draw_panel(
    axes: Axes,
    evaluations: pd.DataFrame,
    episodes: pd.DataFrame,
    *,
    seeds: Sequence[int],
    random: float | None,
    as_image: bool,
) -> Axes:
    """Draws one arm on one game: a line per seed, its training episodes faint behind.

    Args:
        axes: Where.
        evaluations: seed, env_frames, value.
        episodes: seed, env_frames, value.
        seeds: All seeds of the figure: a seed has one colour everywhere.
        random: Mean return of random play, or None where it is not known.
        as_image: Whether the dots become an image within a vector file.
    """
    if random is not None:
        axes.axhline(
            random, color=style.BLACK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=4,
            gid="random",
        )  # fmt: skip
    for index, seed in enumerate(seeds):
        color = style.series_color(index)
        training = episodes[episodes["seed"] == seed].sort_values("env_frames")
        axes.plot(
            training["env_frames"], training["value"], ".", color=color, alpha=FAINT,
            markersize=4, markeredgewidth=0, zorder=2, gid=f"episodes of seed {seed}",
            rasterized=as_image,
        )  # fmt: skip
        tests = evaluations[evaluations["seed"] == seed].sort_values("env_frames")
        axes.plot(
            tests["env_frames"], tests["value"], color=color, linestyle=style.series_line(index),
            zorder=3, gid=f"seed {seed}", **_marker(index), **_dense(index, len(tests)),
        )  # fmt: skip
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.margins(x=0.04, y=0.1)
    return axes


def _marker(index: int) -> dict[str, Any]:
    """Every other seed has hollow, larger markers: equal returns stay visible behind them."""
    if index % 2 == 0:
        return {"marker": style.series_marker(index), "markersize": 3}
    return {"marker": style.series_marker(index), "markersize": 4.6, "markerfacecolor": "none"}


def _dense(index: int, points: int) -> dict[str, Any]:
    """A line of many points is thinner and has few markers, at other places than its neighbours'.

    Without it the markers of several seeds cover each other and the line of random play.
    """
    if points <= MOST_MARKERS:
        return {}
    step = -(-points // FEW_MARKERS)
    return {"markevery": ((index * step) // 4 % step, step), "linewidth": 0.9}


def _of(frame: pd.DataFrame, arm: str, game: str) -> pd.DataFrame:
    return frame[(frame["arm"] == arm) & (frame["game"] == game)]


def _thousands(value: float, _: int | None = None) -> str:
    return f"{value:,g}".replace("-", "−") if abs(value) < 1e6 else f"{value:.3g}"


def _short(value: float, _: int | None = None) -> str:
    return _thousands(value) if abs(value) < 1_000 else f"{_thousands(value / 1000)}k"


def _say_what_is_there(axes: Axes, evaluations: pd.DataFrame, expected: int) -> None:
    """Counts the seeds in a panel where some are missing."""
    there = evaluations["seed"].nunique()
    if there == expected:
        return
    words = "no evaluation yet" if there == 0 else f"{there} of {expected} seeds"
    axes.text(
        0.03, 0.97, words, ha="left", va="top", fontsize=style.SMALL, color="#444444",
        transform=axes.transAxes, gid="count", zorder=6,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )  # fmt: skip


def frames_unit(last: float) -> tuple[float, str]:
    """In what env frames are counted up to here, and what that is called."""
    return (1e6, "millions") if last >= 2e6 else (1e3, "thousands")


def _label_frames(panels: Iterable[Axes], curves: Curves) -> str:
    """Writes env frames in thousands or millions, and returns the words for that."""
    ends = [frame["env_frames"].max() for frame in (curves.evaluations, curves.episodes)]
    last = max((float(end) for end in ends if not pd.isna(end)), default=0.0)
    unit, name = frames_unit(last)
    for axes in panels:
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:g}"))
        axes.set_xlim(left=0)
    return f"env frames ({name})"


def _handles(seeds: Sequence[int], curves: Curves) -> list[Line2D]:
    """Explains every line and dot in the figure."""
    handles = [
        Line2D(
            [], [], color=style.series_color(index), linestyle=style.series_line(index),
            label=f"seed {seed}", **_marker(index),
        )
        for index, seed in enumerate(seeds)
    ]  # fmt: skip
    if len(curves.episodes):
        handles.append(
            Line2D(
                [], [], color=style.BLACK, alpha=FAINT * 1.5, marker=".", linestyle="",
                markersize=5, markeredgewidth=0, label="training episodes",
            )
        )  # fmt: skip
    if curves.random:
        handles.append(
            Line2D([], [], color=style.BLACK, linestyle=(0, (4, 2)), linewidth=0.9,
                   label="random play")
        )  # fmt: skip
    return handles
