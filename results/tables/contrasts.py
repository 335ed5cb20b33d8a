"""Tables of what each toggle does, and of how the toggles depend on each other."""

from collections import Counter

from results.statistics.cells import FLOOR, MEAN
from results.statistics.contrasts import (
    ADD_ONE_IN,
    BASE,
    LEAVE_ONE_OUT,
    Effect,
    Interaction,
    effects,
    effects_frame,
    interactions,
    interactions_frame,
)
from results.statistics.errors import StatisticsError
from results.statistics.intervals import ONE_SEED, Estimate
from results.statistics.options import Options
from results.statistics.scores import Scores, collect
from results.statistics.study_data import StudyData
from results.tables import captions
from results.tables.table import NOTHING, Entry, Layout, Table, number, plus_minus, with_ends

DIGITS = 3


def effects_table(data: StudyData, options: Options) -> Table:
    """Add-one-in and leave-one-out effects, first on the mean over games, then per game.

    Raises:
        StatisticsError: if the study has no toggle.
    """
    scores = collect(data, options)
    found = effects(data.study, scores, ci=options.ci)
    if not found:
        raise StatisticsError(f"Study {data.study.name!r} has no toggle, so no effect to show.")
    added = [one for one in found if one.kind == ADD_ONE_IN]
    left_out = {(one.scope, one.name): one for one in found if one.kind == LEAVE_ONE_OUT}
    rows = [_effect_row(one, left_out[one.scope, one.name]) for one in added]
    return Table(
        kind="effects",
        title=f"Effects of the toggles: {data.study.name}",
        caption=captions.paragraph(
            _caption(data, scores, options),
            "Add-one-in: the toggle added to the base. Leave-one-out: the full agent minus the "
            "agent without it. Positive: it helps.",
            "Intervals are for one effect at a time.",
        ),
        frame=effects_frame(found),
        layout=Layout(
            (
                "score",
                "toggle",
                "add-one-in",
                "detectable",
                "leave-one-out",
                "detectable",
                "notes",
            ),
            tuple(rows),
            labels=2,
            blocks=_blocks([one.scope for one in added]),
        ),
    )


def interactions_table(data: StudyData, options: Options) -> Table:
    """Interactions of every pair of toggles, first on the mean over games, then per game.

    Raises:
        StatisticsError: if the study has fewer than two toggles.
    """
    scores = collect(data, options)
    found = interactions(data.study, scores, ci=options.ci)
    if not found:
        raise StatisticsError(
            f"Study {data.study.name!r} has fewer than two toggles, so no interaction to show."
        )
    times = Counter(_contrast(one) for one in found)  # two toggles: both backgrounds are one
    shown = [one for one in found if one.background == BASE or times[_contrast(one)] == 1]
    rows = [_interaction_row(one, same=times[_contrast(one)] > 1) for one in shown]
    family = max(one.family for one in found if one.scope == MEAN)
    return Table(
        kind="interactions",
        title=f"Interactions of the toggles: {data.study.name}",
        caption=captions.paragraph(
            _caption(data, scores, options),
            "Interaction: what both toggles do together beyond the sum of what each does alone, "
            "with nothing else on (base) or everything else on (full).",
            f"Simultaneous intervals (Bonferroni) and p-values (Holm) are over the {family} "
            f"interactions of the mean over games; games are secondary, each its own family."
            if family > 1
            else "",
            "A label needs the simultaneous interval to exclude 0.",
        ),
        frame=interactions_frame(found),
        layout=Layout(
            (
                "score",
                "pair",
                "on top of",
                "interaction",
                "simultaneous",
                "p (Holm)",
                "detectable",
                "label",
                "notes",
            ),
            tuple(rows),
            labels=3,
            blocks=_blocks([one.scope for one in shown]),
        ),
    )


def _caption(data: StudyData, scores: Scores, options: Options) -> str:
    most = scores.runs_per_cell()[1]
    sure = (
        f"± is the half-width of the {captions.percent(options.ci)} t-interval with the variance "
        "pooled over the cells involved; detectable is the true effect that this many seeds "
        "find with 80% power."
        if most > 1
        else f"{ONE_SEED.capitalize()}."
    )
    return captions.paragraph(
        captions.compared(data, scores, options),
        captions.normalised(scores),
        f"The mean of games is one value per seed, over {', '.join(scores.matrices().games)}.",
        sure,
        captions.restricted(scores.matrices()),
        f"Floor: games on which a cell's mean is at most {FLOOR} on that scale; a "
        "floor can hide an effect and feign an interaction.",
    )


def _effect_row(added: Effect, left_out: Effect) -> tuple[Entry, ...]:
    notes = [
        f"{what}: {one.estimate.note}"
        for what, one in (("add", added), ("leave", left_out))
        if one.estimate.note
    ]
    if added.estimate.note == left_out.estimate.note:
        notes = [added.estimate.note] if added.estimate.note else []
    uneven = _uneven_note(added.estimate) or _uneven_note(left_out.estimate)
    floor = sorted({*added.floor, *left_out.floor})
    return tuple(
        Entry(text)
        for text in (
            added.scope,
            added.name,
            plus_minus(added.estimate, DIGITS),
            number(added.estimate.mde, DIGITS),
            plus_minus(left_out.estimate, DIGITS),
            number(left_out.estimate.mde, DIGITS),
            "; ".join([*notes, *uneven, *_floor_note(tuple(floor))]),
        )
    )


def _interaction_row(one: Interaction, *, same: bool) -> tuple[Entry, ...]:
    crossover = [f"crossover: {' and '.join(one.crossover)}"] if one.crossover else []
    notes = [one.estimate.note] if one.estimate.note else []
    notes += _uneven_note(one.estimate)
    ends = with_ends(one.estimate.value, one.simultaneous_low, one.simultaneous_high, DIGITS)
    return tuple(
        Entry(text)
        for text in (
            one.scope,
            f"{one.first} × {one.second}",
            "base = full" if same else one.background,
            plus_minus(one.estimate, DIGITS),
            ends.partition(" ")[2] or NOTHING,
            number(one.p_holm, DIGITS),
            number(one.estimate.mde, DIGITS),
            one.label or NOTHING,
            "; ".join([*notes, *crossover, *_floor_note(one.floor)]),
        )
    )


def _contrast(one: Interaction) -> tuple[str, str, str, str]:
    return one.scope, one.first, one.second, one.arms


def _uneven_note(one: Estimate) -> list[str]:
    return [f"{one.fewest} to {one.most} runs per cell"] if one.fewest != one.most else []


def _floor_note(games: tuple[str, ...]) -> list[str]:
    return [f"floor: {', '.join(games)}"] if games else []


def _blocks(scopes: list[str]) -> tuple[int, ...]:
    return tuple(index for index in range(1, len(scopes)) if scopes[index] != scopes[index - 1])
