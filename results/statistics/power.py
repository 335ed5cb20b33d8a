"""What a study can see: the smallest effect that n seeds find, and the seeds that an effect needs.

A contrast with weights w over cells of n seeds each has se = s √(Σ w² / n), s being the standard
deviation between seeds of one cell. The true effect that a two-sided t-test at level α finds with
the wanted power follows from the noncentral t with the interval's own degrees of freedom:

    effect of a toggle      Σ w² = 2           df = 2 (n − 1)
    interaction of a pair   Σ w² = 4           df = 4 (n − 1)
    averaged over N cells   Σ w² = 2 L / N     df = (N − 1) (n − 1), seeds being blocks
    averaged interaction    Σ w² = 4 L L' / N  the same,

with L the levels of a toggle, off included. Paired within seeds that correlate with ρ, se shrinks
by √(1 − ρ) and df is n − 1. Of a family of m pairs Holm's first step tests at α / m.

s comes from a pilot, from imported runs, or from published curves; it is itself uncertain, by the
χ² distribution of its degrees of freedom.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from results.database.records import StudyRecord
from results.statistics.compared import crossing, items, squares
from results.statistics.intervals import minimal_detectable_effect
from results.statistics.normalize import game_key

POWER = 0.8
MOST_SEEDS = 10_000

PUBLISHED = {"assault": 0.5, "crazyclimber": 0.6, "pong": 0.17}
"""Human-normalised spread between seeds of published DreamerV2 curves, by game."""


@dataclass(frozen=True)
class Spread:
    """The standard deviation between the seeds of one cell, and where it is from.

    Attributes:
        sd: In human-normalised score.
        low: Lower limit; NaN where it is not known how sure the number is.
        high: Upper limit.
        df: Its degrees of freedom; 0 where they are not known.
        rho: Correlation of the runs of one seed over cells; NaN where it is not known.
        source: Where it comes from, in words.
    """

    sd: float
    low: float
    high: float
    df: int
    rho: float
    source: str


@dataclass(frozen=True)
class Question:
    """A kind of contrast that a study answers.

    Attributes:
        name: What it is, in words.
        weight: Σ w².
        df_per_seed: Degrees of freedom for every seed after the first.
        family: How many of them are tested together, at Holm's first step; 1 for one alone.
    """

    name: str
    weight: float
    df_per_seed: int
    family: int = 1

    def detectable(
        self,
        sd: float,
        seeds: int,
        *,
        alpha: float,
        power: float = POWER,
        rho: float | None = None,
    ) -> float:
        """The smallest true effect that is found with the wanted power; NaN at one seed.

        Args:
            sd: Between the seeds of a cell.
            seeds: Per cell.
            alpha: Two-sided level, before it is shared out over the family.
            power: Probability of finding it.
            rho: Correlation of the runs of one seed, for the contrast within seeds; None for the
                one with the variance pooled over cells.
        """
        if seeds < 2:
            return math.nan
        df, shrink = self.df_per_seed * (seeds - 1), 1.0
        if rho is not None:
            df, shrink = seeds - 1, math.sqrt(1 - rho)
        se = sd * shrink * math.sqrt(self.weight / seeds)
        return minimal_detectable_effect(se, df, alpha=alpha / self.family, power=power)

    def seeds_needed(
        self, sd: float, effect: float, *, alpha: float, power: float = POWER
    ) -> int | None:
        """The fewest seeds that find an effect of this size; None if MOST_SEEDS do not.

        Args:
            sd: Between the seeds of a cell.
            effect: The true effect, above 0.
            alpha: Two-sided level, before it is shared out over the family.
            power: Probability of finding it.
        """

        def enough(seeds: int) -> bool:
            return self.detectable(sd, seeds, alpha=alpha, power=power) <= effect

        if not enough(MOST_SEEDS):
            return None
        low, high = 1, 2
        while not enough(high):
            low, high = high, min(2 * high, MOST_SEEDS)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle, high)
        return high


def questions(study: StudyRecord) -> tuple[Question, ...]:
    """What the arms of a study can answer, the simplest first; empty if nothing."""
    made = {frozenset(arm.toggles.items()) for arm in study.arms}
    full = frozenset((toggle.name, toggle.in_full) for toggle in study.toggles)
    found: list[Question] = []
    alone = any(
        {frozenset(), frozenset({on})} <= made or {full, full - {on}} <= made
        for item in items(study)
        for on in [(item.toggle, item.level)]
    )
    if alone:
        found.append(Question("effect of a toggle", 2, 2))
    pairs = len({square.cells for square in squares(study) if square.cells <= made})
    if pairs:
        found.append(Question("interaction of a pair", 4, 4))
    if pairs > 1:
        found.append(Question(f"interaction, first of {pairs} (Holm)", 4, 4, pairs))
    crossed = crossing(study)
    if crossed is None or len(study.toggles) < 3 or not made.issuperset(crossed.cells):
        return tuple(found)
    cells = len(crossed.cells)
    by_toggle = Counter(item.toggle for item in crossed.items)
    most, next_most, *_ = sorted((1 + levels for levels in by_toggle.values()), reverse=True)
    found.append(Question("averaged effect", 2 * most / cells, cells - 1))
    if crossed.pairs:
        several = sum(
            one.toggle != other.toggle
            for place, one in enumerate(crossed.items)
            for other in crossed.items[place + 1 :]
        )
        weight = 4 * most * next_most / cells
        found.append(Question("averaged interaction", weight, cells - 1))
        found.append(Question(f"averaged, first of {several} (Holm)", weight, cells - 1, several))
    return tuple(found)


def stated_spread(sd: float, source: str) -> Spread:
    """A spread that is taken as it is."""
    return Spread(sd, math.nan, math.nan, 0, math.nan, source)


def published_spread(games: Sequence[str]) -> Spread | None:
    """The spread of the mean of these games in published curves; None if one has none.

    Games are independent, so that s² of their mean is Σ s² / G².
    """
    known = [PUBLISHED.get(game_key(game)) for game in games]
    if not games or None in known:
        return None
    sd = math.sqrt(math.fsum(one**2 for one in known if one is not None)) / len(games)
    return stated_spread(sd, f"published DreamerV2 curves of {', '.join(games)}")
