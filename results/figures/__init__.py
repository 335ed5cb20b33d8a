"""Figures of a study, or of a run's dreams: numbers go in, a picture with its words comes out."""

from collections.abc import Callable, Mapping
from typing import Final

from results.figures.contrasts import draw_effects, draw_interference
from results.figures.drawn import FORMATS, Drawn, save
from results.figures.dreams import draw_dreams
from results.figures.runs import draw_aggregates, draw_curves
from results.statistics.errors import UnknownName, nearest
from results.statistics.options import Options
from results.statistics.study_data import StudyData

__all__ = ["FORMATS", "KINDS", "Drawn", "draw", "draw_dreams", "save"]

_DRAW: Final[Mapping[str, Callable[[StudyData, Options], Drawn]]] = {
    "curves": draw_curves,
    "aggregates": draw_aggregates,
    "effects": draw_effects,
    "interference": draw_interference,
}
KINDS: Final = tuple(_DRAW)


def draw(kind: str, data: StudyData, options: Options) -> Drawn:
    """Draws one figure of a study.

    Args:
        kind: Among KINDS.
        data: The study.
        options: What to draw, where to compare, and with which intervals.

    Raises:
        UnknownName: if there is no such figure, or the options name what the study has not.
        StatisticsError: if the runs do not allow the figure, with the reason in one paragraph.
    """
    if kind not in _DRAW:
        raise UnknownName(f"There is no figure {kind!r}: {nearest(kind, KINDS)}")
    return _DRAW[kind](data, options)
