"""The page of the interference map: where panels, colour scale and legend stand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from results.figures import style

LARGE_FROM: Final = 4  # toggles; from here, or alone, the first panel is wide
TITLE: Final = 0.26  # inches above a panel
LEGEND: Final = 2.2  # inches beside a wide panel
SMALL_LEGEND: Final = 1.36  # inches below small panels: five lines of marks
LARGE_LEGEND: Final = 4.3  # inches beside a wide panel: the key, its places, a column of marks
NOTE: Final = 0.22  # inches below everything


def label_size(toggles: Sequence[str], tile_points: float) -> tuple[float, bool]:
    """Returns the size of the toggles' names, and whether the columns' names must be turned."""
    fits = (tile_points - 2) / (0.6 * max(map(len, toggles)))
    if fits >= style.SMALL - 0.4:
        return min(7.0, fits), False
    return min(7.0, max(5.5, tile_points / 3.2)), True


@dataclass(frozen=True)
class Geometry:
    """Where panels, colour scale and legend stand, in inches from the lower left."""

    height: float
    places: tuple[tuple[float, float, float], ...]
    scale: tuple[float, float, float, float]
    legend: tuple[float, float, float, float]
    legend_columns: int
    page: float = style.TWO_COLUMNS

    @classmethod
    def of(
        cls,
        panels: int,
        toggles: Sequence[str],
        *,
        note: float = 0.0,
        page: float = style.TWO_COLUMNS,
    ) -> "Geometry":
        """Lays out a page of this width for a number of panels, with more inches for the note."""
        left = 0.12 + 0.055 * max(map(len, toggles))
        if page < style.TWO_COLUMNS:
            return cls._one_column(left, toggles, NOTE + note, page)
        if len(toggles) >= LARGE_FROM or panels == 1:
            return cls._large(panels, left, toggles, NOTE + note)
        return cls._small(panels, left, toggles, NOTE + note)

    @classmethod
    def _one_column(
        cls, left: float, toggles: Sequence[str], note: float, page: float
    ) -> "Geometry":
        """A single panel; colour scale and legend below."""
        size = page - left - 0.08
        below = label_height(toggles, size)
        foot = note + LARGE_LEGEND + 0.66
        height = foot + TITLE + size + below
        scale = (0.3, foot - 0.14, page - 0.6, 0.09)
        legend = (0.1, note + 0.04, page - 0.2, LARGE_LEGEND)
        return cls(height, ((left, foot + below, size),), scale, legend, 1, page)

    @classmethod
    def _small(cls, panels: int, left: float, toggles: Sequence[str], note: float) -> "Geometry":
        """All panels alike, up to four in a row; colour scale and legend below."""
        per_row, gap = min(4, max(panels, 3)), 0.16
        size = (style.TWO_COLUMNS - left - 0.05 - gap * (per_row - 1)) / per_row
        below = label_height(toggles, size)
        rows = math.ceil(panels / per_row)
        foot = note + SMALL_LEGEND + 0.66
        height = foot + rows * (TITLE + size + below)
        places = tuple(
            (
                left + (index % per_row) * (size + gap),
                height - (index // per_row + 1) * (TITLE + size + below) + below,
                size,
            )
            for index in range(panels)
        )
        scale = (style.TWO_COLUMNS / 2 - 1.6, foot - 0.14, 3.2, 0.09)
        legend = (0.1, note + 0.04, style.TWO_COLUMNS - 0.15, SMALL_LEGEND)
        return cls(height, places, scale, legend, legend_columns=3)

    @classmethod
    def _large(cls, panels: int, left: float, toggles: Sequence[str], note: float) -> "Geometry":
        """The first panel wide, with the legend at its side; the others below, three a row."""
        per_row, gap = 3, 0.14
        big = min(3.75, style.TWO_COLUMNS - left - LEGEND)
        size = (style.TWO_COLUMNS - left - 0.05 - gap * (per_row - 1)) / per_row
        high, low = label_height(toggles, big), label_height(toggles, size)
        rows = math.ceil((panels - 1) / per_row)
        first = TITLE + max(big + high, 0.75 + LARGE_LEGEND)
        height = note + first + rows * (TITLE + size + low)
        places = [(left, height - TITLE - big, big)]
        for index in range(panels - 1):
            bottom = height - first - (index // per_row + 1) * (TITLE + size + low)
            places.append((left + (index % per_row) * (size + gap), bottom + low, size))
        side = left + big + 0.2
        room = style.TWO_COLUMNS - side - 0.05
        scale = (side + 0.1, height - TITLE - 0.1, room - 0.2, 0.09)
        legend = (side, height - first + 0.1, room, first - TITLE - 0.75)
        return cls(height, tuple(places), scale, legend, legend_columns=1)

    def panel(self, index: int) -> tuple[float, float, float]:
        """Returns left, bottom and size of a panel."""
        return self.places[index]

    def first_of_row(self, index: int) -> bool:
        """Says whether the panel stands at the left margin."""
        return self.places[index][0] == self.places[0][0]

    def fraction(
        self, left: float, bottom: float, width: float, height: float
    ) -> tuple[float, float, float, float]:
        """Turns inches into fractions of the figure."""
        return left / self.page, bottom / self.height, width / self.page, height / self.height


def label_height(toggles: Sequence[str], size: float) -> float:
    """Returns the inches that the columns' names take below a panel of `size` inches."""
    points, turned = label_size(toggles, 72 * size / len(toggles))
    longest = max(map(len, toggles))
    return 0.16 + 0.6 * points * longest * math.sin(math.radians(40)) / 72 if turned else 0.26
