"""Averaged effects and interactions: ordinary least squares over the cells of a crossed design.

The averaged effect of an item is the mean of its effect over everything else that the design
crosses, and the averaged interaction Ibar_ij the mean of I_ij over all backgrounds. In a full
factorial these are differences of means; in a fraction of resolution V they are the same
contrasts, free of each other and mixed with orders from three on only. The model is

    y = μ + seed + Σ_i β_i x_i + Σ_ij β_ij x_i x_j + error,

with x_i = 1 − 1/L where item i is on and −1/L where it is not, L counting the levels of its toggle
and the base. With these columns β_i and β_ij are the averaged contrasts themselves, in HNS (in −1
and 1 coding they are 2 and 4 times the coefficients). Seeds are blocks: the whole design is run
with every seed, so what a seed does to all cells cancels.

The error is what cell and seed leave over (y ~ cell + seed), not what the model does: an
interaction of three toggles is no noise. The comparison of the two is the test of `lack_of_fit`.
Only the cells of the design go in; others would upset the balance. A screen (Plackett-Burman) has
main effects only, each mixed with pair interactions.

Box, Hunter and Hunter, "Statistics for Experimenters", chapters 5 to 7; the fit is statsmodels'.
"""

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from results.database.records import StudyRecord
from results.statistics.cells import MEAN, NOT_IN_STUDY, Cells
from results.statistics.compared import Crossing, Item, Weights, crossing
from results.statistics.contrasts import Effect, Interaction
from results.statistics.intervals import (
    NO_SPREAD,
    Estimate,
    minimal_detectable_effect,
    missing_estimate,
    t_quantile,
    t_two_sided,
)
from results.statistics.judgement import Evidence, Family
from results.statistics.simultaneous import Simultaneous, adjust, null_of_model

AVERAGED = "averaged"

Levels = Mapping[str, str | None]
"""Toggle to the level at which a mean is taken, None for off; other toggles are averaged over."""


@dataclass(frozen=True)
class Averages:
    """What a crossed design says of each item and each pair, on the mean of games and per game.

    Attributes:
        crossing: The design.
        absent: Per scope, the cells of it without a run; they make the averages less sure.
        effects: One per scope and item.
        interactions: One per scope and pair of items of different toggles; none in a screen.
        lack_of_fit: Per scope, the p-value against there being no interaction of three or more
            toggles; NaN where there is nothing to compare.
        bounded: Per game, how many cells stand at its "floor" and at its "ceiling".
    """

    crossing: Crossing
    absent: Mapping[str, int]
    effects: tuple[Effect, ...]
    interactions: tuple[Interaction, ...]
    lack_of_fit: Mapping[str, float]
    bounded: Mapping[str, Mapping[str, int]]


def averages(study: StudyRecord, cells: Cells, *, ci: float) -> Averages | None:
    """The averaged effects and interactions of a study, or None if it crosses nothing."""
    crossed = crossing(study)
    if crossed is None:
        return None
    fits = {scope: Fit(cells, crossed, scope) for scope in cells.scopes}
    return Averages(
        crossing=crossed,
        absent={scope: len(crossed.cells) - fit.cells for scope, fit in fits.items()},
        effects=tuple(fit.effect(item, ci=ci) for fit in fits.values() for item in crossed.items),
        interactions=tuple(one for fit in fits.values() for one in fit.interactions(ci=ci)),
        lack_of_fit={scope: fit.lack_of_fit for scope, fit in fits.items()},
        bounded={game: _bounded(cells, crossed, game) for game in cells.scopes if game != MEAN},
    )


class Fit:
    """The model of one scope, fitted to the runs that there are.

    Attributes:
        cells: How many cells of the design have a run.
        lack_of_fit: p-value against there being no higher interactions; NaN without a test.
    """

    def __init__(self, cells: Cells, crossed: Crossing, scope: str) -> None:
        self._all, self._crossed, self._scope = cells, crossed, scope
        self._alone = cells.alone
        present = [c for c in crossed.cells if c in cells.arms and len(cells.runs[c, scope])]
        self.cells = len(present)
        self._counts = [len(cells.runs[cell, scope]) for cell in present]
        self._present = present
        self._toggles = {item.toggle: _levels(crossed, item.toggle) for item in crossed.items}
        self._pairs = [
            pair
            for pair in itertools.combinations(crossed.items, 2)
            if crossed.pairs and pair[0].toggle != pair[1].toggle
        ]
        self.lack_of_fit = math.nan
        if not present:
            return
        y = np.concatenate([cells.runs[cell, scope] for cell in present])
        of_cell = np.repeat(np.arange(len(present)), self._counts)
        seeds = np.concatenate([cells.seeds[cell, scope] for cell in present])
        blocks = _blocks(seeds)
        self._seed_columns = blocks.shape[1]
        rows = np.array([self._row(dict(cell)) for cell in present])[of_cell]
        design = np.column_stack([rows, blocks])
        fitted = _fitted(y, design)
        self._beta = np.asarray(fitted.params)
        self._covariance = np.asarray(fitted.normalized_cov_params)
        self._row_space = np.linalg.pinv(design) @ design
        whole = np.column_stack([np.eye(len(present))[of_cell], blocks])
        rss, self._df = _leftover(whole, y)
        scale = float(np.abs(y).max())
        sd = math.sqrt(max(rss, 0.0) / self._df) if self._df else math.nan
        self._sd = 0.0 if self._df and sd <= 1e-12 * scale else sd
        self._several = len(set(seeds.tolist())) > 1
        self._cell_weights = self._weights_of_means(design, of_cell, seeds)
        self._test_fit(float(fitted.ssr), len(y) - int(np.linalg.matrix_rank(design)), rss)

    def effect(self, item: Item, *, ci: float) -> Effect:
        """The averaged effect of an item."""
        on, off = {item.toggle: item.level}, {item.toggle: None}
        direction = self._row(on, averaged=True) - self._row(off, averaged=True)
        weights = self._weights(direction)
        return Effect(
            kind=AVERAGED,
            name=item.name,
            toggle=item.toggle,
            level=item.level,
            scope=self._scope,
            arms=self._spelled(item.name),
            estimate=self._estimate(direction, ci=ci),
            floor=self._all.floor(self._involved, self._scope),
            ceiling=self._all.ceiling(self._involved, self._scope),
            weights=weights,
        )

    def interactions(self, *, ci: float) -> tuple[Interaction, ...]:
        """The averaged interactions of all pairs, tested together."""
        squares = {pair: self._square(*pair) for pair in self._pairs}
        evidence = {pair: self._evidence(square, ci=ci) for pair, square in squares.items()}
        tested: dict[object, float] = {
            pair: one.estimate.p
            for pair, one in evidence.items()
            if not math.isnan(one.estimate.p)
        }
        directions = [squares[pair].interaction for pair in self._pairs if pair in tested]
        family = Family.of(tested, self._joint(directions, list(tested.values()), ci=ci))
        return tuple(
            self._interaction(pair, evidence[pair], squares[pair].interaction, family, ci)
            for pair in self._pairs
        )

    def _interaction(
        self,
        pair: tuple[Item, Item],
        evidence: Evidence,
        direction: np.ndarray,
        family: Family,
        ci: float,
    ) -> Interaction:
        first, second = pair
        low, high = evidence.estimate.at_level(1 - family.level)
        return Interaction(
            first=first.name,
            second=second.name,
            background=AVERAGED,
            scope=self._scope,
            arms=self._spelled(f"{first.name} × {second.name}"),
            estimate=evidence.estimate,
            first_alone=evidence.first_alone,
            second_alone=evidence.second_alone,
            first_with=evidence.first_with,
            second_with=evidence.second_with,
            family=family.size,
            simultaneous_low=low,
            simultaneous_high=high,
            p_holm=family.holm.get(pair, math.nan),
            p_max_t=family.max_t.get(pair, math.nan),
            significant=family.holm.get(pair, math.nan) <= 1 - ci,
            label=evidence.word(low, high),
            crossover=evidence.crossover(first.name, second.name),
            floor=self._all.floor(self._involved, self._scope),
            ceiling=self._all.ceiling(self._involved, self._scope),
            weights=self._weights(direction),
        )

    def _square(self, first: Item, second: Item) -> "_Square":
        def at(one: bool, other: bool) -> np.ndarray:
            levels = {
                first.toggle: first.level if one else None,
                second.toggle: second.level if other else None,
            }
            return self._row(levels, averaged=True)

        return _Square(at(False, False), at(True, False), at(False, True), at(True, True))

    def _evidence(self, square: "_Square", *, ci: float) -> Evidence:
        def estimate(direction: np.ndarray) -> Estimate:
            return self._estimate(direction, ci=ci)

        return Evidence(
            estimate=estimate(square.interaction),
            first_alone=estimate(square.only_first - square.neither),
            second_alone=estimate(square.only_second - square.neither),
            first_with=estimate(square.both - square.only_second),
            second_with=estimate(square.both - square.only_first),
            singles=(self._mean(square.only_first), self._mean(square.only_second)),
            both=self._mean(square.both),
        )

    def _row(self, levels: Levels, *, averaged: bool = False) -> np.ndarray:
        """The model's columns without the seeds': of a cell, or averaged over what has no name."""
        x = {
            item: 0.0
            if averaged and item.toggle not in levels
            else (levels.get(item.toggle) == item.level) - 1 / self._toggles[item.toggle]
            for item in self._crossed.items
        }
        return np.array([1.0, *x.values(), *(x[one] * x[other] for one, other in self._pairs)])

    def _padded(self, direction: np.ndarray) -> np.ndarray:
        return np.concatenate([direction, np.zeros(self._seed_columns)])

    def _estimate(self, direction: np.ndarray, *, ci: float) -> Estimate:
        """A linear function of the coefficients, or why there is none."""
        if not self.cells:
            return missing_estimate(self._lack())
        row = self._padded(direction)
        if not np.allclose(self._row_space @ row, row, atol=1e-8):
            return missing_estimate(self._lack())
        value, nan = float(row @ self._beta), math.nan
        few, many = min(self._counts), max(self._counts)
        if not self._several or not self._df:
            return Estimate(value, nan, nan, nan, 0, nan, nan, nan, few, many, self._alone)
        if self._sd == 0:
            return Estimate(value, nan, nan, nan, self._df, 0.0, nan, nan, few, many, NO_SPREAD)
        se = self._sd * math.sqrt(float(row @ self._covariance @ row))
        half = t_quantile(1 - (1 - ci) / 2, self._df) * se
        return Estimate(
            value=value,
            low=value - half,
            high=value + half,
            se=se,
            df=self._df,
            sd=self._sd,
            p=t_two_sided(value / se, self._df),
            mde=minimal_detectable_effect(se, self._df, alpha=1 - ci),
            fewest=few,
            most=many,
            note="",
        )

    def _joint(
        self, directions: Sequence[np.ndarray], p_values: Sequence[float], *, ci: float
    ) -> Simultaneous:
        if len(directions) < 2:
            return Simultaneous(1 - ci, tuple(p_values))
        rows = np.array([self._padded(one) for one in directions])
        return adjust(null_of_model(rows @ self._covariance @ rows.T, self._df), p_values, ci=ci)

    def _mean(self, direction: np.ndarray) -> float:
        """A mean of the model; the seeds' columns add up to nothing."""
        return float(self._padded(direction) @ self._beta) if self.cells else math.nan

    def _weights_of_means(
        self, design: np.ndarray, of_cell: np.ndarray, seeds: np.ndarray
    ) -> np.ndarray | None:
        """[coefficients, cells]: the coefficients from cell means; None if seeds are missing."""
        if min(self._counts) < len(set(seeds.tolist())):
            return None
        by_run = np.linalg.pinv(design)
        of_mean = np.eye(self.cells)[of_cell]
        return np.asarray(by_run @ of_mean, dtype=float)

    def _weights(self, direction: np.ndarray) -> Weights:
        if not self.cells or self._cell_weights is None:
            return {}
        row = self._padded(direction)
        if not np.allclose(self._row_space @ row, row, atol=1e-8):
            return {}
        weights = row @ self._cell_weights
        return {cell: float(w) for cell, w in zip(self._present, weights, strict=True)}

    def _test_fit(self, model_rss: float, model_df: int, rss: float) -> None:
        more = model_df - self._df
        if more > 0 and self._df and self._sd > 0 and self._several:
            f = max(model_rss - rss, 0.0) / more / self._sd**2
            self.lack_of_fit = float(special.fdtrc(more, self._df, f))

    @property
    def _involved(self) -> Weights:
        return dict.fromkeys(self._present, 1.0)

    def _spelled(self, what: str) -> str:
        return f"{what} averaged over {self.cells} cells of {self._crossed.design}"

    def _lack(self) -> str:
        """What is missing for an average that the cells cannot give."""
        absent = {cell: 1.0 for cell in self._crossed.cells if cell not in self._present}
        reason = self._all.lack(absent, self._scope)
        return reason or f"{NOT_IN_STUDY}: the cells of {self._crossed.design} do not tell"


@dataclass(frozen=True)
class _Square:
    """The means that an averaged interaction is made of, as rows of the model."""

    neither: np.ndarray
    only_first: np.ndarray
    only_second: np.ndarray
    both: np.ndarray

    @property
    def interaction(self) -> np.ndarray:
        return np.asarray(self.both - self.only_first - self.only_second + self.neither)


def _bounded(cells: Cells, crossed: Crossing, game: str) -> dict[str, int]:
    alone = [{cell: 1.0} for cell in crossed.cells]
    return {
        "floor": sum(bool(cells.floor(one, game)) for one in alone),
        "ceiling": sum(bool(cells.ceiling(one, game)) for one in alone),
    }


def _levels(crossed: Crossing, toggle: str) -> int:
    """How many levels a design crosses, the base's included."""
    return 1 + sum(item.toggle == toggle for item in crossed.items)


def _fitted(y: np.ndarray, design: np.ndarray) -> Any:
    """The regression; where cells are missing some coefficients are not unique, as checked."""
    from statsmodels.regression.linear_model import OLS  # half a second of imports
    from statsmodels.tools.sm_exceptions import SingularMatrixWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularMatrixWarning)
        return OLS(y, design).fit()


def _blocks(seeds: np.ndarray) -> np.ndarray:
    """[runs, seeds − 1], what sets a seed apart from the mean of the seeds."""
    known = np.unique(seeds)
    one_hot = (seeds[:, None] == known[None, :]).astype(float)
    return np.asarray(one_hot[:, :-1] - one_hot[:, -1:])


def _leftover(design: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """The residual sum of squares of a regression, and its degrees of freedom."""
    beta, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    return float(((y - design @ beta) ** 2).sum()), len(y) - int(rank)
