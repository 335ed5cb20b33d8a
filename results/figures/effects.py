"""Effects and interactions of a study as forest plots: the readable truth, sorted."""

import math
from collections.abc import Sequence

import pandas as pd

from results.figures import forest, style
from results.figures.drawn import Drawn
from results.figures.forest import Row, Section
from results.figures.found import UNIT, Found, in_study
from results.statistics.cells import MEAN
from results.statistics.compared import BASE, FULL
from results.statistics.contrasts import ADD_ONE_IN, LEAVE_ONE_OUT, Effect, Interaction
from results.statistics.errors import StatisticsError
from results.statistics.findings import excludes
from results.statistics.intervals import Estimate
from results.statistics.ols import AVERAGED
from results.statistics.options import Options
from results.statistics.shapley import SHAPLEY
from results.statistics.study_data import StudyData

MOST_PAIRS = 6  # of a section, in one column of a paper; the numbers hold all
NO_INTERVAL = "no interval"  # how the note of a number without one ends
EFFECTS = {
    ADD_ONE_IN: "Added to the base: A = f(base+toggle) − f(base)",
    LEAVE_ONE_OUT: "Left out of the full agent: L = f(full) − f(full without toggle)",
    AVERAGED: "Averaged over everything else that is crossed",
    SHAPLEY: "Shapley value: share of f(full) − f(base), over all orders",
}
PAIRS = {
    BASE: "Interactions at the base: I = f(base+i+j) − f(base+i) − f(base+j) + f(base)",
    FULL: "Interactions within the full agent: the same pair taken out of it",
    AVERAGED: "Interactions averaged over everything else that is crossed",
}
ONE_SQUARE = "Interaction: I = f(full) − f(base+i) − f(base+j) + f(base)"


def draw_effects(data: StudyData, options: Options) -> Drawn:
    """Draws what each toggle does: added, left out, averaged and shared out.

    Raises:
        StatisticsError: if the runs do not allow it.
    """
    found = Found.of(data, options)
    if not found.effects:
        raise StatisticsError(found.nothing_to_show())
    sections = [
        Section(title, _effect_rows([one for one in found.effects if one.kind == kind]))
        for kind, title in EFFECTS.items()
    ]
    caption = (
        f"Effects of the toggles, largest first. {_marks(found)}A positive effect helps. "
        f"{found.caption()}"
    )
    return _drawn(
        found,
        sections,
        found.effect_numbers(),
        kind="effects",
        title="Effects of the toggles",
        caption=caption,
    )


def draw_interactions(data: StudyData, options: Options) -> Drawn:
    """Draws how the effect of each toggle depends on each other one.

    Raises:
        StatisticsError: if the runs do not allow it.
    """
    found = Found.of(data, options)
    if len(data.study.toggles) < 2:
        raise StatisticsError(
            f"Study {data.study.name!r} has fewer than two toggles, so no interaction to show."
        )
    sections, left_out = _fitting(_interaction_sections(found), columns=options.columns)
    caption = (
        f"Interactions of pairs of toggles, largest first. {left_out}{_marks(found)}Positive: two "
        "toggles give more together than their effects add up to. A word needs the simultaneous "
        "interval to exclude 0; 'turns' marks a pair whose sign is the opposite on another scale "
        "of the returns. "
        f"{found.caption()}"
    )
    return _drawn(
        found,
        sections,
        found.interaction_numbers(),
        kind="interactions",
        title="Interactions of pairs",
        caption=caption,
    )


def _marks(found: Found) -> str:
    """What the circles and small marks are; of one game there are circles only."""
    if len(found.scores.games) == 1:
        return ""
    return f"Circles: mean of the games{found.per_seed()}; small marks: each game alone. "


def _drawn(
    found: Found,
    sections: Sequence[Section],
    numbers: pd.DataFrame,
    *,
    kind: str,
    title: str,
    caption: str,
) -> Drawn:
    if not any(section.rows for section in sections):
        raise StatisticsError(found.nothing_to_show())
    with style.house_style():
        figure = forest.draw(
            sections,
            games=found.scores.games,
            unit=UNIT,
            interval=found.interval() if found.has_interval() else "",
            note=found.foot(),
            width=style.width(found.options.columns),
        )
    return Drawn(f"{found.data.study.name}_{kind}", title, caption, figure, numbers)


def _effect_rows(mine: Sequence[Effect]) -> list[Row]:
    return [
        _row(one.name, one.estimate, [other for other in mine if other.name == one.name])
        for one in mine
        if one.scope == MEAN and in_study(one)
    ]


def _interaction_sections(found: Found) -> list[Section]:
    """Makes one section per background, or one alone where both are the same arms."""
    of = {
        background: [one for one in found.interactions if one.background == background]
        for background in PAIRS
    }
    same = [one.arms for one in of[BASE]] == [one.arms for one in of[FULL]]
    titles = {BASE: ONE_SQUARE} if same else PAIRS
    return [Section(title, _pair_rows(found, of[key])) for key, title in titles.items()]


def _fitting(sections: Sequence[Section], *, columns: int) -> tuple[list[Section], str]:
    """The sections as far as a column holds them, and the words for what is left out."""
    longest = max(len(section.rows) for section in sections)
    if columns > 1 or longest <= MOST_PAIRS:
        return list(sections), ""

    def doubt(row: Row) -> float:
        if row.estimate is None:
            return math.inf
        return (row.mde or 1.0) / max(abs(row.estimate), 1e-12)

    clearest = [
        Section(section.title, sorted(section.rows, key=doubt)[:MOST_PAIRS])
        for section in sections
    ]
    return clearest, f"Of up to {longest} pairs the {MOST_PAIRS} clearest of 0 are shown. "


def _pair_rows(found: Found, mine: Sequence[Interaction]) -> list[Row]:
    return [
        _row(
            f"{one.first} × {one.second}",
            one.estimate,
            [o for o in mine if (o.first, o.second) == (one.first, one.second)],
            simultaneous=(one.simultaneous_low, one.simultaneous_high),
            label=_label(found, one),
        )
        for one in mine
        if one.scope == MEAN and in_study(one)
    ]


def _label(found: Found, one: Interaction) -> str:
    """The word for a pair, and whether it is a matter of the scale."""
    turned = found.findings.signs(one.weights, one.scope).turned
    if turned and excludes(one.simultaneous_low, one.simultaneous_high):
        return f"{one.label}; turns ({', '.join(turned)})"
    return one.label


def _row(
    name: str,
    estimate: Estimate,
    scopes: Sequence[Effect | Interaction],
    *,
    simultaneous: tuple[float, float] | None = None,
    label: str = "",
) -> Row:
    known = math.isfinite(estimate.value)
    interval = (estimate.low, estimate.high) if math.isfinite(estimate.low) else None
    if simultaneous is not None and not math.isfinite(simultaneous[0]):
        simultaneous = None
    return Row(
        name=name,
        estimate=estimate.value if known else None,
        interval=interval,
        simultaneous=simultaneous,
        games={
            one.scope: one.estimate.value
            for one in scopes
            if one.scope != MEAN and math.isfinite(one.estimate.value)
        },
        mde=estimate.mde if math.isfinite(estimate.mde) else None,
        words=_words(estimate, label),
    )


def _words(estimate: Estimate, label: str) -> str:
    """Returns the label of a number with an interval, else why there is none."""
    if math.isfinite(estimate.low):
        return label
    reason, _, details = estimate.note.partition(": ")
    return estimate.note if details == NO_INTERVAL else reason
