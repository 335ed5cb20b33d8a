"""Tables of what each toggle does, and of how the toggles depend on each other."""

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import pandas as pd

from results.statistics.cells import MEAN, NOT_IN_STUDY
from results.statistics.compared import BASE
from results.statistics.contrasts import ADD_ONE_IN, LEAVE_ONE_OUT, Effect, Interaction
from results.statistics.errors import StatisticsError
from results.statistics.findings import (
    Check,
    Findings,
    excludes,
    findings_at_equal_updates,
    study_findings,
)
from results.statistics.intervals import Estimate
from results.statistics.moebius import Term
from results.statistics.ols import AVERAGED
from results.statistics.options import Options
from results.statistics.shapley import SHAPLEY
from results.statistics.study_data import StudyData
from results.tables import captions, contrast_words
from results.tables.contrast_words import MOST_TERMS
from results.tables.table import NOTHING, Entry, Layout, Table, number, plus_minus, with_ends

Contrast = TypeVar("Contrast", Effect, Interaction)

DIGITS = 3
AT_EQUAL_UPDATES = "mean at equal updates"
KINDS = {  # of effects: their column, and how notes call them
    ADD_ONE_IN: ("add-one-in", "add"),
    LEAVE_ONE_OUT: ("leave-one-out", "leave"),
    AVERAGED: ("averaged", "averaged"),
    SHAPLEY: ("Shapley", "Shapley"),
}


def effects_table(data: StudyData, options: Options) -> Table:
    """What each toggle does: added, left out, averaged, shared out; on the mean, then per game.

    Raises:
        StatisticsError: if the study has no toggle.
    """
    found = study_findings(data, options)
    scores = found.scores
    if not found.effects:
        raise StatisticsError(f"Study {data.study.name!r} has no toggle, so no effect to show.")
    equal, there = findings_at_equal_updates(data, options) or (None, None)
    versions = [(found, found.effects)]
    numbers = [found.effect_numbers]
    if there is not None:
        versions.append((there, _at_equal_updates(there.effects)))
        numbers.append(_rows_at_equal_updates(there.effect_numbers))
    kinds = _shown_kinds(found.effects, toggles=len(data.study.toggles))
    pairs = found.pairing.helps(2, ci=options.ci)
    rows = [
        (next(iter(row.values())).scope, _effect_row(of, row, kinds, pairs=pairs))
        for of, effects in versions
        for row in _by_item(effects, kinds)
    ]
    rows = _arranged(rows, scores.games)
    return Table(
        kind="effects",
        title=f"Effects of the toggles: {data.study.name}",
        caption=captions.paragraph(
            contrast_words.about_all(data, scores, options),
            contrast_words.about_kinds(kinds, found),
            contrast_words.about_equal_updates(equal),
            contrast_words.about_pairing(found, 2, options),
            contrast_words.about_bootstrap(scores, options),
            "Intervals are for one effect at a time.",
        ),
        frame=pd.concat(numbers, ignore_index=True),
        layout=Layout(
            ("score", "toggle", *_effect_columns(kinds, pairs=pairs), "notes"),
            tuple(row for _, row in rows),
            labels=2,
            blocks=_blocks([scope for scope, _ in rows]),
        ),
    )


def interactions_table(data: StudyData, options: Options) -> Table:
    """Interactions of every pair of toggles, first on the mean over games, then per game.

    Raises:
        StatisticsError: if the study has fewer than two toggles.
    """
    found = study_findings(data, options)
    scores = found.scores
    if not any(one.background == BASE for one in found.interactions):
        raise StatisticsError(
            f"Study {data.study.name!r} has fewer than two toggles, so no interaction to show."
        )
    equal, there = findings_at_equal_updates(data, options) or (None, None)
    versions = [(found, found.interactions)]
    numbers = [found.interaction_numbers]
    if there is not None:
        versions.append((there, _at_equal_updates(there.interactions)))
        numbers.append(_rows_at_equal_updates(there.interaction_numbers))
    pairs = found.pairing.helps(4, ci=options.ci)
    rows = [
        (one.scope, _interaction_row(of, one, same=same, pairs=pairs))
        for of, interactions in versions
        for one, same in _shown_interactions(interactions, toggles=len(data.study.toggles))
    ]
    rows += [(one.scope, _term_row(one, pairs=pairs)) for one in _shown_terms(found.terms)]
    rows = _arranged(rows, scores.games)
    return Table(
        kind="interactions",
        title=f"Interactions of the toggles: {data.study.name}",
        caption=captions.paragraph(
            contrast_words.about_all(data, scores, options),
            "Interaction: what both toggles do together beyond the sum of what each does alone, "
            "with nothing else on (base) or everything else on (full).",
            contrast_words.about_averages(found) if len(data.study.toggles) > 2 else "",
            contrast_words.about_families(found),
            "A label needs the simultaneous interval to exclude 0.",
            contrast_words.about_terms(found.terms),
            "Sign turns: the interaction has the opposite sign on that scale of the returns "
            "(log, rank, logit), so it is a matter of the scale; shown where the interval "
            "excludes 0.",
            contrast_words.about_calibration(found, options),
            contrast_words.about_equal_updates(equal),
            contrast_words.about_pairing(found, 4, options),
            contrast_words.about_bootstrap(scores, options),
        ),
        frame=pd.concat(numbers, ignore_index=True),
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
                *(("paired",) if pairs else ()),
                "notes",
            ),
            tuple(row for _, row in rows),
            labels=3,
            blocks=_blocks([scope for scope, _ in rows]),
        ),
    )


def _arranged(
    rows: Sequence[tuple[str, tuple[Entry, ...]]], games: Sequence[str]
) -> list[tuple[str, tuple[Entry, ...]]]:
    """The rows by their scope: the mean of games, at equal updates, then each game.

    Of one game the mean is that game, and is shown once, under its name.
    """
    order = [MEAN, AT_EQUAL_UPDATES, *games]
    if len(games) == 1:
        order = [*games, AT_EQUAL_UPDATES]
    return sorted((row for row in rows if row[0] in order), key=lambda row: order.index(row[0]))


def _at_equal_updates(contrasts: Sequence[Contrast]) -> tuple[Contrast, ...]:
    """Those on the mean of games, under the name of their rows."""
    return tuple(
        dataclasses.replace(one, scope=AT_EQUAL_UPDATES) for one in contrasts if one.scope == MEAN
    )


def _rows_at_equal_updates(numbers: pd.DataFrame) -> pd.DataFrame:
    return numbers[numbers["scope"] == MEAN].assign(scope=AT_EQUAL_UPDATES)


def _shown_kinds(effects: Sequence[Effect], *, toggles: int) -> tuple[str, ...]:
    """The kinds that the study can say anything of; with two toggles Shapley is the average."""
    possible = {one.kind for one in effects if not one.estimate.note.startswith(NOT_IN_STUDY)} - (
        {SHAPLEY} if toggles < 3 else set()
    )
    if toggles < 2:
        possible -= {AVERAGED}
    wanted = possible or {ADD_ONE_IN, LEAVE_ONE_OUT}
    return tuple(kind for kind in KINDS if kind in wanted)


def _by_item(effects: Sequence[Effect], kinds: Sequence[str]) -> Iterator[dict[str, Effect]]:
    """By kind, the effects of each item in each scope; a level can be without some."""
    rows: dict[tuple[str, str], dict[str, Effect]] = {}
    for one in effects:
        rows.setdefault((one.scope, one.name), {})[one.kind] = one
    for row in rows.values():
        yield {kind: row[kind] for kind in kinds if kind in row}


def _effect_columns(kinds: Sequence[str], *, pairs: bool) -> Iterator[str]:
    for kind in kinds:
        yield KINDS[kind][0]
        if kind != SHAPLEY:
            yield "detectable"
    if pairs:
        yield from (f"{KINDS[kind][0]}, paired" for kind in _paired_kinds(kinds))


def _paired_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    return tuple(kind for kind in kinds if kind in (ADD_ONE_IN, LEAVE_ONE_OUT))


def _effect_row(
    found: Findings, row: Mapping[str, Effect], kinds: Sequence[str], *, pairs: bool
) -> tuple[Entry, ...]:
    any_one = next(iter(row.values()))
    texts = [any_one.scope, any_one.name]
    for kind in kinds:
        estimate = row[kind].estimate if kind in row else None
        texts.append(plus_minus(estimate, DIGITS) if estimate else NOTHING)
        if kind != SHAPLEY:
            texts.append(number(estimate.mde, DIGITS) if estimate else NOTHING)
    if pairs:
        texts += [_paired(found, row[kind]) for kind in _paired_kinds(kinds)]
    return tuple(Entry(text) for text in (*texts, "; ".join(_effect_notes(found, row))))


def _effect_notes(found: Findings, row: Mapping[str, Effect]) -> Iterator[str]:
    reasons = {KINDS[kind][1]: one.estimate.note for kind, one in row.items() if one.estimate.note}
    if len(reasons) == len(row) and len(set(reasons.values())) == 1:
        yield next(iter(reasons.values()))
    else:
        yield from (f"{kind}: {reason}" for kind, reason in reasons.items())
    uneven = [note for one in row.values() for note in _uneven_note(one.estimate)]
    yield from uneven[:1]
    for kind, one in row.items():
        if _check(found, one).disagrees(one.estimate):
            yield f"{KINDS[kind][1]}: {_bootstrap_note(one.estimate)}"
    yield from _games_note(found, next(iter(row.values())))
    by_cell = [one for kind, one in row.items() if kind in (ADD_ONE_IN, LEAVE_ONE_OUT)]
    yield from _bound_notes(
        sorted({game for one in by_cell for game in one.floor}),
        sorted({game for one in by_cell for game in one.ceiling}),
    )


def _shown_interactions(
    interactions: Sequence[Interaction], *, toggles: int
) -> Iterator[tuple[Interaction, bool]]:
    """What is shown, and whether base and full are one contrast there.

    With two toggles all three backgrounds are the same four cells. Where only the averaged ones
    are in the study, the rows of the others would say nothing.
    """
    times = Counter(_contrast(one) for one in interactions)
    averaged = any(_is_averaged(one) for one in interactions) and toggles > 2
    in_study = {
        one.background
        for one in interactions
        if not one.estimate.note.startswith(NOT_IN_STUDY) or not averaged
    } - (set() if averaged else {AVERAGED})
    pairs: dict[tuple[str, str, str], list[Interaction]] = {}
    for one in interactions:
        pairs.setdefault((one.scope, one.first, one.second), []).append(one)
    for one in itertools.chain.from_iterable(pairs.values()):
        same = times[_contrast(one)] > 1
        if one.background in in_study and (one.background == BASE or not same):
            yield one, same


def _interaction_row(
    found: Findings, one: Interaction, *, same: bool, pairs: bool
) -> tuple[Entry, ...]:
    ends = with_ends(one.estimate.value, one.simultaneous_low, one.simultaneous_high, DIGITS)
    texts = [
        one.scope,
        f"{one.first} × {one.second}",
        "base = full" if same else one.background,
        plus_minus(one.estimate, DIGITS),
        ends.partition(" ")[2] or NOTHING,
        number(one.p_holm, DIGITS),
        number(one.estimate.mde, DIGITS),
        one.label or NOTHING,
    ]
    if pairs:
        texts.append(NOTHING if _is_averaged(one) else _paired(found, one))
    return tuple(Entry(text) for text in (*texts, "; ".join(_interaction_notes(found, one))))


def _interaction_notes(found: Findings, one: Interaction) -> Iterator[str]:
    if one.estimate.note:
        yield one.estimate.note
    yield from _uneven_note(one.estimate)
    yield from _games_note(found, one)
    if _check(found, one).disagrees(one.estimate):
        yield _bootstrap_note(one.estimate)
    if not math.isnan(one.estimate.value):
        for name, alone in ((one.first, one.first_alone), (one.second, one.second_alone)):
            if math.isnan(alone.value):
                yield f"no word without what {name} does alone ({alone.note})"
    if one.crossover:
        yield f"crossover: {' and '.join(one.crossover)}"
    turned = found.signs(one.weights, _scope(one)).turned
    if turned and excludes(one.estimate.low, one.estimate.high):
        yield f"sign turns on {', '.join(turned)}"
    if not _is_averaged(one):
        yield from _bound_notes(one.floor, one.ceiling)


def _shown_terms(terms: Sequence[Term]) -> list[Term]:
    """The higher terms that are clearest of 0 on the mean of games, in the order of the study.

    Those of one game alone are shown where it is the only one.
    """
    games = {one.scope for one in terms if one.scope != MEAN}
    shown = [one for one in terms if len(games) == 1 or one.scope == MEAN]
    mean = [one for one in shown if one.scope == MEAN]
    clearest = sorted(mean, key=lambda one: (math.isnan(one.estimate.p), one.estimate.p))
    kept = {one.names for one in clearest[:MOST_TERMS]}
    return [one for one in shown if one.names in kept]


def _term_row(one: Term, *, pairs: bool) -> tuple[Entry, ...]:
    texts = [
        one.scope,
        " × ".join(one.names),
        BASE,
        plus_minus(one.estimate, DIGITS),
        NOTHING,
        NOTHING,
        number(one.estimate.mde, DIGITS),
        NOTHING,
    ]
    if pairs:
        texts.append(NOTHING)
    notes = [one.estimate.note] if one.estimate.note else []
    notes += [*_uneven_note(one.estimate), *_bound_notes(one.floor, one.ceiling)]
    return tuple(Entry(text) for text in (*texts, "; ".join(notes)))


def _scope(one: Effect | Interaction) -> str:
    """The name that the scope of a row has among the cells."""
    return MEAN if one.scope == AT_EQUAL_UPDATES else one.scope


def _check(found: Findings, one: Effect | Interaction) -> Check:
    return found.check(one.weights, _scope(one))


def _paired(found: Findings, one: Effect | Interaction) -> str:
    return plus_minus(_check(found, one).paired, DIGITS)


def _is_averaged(one: Interaction) -> bool:
    return one.background == AVERAGED


def _contrast(one: Interaction) -> tuple[str, str, str, str]:
    return one.scope, one.first, one.second, one.arms


def _bootstrap_note(estimate: Estimate) -> str:
    verb = "includes" if excludes(estimate.low, estimate.high) else "excludes"
    return f"the bootstrap {verb} 0"


def _games_note(found: Findings, one: Effect | Interaction) -> list[str]:
    """Which games a mean at equal updates is over, where a game has no runs near enough."""
    cells = found.cells
    games = tuple(scope for scope in cells.scopes if scope != MEAN)
    if one.scope != AT_EQUAL_UPDATES or cells.compared_games == games:
        return []
    return [f"over {', '.join(cells.compared_games)} only"]


def _uneven_note(one: Estimate) -> list[str]:
    return [f"{one.fewest} to {one.most} runs per cell"] if one.fewest != one.most else []


def _bound_notes(floor: Sequence[str], ceiling: Sequence[str]) -> list[str]:
    named = (("floor", floor), ("ceiling", ceiling))
    return [f"{bound}: {', '.join(games)}" for bound, games in named if games]


def _blocks(scopes: Sequence[str]) -> tuple[int, ...]:
    return tuple(index for index in range(1, len(scopes)) if scopes[index] != scopes[index - 1])
