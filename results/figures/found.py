"""What every figure of contrasts shares: the findings, their words, and why there are none."""

import itertools
import math
from dataclasses import dataclass

import pandas as pd

from results.figures import captions
from results.statistics.cells import MEAN, NOT_DEFINED, NOT_IN_STUDY
from results.statistics.contrasts import ADD_ONE_IN, LEAVE_ONE_OUT, Effect, Interaction
from results.statistics.findings import Findings, study_findings
from results.statistics.intervals import Estimate
from results.statistics.ols import AVERAGED
from results.statistics.options import Options
from results.statistics.scores import Scores
from results.statistics.shapley import SHAPLEY
from results.statistics.study_data import StudyData

UNIT = "difference in human-normalised score (HNS)"
SCORE = "human-normalised score (HNS)"
OUTSIDE = (NOT_IN_STUDY, NOT_DEFINED)


@dataclass(frozen=True)
class Found:
    """The findings of a study and what is said under every figure of them.

    Attributes:
        data: The study.
        options: How it was asked.
        findings: What it says.
    """

    data: StudyData
    options: Options
    findings: Findings

    @classmethod
    def of(cls, data: StudyData, options: Options) -> "Found":
        """The findings of a study, computed once for all figures and tables.

        Raises:
            StatisticsError: if the runs do not allow any.
        """
        return cls(data, options, study_findings(data, options))

    @property
    def scores(self) -> Scores:
        """What they are made of."""
        return self.findings.scores

    @property
    def effects(self) -> tuple[Effect, ...]:
        """Those that stand apart: of two toggles the averages are the means of A and L."""
        few = len(self.data.study.toggles) < 3
        return tuple(
            one for one in self.findings.effects if not (few and one.kind in (AVERAGED, SHAPLEY))
        )

    @property
    def interactions(self) -> tuple[Interaction, ...]:
        """Those that stand apart: of two toggles the average is the one that there is."""
        few = len(self.data.study.toggles) < 3
        return tuple(
            one for one in self.findings.interactions if not (few and one.background == AVERAGED)
        )

    def interval(self) -> str:
        """Names the interval that the numbers have, or why they have none."""
        return captions.interval_words(self._means(), self.options)

    def has_interval(self) -> bool:
        """Whether any number on the mean of games has one."""
        return any(math.isfinite(one.low) for one in self._means())

    def per_seed(self) -> str:
        """Says that a mean over games is made for each seed; empty where seeds are not known."""
        return "" if self.scores.means else ", one value per seed"

    def foot(self) -> str:
        """The lines at the foot of the picture."""
        return captions.foot(self.scores, self.interval(), captions.visible(self.scores))

    def caption(self) -> str:
        """States what all figures of contrasts rest on."""
        interval = self.interval()
        pairs = [one for one in self.interactions if one.scope == MEAN]
        detectable = captions.detectable(
            [one.estimate for one in self.effects if one.scope == MEAN],
            [one.estimate for one in pairs],
        )
        uncertain = f"Intervals: {interval}."
        if any(math.isfinite(one.estimate.low) for one in pairs):
            uncertain = (
                f"Intervals: {interval}; the simultaneous (max-|t|) interval and Holm's "
                "adjustment hold over all pairs on the mean, and over all pairs of a game."
            )
        parts = (
            captions.basis(self.data, self.scores),
            captions.left_out(self.scores),
            uncertain,
            detectable,
        )
        return " ".join(part for part in parts if part)

    def effect_numbers(self) -> pd.DataFrame:
        """Returns one row per effect that stands apart, with the checks beside each."""
        numbers = self.findings.effect_numbers
        return numbers[numbers["effect"].isin({one.kind for one in self.effects})]

    def interaction_numbers(self) -> pd.DataFrame:
        """Returns one row per interaction that stands apart, with the checks beside each."""
        numbers = self.findings.interaction_numbers
        if not self.interactions:
            return numbers.iloc[:0]
        shown = {one.background for one in self.interactions}
        return numbers[(numbers["order"] == 2) & numbers["background"].isin(shown)]

    def numbers(self) -> pd.DataFrame:
        """Returns both, the effects first."""
        if not self.interactions:
            return self.effect_numbers()
        pairs = self.interaction_numbers().assign(effect="interaction")
        return pd.concat([self.effect_numbers(), pairs], ignore_index=True)

    def nothing_to_show(self) -> str:
        """Names the arms that no effect can do without, or what they wait for."""
        study = self.data.study
        if not self.findings.effects:
            return f"Study {study.name!r} has no toggle, so no effect to show."
        reasons = []
        for kind, words in (
            (ADD_ONE_IN, "Effects added to the base (designs base and add_one_in)"),
            (LEAVE_ONE_OUT, "Effects within the full agent (designs full and leave_one_out)"),
        ):
            notes = [
                one.estimate.note
                for one in self.findings.effects
                if one.kind == kind and one.scope == MEAN
            ]
            outside = [note.removeprefix(f"{NOT_IN_STUDY}: ").split(", ") for note in notes
                       if note.startswith(NOT_IN_STUDY)]  # fmt: skip
            if outside:
                lacked = dict.fromkeys(itertools.chain.from_iterable(outside))
                reasons.append(f"{words} lack the arms {', '.join(lacked)}.")
            reasons += dict.fromkeys(
                f"{words}: {note}." for note in notes if not note.startswith(NOT_IN_STUDY)
            )
        return (
            f"Study {study.name!r} has no effect to show, because an effect needs both the arm "
            f"with the toggle and the arm without it; its arms are {', '.join(self.scores.arms)}. "
            f"{' '.join(reasons)}"
        )

    def _means(self) -> list[Estimate]:
        found: list[Effect | Interaction] = [*self.effects, *self.interactions]
        return [one.estimate for one in found if one.scope == MEAN]


def in_study(one: Effect | Interaction) -> bool:
    """Whether the designs of the study ask for all the cells of a contrast, and they exist."""
    return not one.estimate.note.startswith(OUTSIDE)
