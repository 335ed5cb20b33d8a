"""Figures of a study, or of a run's dreams: numbers go in, a picture with its words comes out."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from results.figures.combinations import draw_combinations
from results.figures.comparisons import (
    draw_efficiency,
    draw_improvement,
    draw_profiles,
    draw_setting,
)
from results.figures.drawn import FORMATS, Drawn, save
from results.figures.dreams import draw_dreams
from results.figures.effects import draw_effects, draw_interactions
from results.figures.interference import draw_interference
from results.figures.many_arms import standing_for_all
from results.figures.one_at_a_time import draw_one_at_a_time
from results.figures.pair_lines import draw_pairs
from results.figures.runs import draw_aggregates, draw_curves
from results.figures.waterfall import draw_waterfall
from results.statistics.errors import UnknownName, nearest
from results.statistics.options import Options
from results.statistics.study_data import StudyData

__all__ = ["FORMATS", "KINDS", "UNREAD", "Drawn", "draw", "draw_dreams", "save"]

_DRAW: Final[Mapping[str, Callable[[StudyData, Options], Drawn]]] = {
    "curves": draw_curves,
    "aggregates": draw_aggregates,
    "profiles": draw_profiles,
    "improvement": draw_improvement,
    "efficiency": draw_efficiency,
    "setting": draw_setting,
    "effects": draw_effects,
    "interactions": draw_interactions,
    "interference": draw_interference,
    "pairs": draw_pairs,
    "combinations": draw_combinations,
    "one_at_a_time": draw_one_at_a_time,
    "waterfall": draw_waterfall,
}
KINDS: Final = tuple(_DRAW)
_NO_BOOTSTRAP: Final = frozenset({"resamples", "seed"})
UNREAD: Final[Mapping[str, frozenset[str]]] = {
    "curves": _NO_BOOTSTRAP | {"ci", "measure"},
    **dict.fromkeys(
        ("setting", "pairs", "combinations", "one_at_a_time", "waterfall"), _NO_BOOTSTRAP
    ),
}
"""The options that change nothing in a figure; those of `Options` that are not here do."""


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
    shown, words = ((), "") if options.arms else standing_for_all(data.study, kind)
    drawn = _DRAW[kind](data, replace(options, arms=shown) if shown else options)
    return replace(drawn, caption=f"{drawn.caption} {words}") if words else drawn
