"""Effects and interactions of a study as a forest plot and as an interference map."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from results.figures import captions, forest, interference_map, style
from results.figures.drawn import Drawn
from results.figures.forest import Row, Section
from results.figures.interference_map import Panel, Tile
from results.statistics.cells import MEAN, NOT_DEFINED, NOT_IN_STUDY, Cells, items
from results.statistics.contrasts import (
    ADD_ONE_IN,
    BASE,
    FULL,
    LEAVE_ONE_OUT,
    Effect,
    Interaction,
    cell_effects,
    cell_interactions,
    effects_frame,
    interactions_frame,
)
from results.statistics.errors import StatisticsError, counted
from results.statistics.intervals import Estimate
from results.statistics.ols import AVERAGED, Averages, averages
from results.statistics.options import Options
from results.statistics.scores import Scores, collect
from results.statistics.study_data import StudyData

UNIT = "difference in human-normalised score (HNS)"
CROSSED = frozenset({"factorial", "fractional", "plackett_burman"})  # designs of averages
NO_INTERVAL = "no interval"  # how the note of a number without one ends


@dataclass(frozen=True)
class _Contrasts:
    """All contrasts of a study on the mean over games and per game."""

    scores: Scores
    effects: tuple[Effect, ...]
    interactions: tuple[Interaction, ...]
    averages: Averages | None

    @classmethod
    def of(cls, data: StudyData, options: Options) -> "_Contrasts":
        scores = collect(data, options)
        cells = Cells.of(data.study, scores)
        crosses = CROSSED.intersection(data.study.designs) and len(data.study.toggles) > 2
        averaged = averages(data.study, cells, ci=options.ci) if crosses else None
        return cls(
            scores,
            cell_effects(data.study, cells, ci=options.ci)
            + (averaged.effects if averaged else ()),
            cell_interactions(data.study, cells, ci=options.ci)
            + (averaged.interactions if averaged else ()),
            averaged,
        )

    def means(self) -> list[Estimate]:
        """Returns the estimates on the mean over games."""
        found: list[Effect | Interaction] = [*self.effects, *self.interactions]
        return [one.estimate for one in found if one.scope == MEAN]

    def caption(self, data: StudyData, options: Options) -> str:
        """States what all figures of contrasts rest on."""
        interval = captions.interval_words(self.means(), options)
        detectable = captions.detectable(
            [one.estimate for one in self.effects if one.scope == MEAN],
            [one.estimate for one in self.interactions if one.scope == MEAN],
        )
        uncertain = f"Intervals: {interval}."
        if any(math.isfinite(one.estimate.low) for one in self.interactions):
            uncertain = (
                f"Intervals: {interval}; the simultaneous (max-|t|) interval and Holm's "
                "adjustment hold over all pairs on the mean, and over all pairs of a game."
            )
        parts = (captions.basis(data, self.scores), captions.left_out(self.scores), uncertain)
        return " ".join(part for part in (*parts, detectable) if part)

    def numbers(self) -> pd.DataFrame:
        """Returns one row per contrast and scope: the games and their mean."""
        pairs = interactions_frame(self.interactions)
        pairs["effect"] = "interaction"
        rows = [
            *effects_frame(self.effects).to_dict("records"),
            *pairs.to_dict("records"),
        ]
        return pd.DataFrame(rows)


def draw_effects(data: StudyData, options: Options) -> Drawn:
    """Draws the forest plot of a study.

    Raises:
        StatisticsError: if the runs do not allow it.
    """
    found = _Contrasts.of(data, options)
    sections = [
        Section("Added to the base: A = f(base+toggle) − f(base)",
                _effect_rows(found.effects, ADD_ONE_IN)),
        Section("Left out of the full agent: L = f(full) − f(full without toggle)",
                _effect_rows(found.effects, LEAVE_ONE_OUT)),
        Section("Averaged over everything else that is crossed",
                _effect_rows(found.effects, AVERAGED)),
        *_interaction_sections(found.interactions),
    ]  # fmt: skip
    if not any(section.rows for section in sections):
        raise StatisticsError(_nothing_to_show(data, found))
    interval = captions.interval_words(found.means(), options)
    has_interval = any(math.isfinite(one.low) for one in found.means())
    with style.house_style():
        figure = forest.draw(
            sections,
            games=found.scores.games,
            unit=UNIT,
            interval=interval if has_interval else "",
            note=captions.foot(found.scores, interval, captions.visible(found.scores)),
        )
    caption = (
        "Effects of the toggles and interactions of their pairs, largest first. Circles: mean of "
        "the games, one value per seed; small marks: each game alone. A positive effect helps; "
        "a positive interaction means that two toggles give more together than their effects "
        f"add up to. {found.caption(data, options)}"
    )
    return Drawn(
        f"{data.study.name}_effects", "Effects and interactions", caption, figure, found.numbers()
    )


def draw_interference(data: StudyData, options: Options) -> Drawn:
    """Draws the interference map of a study.

    Raises:
        StatisticsError: if the runs do not allow it.
    """
    found = _Contrasts.of(data, options)
    names = [item.name for item in items(data.study)]
    if not names:
        raise StatisticsError(
            f"Study {data.study.name!r} has no toggle: there is nothing that could interfere."
        )
    same_toggle = frozenset(
        (a.name, b.name)
        for a, b in itertools.combinations(items(data.study), 2)
        if a.toggle == b.toggle
    ) | {
        (one.first, one.second)
        for one in found.interactions
        if one.background == BASE and one.estimate.note.startswith(NOT_DEFINED)
    }
    scopes = (MEAN, *found.scores.games) if len(found.scores.games) > 1 else found.scores.games
    panels = [_panel(found, scope, same_toggle) for scope in scopes]
    if all(tile.estimate is None for panel in panels for tile in panel.tiles()):
        raise StatisticsError(_nothing_to_show(data, found))
    interval = captions.interval_words(found.means(), options)
    has_interval = any(tile.half_width is not None for p in panels for tile in p.tiles())
    with style.house_style():
        figure = interference_map.draw(
            panels,
            names,
            unit=UNIT,
            interval=interval if has_interval else "",
            note=captions.foot(found.scores, interval, captions.visible(found.scores)),
        )
    caption = (
        "What each toggle does (diagonal: A added to the base, L within the full agent) and how "
        "pairs interact (below the diagonal: added to the base; above: within the full agent). "
        "Blue: a toggle that helps, or a pair that gives more than the sum of its effects; red: "
        "the opposite. All panels share one colour scale, on which 0 is white."
    )
    if len(data.study.toggles) == 2:
        caption += " With two toggles both interactions are the same four arms."
    caption += f" {found.caption(data, options)}"
    return Drawn(
        f"{data.study.name}_interference", "Interference map", caption, figure, found.numbers()
    )


def _nothing_to_show(data: StudyData, found: _Contrasts) -> str:
    """Names the arms that no effect can do without, or what they wait for."""
    if found.averages is not None:
        return (
            f"Study {data.study.name!r} has no effect at the base or in the full agent to show on "
            f"a map, because its design {found.averages.crossing.design} crosses the toggles "
            "instead: the figure 'effects' and the tables show what they do on average."
        )
    if not found.effects:
        return f"Study {data.study.name!r} has no toggle, so no effect to show."
    reasons = []
    for kind, words in (
        (ADD_ONE_IN, "Effects added to the base (designs base and add_one_in)"),
        (LEAVE_ONE_OUT, "Effects within the full agent (designs full and leave_one_out)"),
    ):
        notes = [o.estimate.note for o in found.effects if o.kind == kind and o.scope == MEAN]
        outside = [note.removeprefix(f"{NOT_IN_STUDY}: ").split(", ") for note in notes
                   if note.startswith(NOT_IN_STUDY)]  # fmt: skip
        if outside:
            lacked = dict.fromkeys(itertools.chain.from_iterable(outside))
            reasons.append(f"{words} lack the arms {', '.join(lacked)}.")
        reasons += dict.fromkeys(
            f"{words}: {note}." for note in notes if not note.startswith(NOT_IN_STUDY)
        )
    return (
        f"Study {data.study.name!r} has no effect to show, because an effect needs both the arm "
        f"with the toggle and the arm without it; its arms are {', '.join(found.scores.arms)}. "
        f"{' '.join(reasons)}"
    )


def _effect_rows(found: Iterable[Effect], kind: str) -> list[Row]:
    mine = [one for one in found if one.kind == kind]
    return [
        _row(one.name, one.estimate, [other for other in mine if other.name == one.name])
        for one in mine
        if one.scope == MEAN and not one.estimate.note.startswith((NOT_IN_STUDY, NOT_DEFINED))
    ]


def _interaction_sections(found: Sequence[Interaction]) -> list[Section]:
    """Makes one section per background, or one alone where both are the same arms."""
    by_background = {
        background: [one for one in found if one.background == background]
        for background in (BASE, FULL, AVERAGED)
    }
    same = [one.arms for one in by_background[BASE]] == [one.arms for one in by_background[FULL]]
    titles = {
        BASE: "Interactions at the base: I = f(base+i+j) − f(base+i) − f(base+j) + f(base)",
        FULL: "Interactions within the full agent: the same pair taken out of it",
        AVERAGED: "Interactions averaged over everything else that is crossed",
    }
    if same:
        titles = {BASE: "Interaction: I = f(full) − f(base+i) − f(base+j) + f(base)"}
    return [
        Section(title, _interaction_rows(by_background[background]))
        for background, title in titles.items()
    ]


def _interaction_rows(found: Sequence[Interaction]) -> list[Row]:
    return [
        _row(
            f"{one.first} × {one.second}",
            one.estimate,
            [o for o in found if (o.first, o.second) == (one.first, one.second)],
            simultaneous=(one.simultaneous_low, one.simultaneous_high),
            label=one.label,
        )
        for one in found
        if one.scope == MEAN and not one.estimate.note.startswith((NOT_IN_STUDY, NOT_DEFINED))
    ]


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


def _panel(found: _Contrasts, scope: str, undefined: frozenset[tuple[str, str]]) -> Panel:
    count = len(found.scores.matrices().games)
    mine = [one for one in found.effects if one.scope == scope]
    pairs = [one for one in found.interactions if one.scope == scope]
    return Panel(
        title=f"Mean of {counted(count, 'game')}" if scope == MEAN else scope,
        added={one.name: _effect_tile(one) for one in mine if one.kind == ADD_ONE_IN},
        left_out={one.name: _effect_tile(one) for one in mine if one.kind == LEAVE_ONE_OUT},
        at_base={(p.first, p.second): _pair_tile(p) for p in pairs if p.background == BASE},
        at_full={(p.first, p.second): _pair_tile(p) for p in pairs if p.background == FULL},
        undefined=undefined,
    )


def _effect_tile(effect: Effect) -> Tile:
    return tile_of(effect.estimate, floor=bool(effect.floor))


def _pair_tile(pair: Interaction) -> Tile:
    return tile_of(
        pair.estimate,
        floor=bool(pair.floor),
        significant=pair.significant,
        crossover=bool(pair.crossover),
    )


def tile_of(
    estimate: Estimate, *, floor: bool, significant: bool = False, crossover: bool = False
) -> Tile:
    """Turns an estimate into a tile; NaN becomes a missing one.

    What is significant is never "cannot tell", even where the seeds would mostly have missed it.
    """
    if not math.isfinite(estimate.value):
        return Tile(None)
    return Tile(
        estimate=estimate.value,
        half_width=(estimate.high - estimate.low) / 2 if math.isfinite(estimate.low) else None,
        significant=significant,
        excludes_zero=estimate.low > 0 or estimate.high < 0,
        cannot_tell=abs(estimate.value) < estimate.mde and not significant,
        crossover=crossover,
        floor_limited=floor,
    )
