"""The word for a pair of toggles, and what it takes to say it.

A label needs the simultaneous interval of the interaction I to exclude 0. Where both toggles help
alone: I > 0 is synergy; I < 0 is redundancy if both together are no worse than the better one,
else interference. Where one does not help alone, it helps or harms the other by the sign of I.
Where the cells do not tell whether one helps alone (an average over cells that are no agents), the
word that rests on it is not said.
A crossover, an effect with opposite signs without and with the other toggle, is the only
interaction that no rescaling of the score removes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from results.statistics.intervals import Estimate
from results.statistics.simultaneous import Simultaneous, holm

CANNOT_TELL = "cannot tell"


def label(
    value: float, *, alone: tuple[float, float], singles: tuple[float, float], both: float
) -> str:
    """The word for an interaction whose simultaneous interval excludes 0.

    Args:
        value: The interaction.
        alone: The effect of each of the two in the background, without the other; NaN where it
            cannot be estimated.
        singles: Mean score of each of the two cells with one of them.
        both: Mean score of the cell with both.
    """
    if any(one <= 0 for one in alone):
        return "helps" if value > 0 else "harms"
    if any(math.isnan(one) for one in alone):
        return CANNOT_TELL
    if value > 0:
        return "synergy"
    return "redundancy" if both >= max(singles) else "interference"


@dataclass(frozen=True)
class Evidence:
    """The estimates that an interaction is judged by.

    Attributes:
        estimate: The interaction.
        first_alone: Effect of the first without the second.
        second_alone: Effect of the second without the first.
        first_with: Effect of the first where the second is on.
        second_with: Effect of the second where the first is on.
        singles: Mean score with only the first, and with only the second.
        both: Mean score with both.
    """

    estimate: Estimate
    first_alone: Estimate
    second_alone: Estimate
    first_with: Estimate
    second_with: Estimate
    singles: tuple[float, float]
    both: float

    def word(self, low: float, high: float) -> str:
        """The label, given the simultaneous interval; empty where there is no estimate."""
        if low > 0 or high < 0:
            alone = (self.first_alone.value, self.second_alone.value)
            return label(self.estimate.value, alone=alone, singles=self.singles, both=self.both)
        return "" if math.isnan(self.estimate.value) else CANNOT_TELL

    def crossover(self, first: str, second: str) -> tuple[str, ...]:
        """Which of the two turns from helping to harming, or back, with the other."""
        flips = (
            (first, self.first_alone, self.first_with),
            (second, self.second_alone, self.second_with),
        )
        return tuple(name for name, one, other in flips if _opposite(one, other))


@dataclass(frozen=True)
class Family:
    """The contrasts that are tested together, by whatever identifies them.

    Attributes:
        size: How many there are with a p-value.
        level: The two-sided level of each simultaneous interval.
        holm: p-values adjusted by Holm.
        max_t: p-values adjusted by the step-down of the largest |t|.
    """

    size: int
    level: float
    holm: Mapping[object, float]
    max_t: Mapping[object, float]

    @classmethod
    def of(cls, tested: Mapping[object, float], joint: Simultaneous) -> "Family":
        """The family of these p-values and of what they are together."""
        keys, p_values = list(tested), list(tested.values())
        return cls(
            size=len(tested),
            level=joint.level,
            holm=dict(zip(keys, holm(p_values), strict=True)),
            max_t=dict(zip(keys, joint.p, strict=True)),
        )


def _opposite(one: Estimate, other: Estimate) -> bool:
    return (one.low > 0 and other.high < 0) or (one.high < 0 and other.low > 0)
