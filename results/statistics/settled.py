"""Which questions of a study its runs have answered: when to stop adding seeds.

A question is an effect of a toggle on the mean of all games, added in or left out, whose two arms
the study has. Two rules answer it:

    width    its t-interval is narrower than a target (fixed-width estimation). The rule looks at
             the spread between seeds only, not at the effect; still the interval is computed as
             if the number of seeds had been fixed, so that its coverage is approximate: stopping
             where the spread happens to look small makes it cover somewhat less than it says.
    claims   the group-sequential permutation test (`sequential`) says that the arms differ, at a
             level that all questions share and claims set free (`step_down`). This one may be
             claimed.

A question that no rule answers is open until the study has no more seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from results.database.records import StudyRecord
from results.statistics.cells import MEAN, Cells
from results.statistics.collecting import collect
from results.statistics.contrasts import Effect, cell_effects, effect_cells
from results.statistics.errors import IncompleteStudy, StatisticsError, UnknownName, nearest
from results.statistics.options import Options
from results.statistics.sequential import Look, batches_of, can_reject, nested_looks
from results.statistics.step_down import claimed, levels
from results.statistics.study_data import StudyData

NOT_EVERY_GAME = "not every game has a run of every arm yet"

FEWEST = 3
"""Seeds per batch, at least: two have hardly a spread, and the test could not reject."""


@dataclass(frozen=True)
class Rule:
    """When a question counts as answered.

    Attributes:
        width: The t-interval, end to end, must be narrower than this, in human-normalised score;
            None asks the permutation test.
        effects: Toggles (with their level, where they have several) whose effects are asked
            for; empty asks for all.
        batch: Seeds per look.
        ci: Level of the intervals; 1 − ci is the joint level of the tests.
    """

    width: float | None
    effects: tuple[str, ...] = ()
    batch: int = 5
    ci: float = 0.95

    def __post_init__(self) -> None:
        if self.width is not None and not (math.isfinite(self.width) and self.width > 0):
            raise ValueError(f"a width is a positive number, not {self.width}")
        if self.batch < FEWEST:
            raise ValueError(f"a batch has at least {FEWEST} seeds, not {self.batch}")
        if not 0 < self.ci < 1:
            raise ValueError(f"ci lies between 0 and 1, not {self.ci}")


@dataclass(frozen=True)
class Verdict:
    """What is known of one question.

    Attributes:
        name: The toggle.
        kind: Added in, or left out.
        arms: The names of the arm without and the arm with it.
        settled: Whether the rule counts it as answered.
        why: One phrase with the numbers.
    """

    name: str
    kind: str
    arms: tuple[str, str]
    settled: bool
    why: str


def verdicts(study: StudyRecord, data: StudyData | None, rule: Rule) -> tuple[Verdict, ...]:
    """What a rule makes of the questions of a study.

    Args:
        study: The study; its seeds are the most that may be run.
        data: What is recorded of it; None where nothing is.
        rule: The rule, chosen before the first look and kept.

    Raises:
        StatisticsError: If the study has no such question, too few seeds for one batch or for
            any claim, or its games have no normalised score.
    """
    if len(study.seeds) < rule.batch:
        raise StatisticsError(
            f"Study {study.name} has {len(study.seeds)} seeds, fewer than one look needs "
            f"({rule.batch}). The seeds of the study file are the maximum: write more there, or "
            "look after fewer with --batch."
        )
    cells, found = _effects(study, data, rule)
    asked = _asked(study, rule)
    if rule.width is None:
        return _claims(study, asked, cells, rule)
    by_question = {(effect.kind, effect.name): effect for effect in found}
    return tuple(
        _verdict(question, *_narrow(by_question.get(question[:2]), rule.width, rule))
        for question in asked
    )


Question = tuple[str, str, str, str]  # kind, name, arm without, arm with


def questions(study: StudyRecord) -> tuple[Question, ...]:
    """The questions whose arms a study has: each pair of arms once."""
    arms = {frozenset(arm.toggles.items()): arm.name for arm in study.arms}
    every: dict[tuple[str, str], Question] = {}
    for kind, name, without, with_it in effect_cells(study):
        if without in arms and with_it in arms:
            pair = (arms[without], arms[with_it])
            every.setdefault(pair, (kind, name, *pair))
    return tuple(every.values())


def _asked(study: StudyRecord, rule: Rule) -> tuple[Question, ...]:
    """The questions that a rule asks."""
    every = questions(study)
    if not every:
        raise StatisticsError(
            f"Study {study.name} has no two arms that differ by one toggle, so there is no effect "
            "to settle. Its designs need base and add_one_in, or full and leave_one_out, at least."
        )
    known = tuple(dict.fromkeys(name for _, name, _, _ in every))
    for name in rule.effects:
        if name not in known:
            raise UnknownName(f"The study has no effect {name!r}: {nearest(name, known)}")
    return tuple(one for one in every if not rule.effects or one[1] in rule.effects)


def _effects(
    study: StudyRecord, data: StudyData | None, rule: Rule
) -> tuple[Cells | None, tuple[Effect, ...]]:
    """The cells and their effects on the mean of all games; nothing before every game has runs."""
    if data is None:
        return None, ()
    try:
        cells = Cells.of(study, collect(data, Options(partial=True, ci=rule.ci)))
    except IncompleteStudy:
        return None, ()
    if set(cells.compared_games) != set(study.games):
        return None, ()
    found = cell_effects(study, cells, ci=rule.ci)
    return cells, tuple(effect for effect in found if effect.scope == MEAN)


def _verdict(question: Question, settled: bool, why: str) -> Verdict:
    kind, name, without, with_it = question
    return Verdict(name, kind, (without, with_it), settled, why)


def _narrow(effect: Effect | None, width: float, rule: Rule) -> tuple[bool, str]:
    if effect is None:
        return False, NOT_EVERY_GAME
    estimate = effect.estimate
    if math.isnan(estimate.low):
        return False, estimate.note
    seen = estimate.high - estimate.low
    enough = estimate.fewest >= rule.batch
    told = f"{estimate.value:+.2f}, interval {seen:.2f} wide at {estimate.fewest} seeds"
    return enough and seen < width, told


def _claims(
    study: StudyRecord, asked: Sequence[Question], cells: Cells | None, rule: Rule
) -> tuple[Verdict, ...]:
    """What the permutation tests of all questions, taken together, may claim."""
    alphas = levels(len(asked), 1 - rule.ci)
    planned = len(study.seeds) // rule.batch
    if not can_reject(rule.batch, planned, alphas[0]):
        raise StatisticsError(
            f"No scores could ever settle a claim of study {study.name}: {planned} looks after "
            f"{rule.batch} seeds each are too few for {len(asked)} effects at a joint level of "
            f"{1 - rule.ci:.2g}. Write more seeds into the study file, look after more (--batch), "
            "or name the effects that matter with --effect."
        )
    if cells is None:
        return tuple(_verdict(question, False, NOT_EVERY_GAME) for question in asked)
    tested = {one: sequential_looks(study, cells, one[2:], rule, alphas) for one in asked}
    settled = claimed(
        {one: [bool(own) and own[-1].rejected for own in found] for one, found in tested.items()}
    )
    shared = len(asked) - len(settled)  # the level is, by those that are open
    return tuple(
        _verdict(one, one in settled, _claim(tested[one], one in settled, shared, rule))
        for one in asked
    )


def _claim(found: Sequence[tuple[Look, ...]], settled: bool, shared: int, rule: Rule) -> str:
    """The numbers behind a claim, or behind there being none, at the level in force."""
    if not found[0]:
        return f"fewer than {rule.batch} seeds have every game"
    if settled:
        one = next(look for own in found for look in own if look.rejected)
        return (
            f"{one.difference:+.2f} at {one.seeds} seeds, beyond the boundary {one.boundary:.2f}"
        )
    one = found[-shared][-1]
    return f"{one.difference:+.2f} at {one.seeds} seeds, within the boundary {one.boundary:.2f}"


def sequential_looks(
    study: StudyRecord, cells: Cells, arms: Sequence[str], rule: Rule, alphas: Sequence[float]
) -> tuple[tuple[Look, ...], ...]:
    """Per level, the looks at two arms on the mean of games, as far as both have whole batches."""
    cell_of = {name: cell for cell, name in cells.arms.items()}
    chains = [
        batches_of(
            dict(
                zip(
                    cells.seeds[cell_of[arm], MEAN],
                    map(float, cells.runs[cell_of[arm], MEAN]),
                    strict=True,
                )
            ),
            study.seeds,
            rule.batch,
        )
        for arm in arms
    ]
    both = min(map(len, chains))
    first, second = (np.array(chain[:both]).reshape(both, rule.batch) for chain in chains)
    planned = len(study.seeds) // rule.batch
    return nested_looks(first, second, planned=planned, alphas=alphas)
