"""Dreams as pictures: truth, reconstruction, open loop and error over time, rewards below."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from results.figures import style
from results.figures.dream_sequences import Dreams

MOST_COLUMNS: Final = 8  # more would be too small to see a ball in
SIDE: Final = 0.92  # of a picture, in columns
GAP: Final = 0.3  # between the last frame that is seen and the first dream, in columns
HEAD, BETWEEN, FOOT = 0.42, 0.26, 0.66  # inches
LEFT, RIGHT, STRIP = 1.22, 0.06, 0.54  # inches
COLUMN: Final = (style.TWO_COLUMNS - LEFT - RIGHT) / (MOST_COLUMNS + GAP)  # inches
HEADLINE: Final = 14  # points above the first pictures
ROWS: Final = (
    ("truth", "what happened"),
    ("reconstruction", "sees every frame"),
    ("open loop", "sees no frame\nafter the mark"),
    ("error", "|truth − open loop|,\nmean in gray levels"),
)
OPEN_LOOP: Final = 2  # the row
PAID, SEEN, DREAMED = "#9A9A9A", style.BLUE, style.VERMILLION
DASHED: Final = (0, (3, 1))
ERROR_COLORS: Final = LinearSegmentedColormap.from_list(
    "error", ["#FFFFFF", style.VERMILLION, style.BLACK]
)


@dataclass(frozen=True)
class Columns:
    """Which steps have a picture, and where every step stands from left to right.

    The last step that is seen and the first that is dreamed always have a picture, and the mark
    lies between them; on either side of it time runs evenly.

    Attributes:
        seen: Steps left of the mark, counted from 0.
        dreamed: Steps right of it.
    """

    seen: tuple[int, ...]
    dreamed: tuple[int, ...]

    @classmethod
    def of(cls, steps: int, context: int) -> "Columns":
        """Chooses at most MOST_COLUMNS of the steps, shared out as the context shares them."""
        count = min(MOST_COLUMNS, steps)
        fewest, most = min(2, context), count - min(2, steps - context)
        seen = min(max(round(count * context / steps), fewest), most)
        return cls(_evenly(0, context - 1, seen), _evenly(context, steps - 1, count - seen))

    @property
    def steps(self) -> tuple[int, ...]:
        """All steps that have a picture."""
        return self.seen + self.dreamed

    @property
    def mark(self) -> float:
        """Where the mark stands."""
        return len(self.seen) - 0.5 + GAP / 2

    @property
    def width(self) -> float:
        """How wide all are together."""
        return len(self.steps) + GAP

    def places(self, steps: Sequence[int]) -> NDArray[np.float64]:
        """Returns where steps stand, in columns from the middle of the first picture."""
        left = np.interp(steps, self.seen, np.arange(len(self.seen)))
        right = np.interp(steps, self.dreamed, np.arange(len(self.dreamed)))
        return np.where(np.asarray(steps) > self.seen[-1], right + len(self.seen) + GAP, left)


def draw(dreams: Dreams, *, note: str) -> Figure:
    """Draws sequences under each other: four rows of pictures and a strip of rewards each.

    Args:
        dreams: The arrays.
        note: The lines at the foot.
    """
    columns = Columns.of(dreams.steps, dreams.context)
    pictures = COLUMN * len(ROWS)
    block = pictures + STRIP + BETWEEN
    foot = FOOT - BETWEEN + style.more_foot(note)
    width, height = style.TWO_COLUMNS, HEAD + foot + block * dreams.sequences
    figure = Figure(figsize=(width, height))
    left, across = LEFT / width, COLUMN * columns.width / width
    limits = _reward_limits(dreams)
    for sequence in range(dreams.sequences):
        bottom = height - HEAD - sequence * block - pictures
        above = figure.add_axes((left, bottom / height, across, pictures / height))
        _draw_pictures(above, dreams, sequence, columns)
        below = figure.add_axes((left, (bottom - STRIP) / height, across, STRIP / height))
        _draw_rewards(below, dreams, sequence, columns, limits)
        for axes in (above, below):
            axes.set_xlim(-0.5, columns.width - 0.5)
            axes.axvline(columns.mark, color=style.BLACK, linewidth=1.4, gid="mark")
        if sequence == 0:
            _explain_columns(above, columns)
    figure.legend(
        handles=_handles(), loc="lower center", ncols=4, handlelength=1.6, columnspacing=1.6,
        bbox_to_anchor=(0.5, (0.2 + style.more_foot(note)) / height),
    )  # fmt: skip
    style.foot_note(figure, note)
    return figure


def _draw_pictures(axes: Axes, dreams: Dreams, sequence: int, columns: Columns) -> None:
    """Draws the four rows of one sequence."""
    made = [frames[sequence] for frames in (dreams.truth, dreams.reconstruction, dreams.open_loop)]
    error = dreams.error(dreams.open_loop)[sequence]
    for step, place in zip(columns.steps, columns.places(columns.steps), strict=True):
        for row, frames in enumerate(made):
            dreamed = row == OPEN_LOOP and step >= dreams.context
            _picture(axes, np.moveaxis(frames[step], 0, -1), place, row, dreamed=dreamed)
        last = len(made)
        _picture(axes, error[step], place, last, cmap=ERROR_COLORS)
        axes.text(
            place + SIDE / 2 - 0.03, last + SIDE / 2 - 0.03, f"{error[step].mean():.1f}",
            ha="right", va="bottom", fontsize=style.SMALL - 0.7, gid="mean error",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )  # fmt: skip
    axes.set_ylim(len(ROWS) - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    for row, (name, words) in enumerate(ROWS):
        _label_row(axes, 1 - (row + 0.5) / len(ROWS), name, words)
    above = HEADLINE if sequence == 0 else 3
    _beside(axes, f"sequence {sequence + 1}", (0, 1), (-16, above), fontweight="bold")


def _picture(
    axes: Axes,
    pixels: NDArray[Any],
    place: float,
    row: int,
    *,
    cmap: str | LinearSegmentedColormap = "gray",
    dreamed: bool = False,
) -> None:
    """Puts one picture, [H, W], [H, W, 1] or [H, W, 3], into its row, in a frame."""
    left, top = place - SIDE / 2, row - SIDE / 2
    axes.imshow(
        pixels, cmap=cmap, vmin=0, vmax=255, interpolation="nearest", aspect="auto",
        extent=(left, left + SIDE, top + SIDE, top), gid=ROWS[row][0],
    )  # fmt: skip
    axes.add_patch(
        Rectangle(
            (left, top), SIDE, SIDE, fill=False, gid="dreamed" if dreamed else "seen",
            edgecolor=DREAMED if dreamed else style.GREY, linewidth=1.5 if dreamed else 0.4,
        )
    )  # fmt: skip


def _draw_rewards(
    axes: Axes, dreams: Dreams, sequence: int, columns: Columns, limits: tuple[float, float]
) -> None:
    """Draws what was paid at every step as bars, and what was predicted as lines."""
    places = columns.places(range(dreams.steps))
    paid, reconstructed, open_loop = (
        rewards[sequence]
        for rewards in (dreams.reward, dreams.reward_reconstructed, dreams.reward_open_loop)
    )
    axes.vlines(places, 0, paid, color=PAID, linewidth=2.6, gid="paid")
    before, after = slice(dreams.context), slice(dreams.context, None)
    _line(axes, places[before], reconstructed[before], color=SEEN, gid="reconstructed")
    _line(axes, places[after], reconstructed[after], color=SEEN, gid="reconstructed")
    _line(axes, places[after], open_loop[after], color=DREAMED, linestyle=DASHED, gid="open loop")
    axes.axhline(0, color=style.GREY, linewidth=0.5, zorder=1)
    axes.set_ylim(*limits)
    axes.set_xticks([])
    axes.set_yticks([-1, 0, 1] if limits[0] <= -1 else [0, 1])
    axes.tick_params(axis="y", length=1.5, pad=1.5, labelsize=style.SMALL)
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_bounds(-1 if limits[0] <= -1 else 0, 1)
    _label_row(axes, 0.5, "reward", "each step, as tanh")


def _line(axes: Axes, places: NDArray[Any], values: NDArray[Any], **looks: Any) -> None:
    """Draws a line through all points; a single one as a dot."""
    axes.plot(places, values, marker="o" if len(places) == 1 else "", **looks)


def _reward_limits(dreams: Dreams) -> tuple[float, float]:
    """Returns one scale for all strips: 0 to 1, or −1 to 1 where something is clearly negative."""
    rewards = (dreams.reward, dreams.reward_reconstructed, dreams.reward_open_loop)
    lowest = min(float(some.min()) for some in rewards)
    highest = max(float(some.max()) for some in rewards)
    return (-0.25 if lowest > -0.25 else min(-1.1, 1.05 * lowest)), max(1.1, 1.05 * highest)


def _explain_columns(axes: Axes, columns: Columns) -> None:
    """Writes over the first sequence what the mark means, and which steps have a picture."""
    axes.set_xticks(columns.places(columns.steps), [f"{step + 1}" for step in columns.steps])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=1)
    dreams = "dreams without frames" if len(columns.dreamed) > 1 else "dreams"
    for words, aside, color in (("sees frames", -5, SEEN), (dreams, 5, DREAMED)):
        axes.annotate(
            words, (columns.mark, 1), (aside, HEADLINE), xycoords=axes.get_xaxis_transform(),
            textcoords="offset points", ha="right" if aside < 0 else "left", color=color,
            fontsize=8, fontweight="bold",
        )  # fmt: skip
    _beside(axes, "agent step", (0, 1), (-16, 3))


def _label_row(axes: Axes, height: float, name: str, words: str) -> None:
    """Writes what a row shows left of it."""
    _beside(axes, name, (0, height), (-16, 2), color=style.BLACK, fontsize=8, fontweight="bold")
    _beside(axes, words, (0, height), (-16, 0), va="top")


def _beside(
    axes: Axes, text: str, at: tuple[float, float], by: tuple[float, float], **looks: Any
) -> None:
    """Writes a text that ends so many points from a place of the axes."""
    usual: dict[str, Any] = {"va": "bottom", "fontsize": style.SMALL, "color": "#444444"}
    axes.annotate(
        text, at, by, xycoords="axes fraction", textcoords="offset points", ha="right",
        **usual | looks,
    )  # fmt: skip


def _handles() -> list[Line2D | Patch]:
    """Explains every frame, bar and line."""
    return [
        Patch(facecolor="none", edgecolor=DREAMED, linewidth=1.5, label="dreamed picture"),
        Line2D([], [], color=PAID, linewidth=2.6, label="reward paid"),
        Line2D([], [], color=SEEN, label="predicted, sees every frame"),
        Line2D([], [], color=DREAMED, linestyle=DASHED, label="predicted, open loop"),
    ]


def _evenly(first: int, last: int, count: int) -> tuple[int, ...]:
    """Returns so many whole numbers from first to last, as even as they can be."""
    return tuple(int(step) for step in np.linspace(first, last, count).round())
