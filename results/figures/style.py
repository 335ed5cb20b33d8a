"""The house style of the figures: colours, paper sizes, type sizes, deterministic files."""

import io
import re
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ONE_COLUMN: Final = 3.35  # inches; the column of a two-column paper
TWO_COLUMNS: Final = 6.9  # inches; the full width of the same paper
PAD_INCHES: Final = 0.03  # between the panels with their labels and the left edge

# Okabe and Ito, "Color Universal Design", 2008.
BLACK: Final = "#000000"
ORANGE: Final = "#E69F00"
SKY_BLUE: Final = "#56B4E9"
GREEN: Final = "#009E73"
YELLOW: Final = "#F0E442"
BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#767676"  # contrast 4.5:1 on white
PALE: Final = "#E4E4E4"

# Yellow lines are lost on white paper, so it is no colour of a series.
SERIES: Final = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK)
LINES: Final = ((0.0, ()), (0.0, (4.0, 1.2)), (0.0, (1.0, 1.0)))  # whole, dashed, dotted
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "p", "*")

SMALL: Final = 6.5  # points; the smallest running text

RC: Final[Mapping[Any, Any]] = {
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: the same picture everywhere
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.formatter.useoffset": False,
    "grid.color": PALE,
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
    "figure.dpi": 100,
    "savefig.dpi": 250,
    "svg.fonttype": "path",
    "svg.hashsalt": "ablate",
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
}

# Files carry no date and no program version: the same numbers give the same bytes.
_METADATA: Final[Mapping[str, Mapping[str, None]]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draws and saves in the house style, whatever the user's matplotlibrc says, and puts back."""
    defaults = {
        key: value
        for key, value in matplotlib.rcParamsDefault.items()
        if not key.startswith(("backend", "interactive", "toolbar", "webagg", "keymap"))
    }
    with matplotlib.rc_context({**defaults, **RC}):
        yield


def series_color(index: int) -> str:
    """Returns the colour of the index-th seed or game; the palette repeats after seven."""
    return SERIES[index % len(SERIES)]


def series_line(index: int) -> tuple[float, tuple[float, ...]]:
    """Returns a line style that tells apart series of the same colour."""
    return LINES[(index // len(SERIES)) % len(LINES)]


def series_marker(index: int) -> str:
    """Returns the marker of the index-th seed or game."""
    return MARKERS[index % len(MARKERS)]


def decimals(largest: float) -> int:
    """Returns how many decimals a figure shows whose largest number has this size."""
    if largest >= 10:
        return 1 if largest < 100 else 0
    return 2 if largest >= 0.5 else 3 if largest >= 0.02 else 4


def signed(value: float, places: int) -> str:
    """Writes a number with its sign and a real minus; what rounds to zero has no sign."""
    text = f"{abs(value):.{places}f}"
    if float(text) == 0:
        return text
    return f"{'+' if value > 0 else '−'}{text}"


def broken(name: str, letters: int) -> str:
    """Breaks the long name of an arm before a `+`, so that no line has many more letters."""
    lines = [""]
    for part in re.split(r"(?=\+)", name):
        if lines[-1] and len(lines[-1] + part) > letters:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def wrapped(text: str, letters: int) -> str:
    """Breaks running text into lines of at most so many letters, between words."""
    return "\n".join(textwrap.wrap(text, letters))


def zero_line(axes: Axes) -> None:
    """Draws the vertical line at no effect."""
    axes.axvline(0.0, color=BLACK, linewidth=0.8, zorder=1)


def make_room(figure: Figure) -> None:
    """Moves the panels to the right until nothing of them is cut off at the left.

    How wide the labels of a y-axis are depends on the numbers: −0.16 takes more room than 0.5.
    The right ends of the panels and the gaps between them keep their proportions.
    """
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    begins = [box.x0 for axes in figure.axes if (box := axes.get_tightbbox()) is not None]
    lacking = PAD_INCHES * figure.dpi - min(begins)
    if lacking <= 0:
        return
    first = min(axes.get_position().x0 for axes in figure.axes)
    moved = first + lacking / figure.bbox.width
    share = (1 - moved) / (1 - first)
    for axes in figure.axes:
        box = axes.get_position()
        x0, x1 = (1 - (1 - x) * share for x in (box.x0, box.x1))
        axes.set_position((x0, box.y0, x1 - x0, box.height))


def foot_note(figure: Figure, text: str) -> None:
    """Writes what says on what the figure rests at its lower left corner."""
    height = figure.get_size_inches()[1]
    figure.text(
        0.012, 0.06 / height, text, fontsize=SMALL - 0.2, color="#444444", gid="foot note",
        linespacing=1.2,
    )  # fmt: skip


def width(columns: int) -> float:
    """Returns the inches of one or two columns of a two-column paper."""
    return ONE_COLUMN if columns == 1 else TWO_COLUMNS


def wrapped_note(note: str, inches: float) -> str:
    """Breaks the lines of a foot note where the page is narrow."""
    letters = int((inches - 0.1) / 0.052)
    return "\n".join(wrapped(line, letters) for line in note.split("\n"))


def more_foot(text: str) -> float:
    """Returns the inches that a foot note takes beyond its first line."""
    return 0.115 * text.count("\n")


def render(
    figure: Figure, file_format: str, *, title: str, description: str, salt: str = "ablate"
) -> bytes:
    """Returns the figure as the bytes of a file.

    Args:
        figure: The figure.
        file_format: "svg", "pdf" or "png".
        title: Stored in the file's metadata.
        description: Stored in the file's metadata: the caption travels with the picture.
        salt: Seeds the ids of an SVG's clip paths and markers.
    """
    words = {
        "svg": {"Title": title, "Description": description},
        "pdf": {"Title": title, "Subject": description},
        "png": {"Title": title, "Description": description},
    }[file_format]
    target = io.BytesIO()
    with house_style(), matplotlib.rc_context({"svg.hashsalt": salt}):
        figure.savefig(target, format=file_format, metadata={**_METADATA[file_format], **words})
    return target.getvalue()
