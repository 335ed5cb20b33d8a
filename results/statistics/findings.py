"""Everything that a study says of its toggles, and the checks beside every number.

One call makes what the tables and figures of contrasts show: effects (added, left out, averaged,
Shapley), interactions (at the base, in the full agent, averaged), higher Moebius terms, whether
pairing helps, and how often such a family finds what is not there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import pandas as pd

from results.database.records import StudyRecord
from results.statistics.bootstrap import Bootstrap
from results.statistics.calibration import Calibration, calibrate
from results.statistics.cells import MEAN, Cells
from results.statistics.collecting import collect
from results.statistics.compared import Weights
from results.statistics.contrasts import (
    Effect,
    Interaction,
    cell_effects,
    cell_interactions,
    effects_frame,
    interactions_frame,
)
from results.statistics.equal_updates import EqualUpdates, equal_updates
from results.statistics.intervals import Estimate
from results.statistics.moebius import Term, moebius_terms, terms_frame
from results.statistics.ols import AVERAGED, Averages, averages
from results.statistics.options import Options
from results.statistics.pairing import Pairing, paired, pairing
from results.statistics.scales import SCALES, Scales, Signs
from results.statistics.scores import Scores
from results.statistics.shapley import shapley_values
from results.statistics.study_data import StudyData

HIGHER = 3  # the smallest order of a Moebius term that is neither an effect nor a pair


@dataclass(frozen=True)
class Check:
    """What other methods make of one contrast.

    Attributes:
        low: Lower end of the bootstrap's interval; NaN where there is none.
        high: Upper end.
        paired: The contrast made within seeds; NaN where no seed has all its cells.
    """

    low: float
    high: float
    paired: Estimate

    def disagrees(self, estimate: Estimate) -> bool:
        """Whether the bootstrap and the t-interval differ on whether 0 is excluded."""
        if not (math.isfinite(self.low) and math.isfinite(estimate.low)):
            return False
        return excludes(self.low, self.high) != excludes(estimate.low, estimate.high)


@dataclass(frozen=True)
class Findings:
    """What a study says, at one point of its runs.

    Attributes:
        scores: The scores that it is made of.
        cells: The cells behind it.
        effects: Added, left out, averaged and Shapley, each on the mean and per game.
        interactions: At the base, in the full agent and averaged.
        terms: Moebius terms of three toggles and more.
        averages: What the averaged ones rest on; None where the study crosses nothing.
        pairing: On the mean of games.
    """

    scores: Scores
    cells: Cells
    effects: tuple[Effect, ...]
    interactions: tuple[Interaction, ...]
    terms: tuple[Term, ...]
    averages: Averages | None
    pairing: Pairing
    _options: Options
    _bootstrap: Bootstrap
    _scales: Scales

    def check(self, weights: Weights, scope: str) -> Check:
        """The bootstrap and the paired interval of a contrast."""
        low, high = self._bootstrap.interval(weights, scope, ci=self._options.ci)
        return Check(low, high, paired(self.cells, weights, scope, ci=self._options.ci))

    def signs(self, weights: Weights, scope: str) -> Signs:
        """A contrast on every scale."""
        return self._scales.signs(weights, scope)

    @cached_property
    def calibration(self) -> Calibration:
        """How often the pair interactions on the mean of games find what is not there.

        Those at the base and in the full agent, which are one family; else the averaged ones.
        """
        tested = [
            one
            for one in self.interactions
            if one.scope == MEAN and not math.isnan(one.p_holm) and one.weights
        ]
        first = [one for one in tested if one.background != AVERAGED] or tested
        family = list({frozenset(one.weights.items()): one.weights for one in first}.values())
        options = self._options
        return calibrate(self.cells, family, MEAN, ci=options.ci, seed=options.seed)

    @cached_property
    def effect_numbers(self) -> pd.DataFrame:
        """One row per effect: `effects_frame` and the checks."""
        frame = effects_frame(self.effects)
        return pd.concat([frame, self._checks(self.effects)], axis=1)

    @cached_property
    def interaction_numbers(self) -> pd.DataFrame:
        """One row per interaction, with the checks and the scales; Moebius terms below."""
        signs = [self.signs(one.weights, one.scope) for one in self.interactions]
        scales = pd.DataFrame(
            [
                {f"on_{scale}": one.others[scale] for scale in SCALES}
                | {"sign_turned_on": " ".join(one.turned)}
                for one in signs
            ]
        )
        frame = interactions_frame(self.interactions)
        pairs = pd.concat([frame, self._checks(self.interactions), scales], axis=1)
        pairs.insert(0, "order", 2)
        if not self.terms:
            return pairs
        higher = terms_frame(self.terms).rename(columns={"set": "first"})
        higher["background"] = "base"
        return pd.concat([pairs, higher], ignore_index=True)

    def _checks(self, contrasts: Sequence[Effect | Interaction]) -> pd.DataFrame:
        found = [self.check(one.weights, one.scope) for one in contrasts]
        scopes = {one.scope for one in contrasts}
        rho = {scope: pairing(self.cells, scope, ci=self._options.ci).rho for scope in scopes}
        return pd.DataFrame(
            {
                "bootstrap_low": [one.low for one in found],
                "bootstrap_high": [one.high for one in found],
                "paired": [one.paired.value for one in found],
                "paired_low": [one.paired.low for one in found],
                "paired_high": [one.paired.high for one in found],
                "rho": [rho[one.scope] for one in contrasts],
            }
        )


def findings(study: StudyRecord, scores: Scores, options: Options) -> Findings:
    """Everything that the scores of a study say of its toggles.

    Raises:
        UnknownGame: if one of the games has raw returns only.
        IncompleteStudy: if no game has a run of every arm.
    """
    cells = Cells.of(study, scores)
    averaged = averages(study, cells, ci=options.ci)
    return Findings(
        scores=scores,
        cells=cells,
        effects=(
            *cell_effects(study, cells, ci=options.ci),
            *(averaged.effects if averaged else ()),
            *shapley_values(study, cells, ci=options.ci),
        ),
        interactions=(
            *cell_interactions(study, cells, ci=options.ci),
            *(averaged.interactions if averaged else ()),
        ),
        terms=moebius_terms(study, cells, ci=options.ci, smallest=HIGHER),
        averages=averaged,
        pairing=pairing(cells, MEAN, ci=options.ci),
        _options=options,
        _bootstrap=Bootstrap(cells, resamples=options.resamples, seed=options.seed),
        _scales=Scales(study, scores, cells),
    )


def study_findings(data: StudyData, options: Options) -> Findings:
    """The findings of a study, computed once for all tables and figures that ask.

    Raises:
        StatisticsError: as `collect` and `findings` do.
    """
    key = (findings, options)
    if key not in data.memory:
        data.memory[key] = findings(data.study, collect(data, options), options)
    return cast(Findings, data.memory[key])


def findings_at_equal_updates(
    data: StudyData, options: Options
) -> tuple[EqualUpdates, Findings] | None:
    """The findings where all arms had made equally many updates, computed once; None if nowhere.

    Raises:
        StatisticsError: as `study_findings`.
    """
    key = (findings_at_equal_updates, options)
    if key not in data.memory:
        equal = equal_updates(data, options)
        data.memory[key] = equal and (equal, findings(data.study, equal.scores, options))
    return cast("tuple[EqualUpdates, Findings] | None", data.memory[key])


def excludes(low: float, high: float) -> bool:
    """Whether an interval excludes 0."""
    return low > 0 or high < 0
