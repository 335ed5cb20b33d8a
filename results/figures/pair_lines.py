"""The clearest pairs as two lines each: where the lines are not parallel, toggles interact."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from results.figures import style
from results.figures.drawn import Drawn
from results.figures.found import Found
from results.statistics.cells import MEAN
from results.statistics.compared import BASE, FULL, Cell, Item, Weights, items
from results.statistics.contrasts import Interaction
from results.statistics.errors import StatisticsError, listed
from results.statistics.intervals import Estimate
from results.statistics.ols import AVERAGED
from results.statistics.options import Options
from results.statistics.study_data import StudyData

MOST: Final = 4
PANEL_INCHES: Final = 1.25
HEAD_INCHES: Final = 0.66  # over a panel: the pair, the word, the number, the doubt
LINE_INCHES: Final = 0.1  # of the words above a panel
SIDE: Final = 0.04  # how far the two lines stand apart at one place
WORDS: Final = {BASE: "at the base", FULL: "in the full agent", AVERAGED: "averaged"}
CORNERS: Final = ((0, 0), (1, 0), (0, 1), (1, 1))  # whether the first, the second is on


@dataclass(frozen=True)
class Square:
    """The four cells of one interaction.

    Attributes:
        pair: The interaction.
        corners: By whether the first and the second toggle are on, the score.
        doubt: What may feign it, in a few words; empty where nothing is known to.
    """

    pair: Interaction
    corners: Mapping[tuple[int, int], Estimate]
    doubt: str = ""


def draw_pairs(data: StudyData, options: Options) -> Drawn:
    """Draws the four pairs whose interaction is clearest of 0, at its clearest background.

    Raises:
        StatisticsError: if no pair has its four cells.
    """
    found = Found.of(data, options)
    squares = [one for one in map(lambda p: _square(found, p), _clearest(found)) if one][:MOST]
    if not squares:
        raise StatisticsError(
            f"Study {data.study.name!r} has no pair of toggles of which all four cells have runs: "
            f"neither, each alone, both. {found.nothing_to_show()}"
            if not any(math.isfinite(p.estimate.value) for p in found.interactions)
            else f"The cells of study {data.study.name!r} are too uneven for means of pairs."
        )
    with style.house_style():
        figure = draw(
            squares,
            interval=found.interval(),
            note=found.foot(),
            width=style.width(options.columns),
        )
    pairs = "pair" if len(squares) == 1 else f"{len(squares)} pairs"
    caption = (
        f"The {pairs} whose interaction is clearest of 0, each at the background "
        "where it is clearest (chosen for that, so their size is flattered). Left: the second "
        "toggle off; right: on. Lines: the first toggle off and on; dotted: where the upper line "
        "would go if effects added up. Parallel lines do not interact; crossing ones turn help "
        f"into harm. 'Turns' names the scales of the returns on which the sign is the opposite, "
        f"'floor' and 'ceiling' the games where one of the cells stands there: either can feign "
        f"an interaction. {found.caption()}"
    )
    return Drawn(
        f"{data.study.name}_pairs", "The clearest pairs", caption, figure, _numbers(squares)
    )


def _clearest(found: Found) -> list[Interaction]:
    """Of every pair the background with the smallest p, the smallest first."""
    known = [
        one
        for one in found.interactions
        if one.scope == MEAN and math.isfinite(one.estimate.value)
    ]
    known.sort(
        key=lambda one: (
            math.isnan(one.estimate.p),
            one.estimate.p if math.isfinite(one.estimate.p) else -abs(one.estimate.value),
        )
    )
    first: dict[tuple[str, str], Interaction] = {}
    for one in known:
        first.setdefault((one.first, one.second), one)
    return list(first.values())


def _square(found: Found, pair: Interaction) -> Square | None:
    """The four means behind an interaction, or None where they are no plain means."""
    names = {item.name: item for item in items(found.data.study)}
    first, second = names[pair.first], names[pair.second]
    cells = found.findings.cells
    corners = {}
    for place in CORNERS:
        weights = _weights(found, pair, (first, second), place)
        if not weights or cells.lack(weights, MEAN):
            return None
        corners[place] = cells.estimate(weights, MEAN, ci=found.options.ci)
    return Square(pair, corners, _doubt(found, pair))


def _doubt(found: Found, pair: Interaction) -> str:
    """The scales on which the sign turns, and the bounds that single cells stand at."""
    words = []
    if turned := found.findings.signs(pair.weights, MEAN).turned:
        words.append(f"turns on {', '.join(turned)}")
    if pair.background != AVERAGED:  # of many cells some are always at a bound
        for bound, games in (("floor", pair.floor), ("ceiling", pair.ceiling)):
            if games:
                words.append(f"{bound}: {listed(games, most=1)}")
    return "; ".join(words)


def _weights(
    found: Found, pair: Interaction, both: tuple[Item, Item], place: tuple[int, int]
) -> Weights:
    """The cell of a corner, or the mean of all cells of the design that agree with it."""
    averages = found.findings.averages
    if pair.background != AVERAGED:
        candidates: Sequence[Cell] = list(pair.weights)
    elif averages is not None and not averages.absent[MEAN]:
        candidates = averages.crossing.cells
    else:
        return {}

    def agrees(cell: Cell) -> bool:
        on = dict(cell)
        return all(
            on.get(item.toggle) == (item.level if wanted else None)
            for item, wanted in zip(both, place, strict=True)
        )

    chosen = [cell for cell in candidates if agrees(cell)]
    return dict.fromkeys(chosen, 1 / len(chosen)) if chosen else {}


def draw(squares: Sequence[Square], *, interval: str, note: str, width: float) -> Figure:
    """Draws one panel per pair on one scale.

    Args:
        squares: From the left, in one column two in a row.
        interval: What the whiskers are.
        note: The lines at the foot.
        width: Inches.
    """
    narrow, note = width < style.TWO_COLUMNS, style.wrapped_note(note, width)
    across = 2 if narrow else MOST
    left, gap, foot = 0.62 - 0.14 * narrow, 0.2, 0.52 + 0.13 * narrow + style.more_foot(note)
    said = max(_said(square).count("\n") for square in squares)
    head = HEAD_INCHES + LINE_INCHES * said
    row = head + PANEL_INCHES + 0.3
    rows = -(-len(squares) // across)
    height = rows * row + foot
    panel = min(1.6, (width - left - 0.1 - gap * (across - 1)) / across)
    figure = Figure(figsize=(width, height))
    shared: Axes | None = None
    for index, square in enumerate(squares):
        down, column = divmod(index, across)
        axes = figure.add_axes(
            (
                (left + column * (panel + gap)) / width,
                (foot + 0.3 + (rows - 1 - down) * row) / height,
                panel / width,
                PANEL_INCHES / height,
            ),
            sharey=shared,
        )
        draw_square(axes, square, more=said)
        if column == 0:
            axes.set_ylabel("HNS", labelpad=2)
            axes.yaxis.set_major_locator(MaxNLocator(5))
        else:
            axes.tick_params(axis="y", labelleft=False)
        shared = shared or axes
    figure.legend(
        handles=[
            Line2D([], [], color=style.GREY, marker="o", label="first toggle off"),
            Line2D([], [], color=style.BLUE, marker="s", label="first toggle on"),
            Line2D([], [], color=style.BLUE, linestyle=":", label="if effects added up"),
            *([Line2D([], [], color=style.BLACK, marker="|", linestyle="", markersize=7,
                      label=interval)] if "interval" in interval and "no" not in interval
              else []),
        ],
        loc="lower left", ncols=across, columnspacing=1.2, fontsize=style.SMALL,
        bbox_to_anchor=(0.0, (0.17 + style.more_foot(note)) / height),
    )  # fmt: skip
    style.foot_note(figure, note)
    style.make_room(figure)
    return figure


def draw_square(axes: Axes, square: Square, *, more: int) -> Axes:
    """Draws the two lines of a pair, with room for so many more lines of words above them."""
    pair, corners = square.pair, square.corners
    for first, color, marker in ((0, style.GREY, "o"), (1, style.BLUE, "s")):
        places = [second + (SIDE if first else -SIDE) for second in (0, 1)]
        line = [corners[first, second] for second in (0, 1)]
        axes.plot(places, [one.value for one in line], color=color, marker=marker,
                  markersize=4, zorder=3, gid=f"first {'on' if first else 'off'}")  # fmt: skip
        for place, one in zip(places, line, strict=True):
            if math.isfinite(one.low):
                axes.plot([place] * 2, [one.low, one.high], color=color, linewidth=0.9,
                          zorder=2, gid="interval")  # fmt: skip
    begin = corners[1, 0].value
    end = begin + corners[0, 1].value - corners[0, 0].value
    axes.plot([SIDE, 1 + SIDE], [begin, end], color=style.BLUE, linestyle=":", linewidth=1.0,
              zorder=1, gid="additive")  # fmt: skip
    axes.set_xlim(-0.3, 1.3)
    axes.set_xticks([0, 1], ["off", "on"])
    axes.set_xlabel(f"second: {pair.second}", fontsize=6.5, labelpad=2)
    estimate = pair.estimate
    half = f" ± {estimate.high - estimate.value:.2f}" if math.isfinite(estimate.high) else ""
    axes.set_title(f"first: {pair.first}", fontsize=6.8, pad=31 + 72 * LINE_INCHES * more,
                   loc="left")  # fmt: skip
    axes.annotate(
        f"{pair.label or 'one seed'}, {WORDS[pair.background]}\n"
        f"I = {style.signed(estimate.value, 2)}{half}\n{_said(square)}",
        (0, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
        fontsize=6.2, va="bottom", linespacing=1.15, gid="words",
    )  # fmt: skip
    return axes


def _said(square: Square) -> str:
    """What is doubtful of a pair, one line for each reason: panels are narrow."""
    return square.doubt.replace("; ", "\n")


def _numbers(squares: Sequence[Square]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "first": one.pair.first,
                "second": one.pair.second,
                "background": one.pair.background,
                "first_on": place[0],
                "second_on": place[1],
                **asdict(corner),
                "interaction": one.pair.estimate.value,
                "label": one.pair.label,
                "doubt": one.doubt,
            }
            for one in squares
            for place, corner in one.corners.items()
        ]
    )
