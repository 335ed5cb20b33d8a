"""The cells of a study: which sets of toggles were run, and their scores."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from results.database.records import StudyRecord
from results.statistics.bounds import ceilings
from results.statistics.compared import Cell, Weights
from results.statistics.designs import requested
from results.statistics.errors import listed
from results.statistics.intervals import ONE_SEED, Estimate, contrast, missing_estimate
from results.statistics.scores import Scores

MEAN = "mean of games"
NOT_IN_STUDY = "not in the study"  # how the note of a contrast outside the design begins
NOT_DEFINED = "not defined"  # of one with a cell that a design asks for and that is no agent
FLOOR = 0.05  # HNS; a cell is on the floor of a game where its mean is at most this


def on_floor(hns: np.ndarray) -> bool:
    """Whether a cell's mean HNS is at most FLOOR: no better than random, or hardly."""
    return len(hns) > 0 and float(hns.mean()) <= FLOOR


@dataclass(frozen=True)
class Cells:
    """What every contrast of a study is made of.

    Attributes:
        arms: Name of the arm of each cell that is compared.
        scopes: MEAN, then the games.
        compared_games: The games that MEAN is over.
        runs: Per cell and scope, [runs], one HNS per seed; empty where there is no run.
        seeds: Per cell and scope, the seeds of those runs, in the same order.
        undefined: The cells that a design of the study asks for, and that are no agents.
        ceilings: Per game with a highest return, the HNS from which a cell is at its ceiling.
        alone: Why a cell with one value has no interval.
    """

    arms: Mapping[Cell, str]
    scopes: tuple[str, ...]
    compared_games: tuple[str, ...]
    runs: Mapping[tuple[Cell, str], np.ndarray]
    seeds: Mapping[tuple[Cell, str], tuple[int, ...]]
    undefined: frozenset[Cell]
    ceilings: Mapping[str, float]
    alone: str = ONE_SEED

    @classmethod
    def of(cls, study: StudyRecord, scores: Scores) -> "Cells":
        """The cells of the arms that are compared.

        Raises:
            UnknownGame: if one of the games has raw returns only.
            IncompleteStudy: if no game has a run of every arm.
        """
        matrices = scores.matrices()
        arms = {
            frozenset(arm.toggles.items()): arm.name
            for arm in study.arms
            if arm.name in scores.arms
        }
        runs = {(cell, MEAN): matrices.seed_means(arm) for cell, arm in arms.items()}
        seeds = {(cell, MEAN): matrices.seeds[arm] for cell, arm in arms.items()}
        present = scores.frame.dropna(subset="score").groupby(["arm", "game"], observed=True)
        recorded = dict(list(present[["seed", "score"]]))
        nothing = scores.frame.iloc[:0]
        for cell, game in itertools.product(arms, scores.games):
            rows = recorded.get((arms[cell], game), nothing)
            runs[cell, game] = rows["score"].to_numpy(dtype=float)
            seeds[cell, game] = tuple(int(seed) for seed in rows["seed"])
        made = {frozenset(arm.toggles.items()) for arm in study.arms}
        return cls(
            arms=arms,
            scopes=(MEAN, *scores.games),
            compared_games=matrices.games,
            runs=runs,
            seeds=seeds,
            undefined=requested(study.designs, study.toggles) - made,
            ceilings=ceilings(scores.normalization, scores.games),
            alone=scores.alone,
        )

    def mean(self, cell: Cell, scope: str) -> float:
        """The mean HNS of a cell's runs: the estimate of f."""
        return float(self.runs[cell, scope].mean())

    def estimate(self, weights: Weights, scope: str, *, ci: float) -> Estimate:
        """The contrast with these weights, or NaN and the reason."""
        if reason := self.lack(weights, scope):
            return missing_estimate(reason)
        return contrast(
            [self.runs[cell, scope] for cell in weights],
            list(weights.values()),
            ci=ci,
            alone=self.alone,
        )

    def lack(self, weights: Weights, scope: str) -> str:
        """Why there is no contrast with these weights; empty if there is one."""
        outside = [cell for cell in weights if cell not in self.arms]
        never = [cell for cell in outside if cell in self.undefined]
        if never:
            return f"{NOT_DEFINED}: {listed([_spelled(cell) for cell in never], most=4)}"
        if outside:
            return f"{NOT_IN_STUDY}: {listed([_spelled(cell) for cell in outside], most=4)}"
        for cell in weights:
            if not len(self.runs[cell, scope]):
                lacks = "no seed has every game yet" if scope == MEAN else "no run yet"
                return f"{lacks}: {self.arms[cell]}"
        return ""

    def floor(self, weights: Weights, scope: str) -> tuple[str, ...]:
        """The games on whose floor one of the cells stands."""
        games = self.compared_games if scope == MEAN else (scope,)
        present = [cell for cell in weights if cell in self.arms]
        return tuple(g for g in games if any(on_floor(self.runs[cell, g]) for cell in present))

    def ceiling(self, weights: Weights, scope: str) -> tuple[str, ...]:
        """The games on whose ceiling one of the cells stands."""
        games = self.compared_games if scope == MEAN else (scope,)
        present = [cell for cell in weights if cell in self.arms]
        return tuple(
            game
            for game in games
            if any(self._at_ceiling(self.runs[cell, game], game) for cell in present)
        )

    def _at_ceiling(self, hns: np.ndarray, game: str) -> bool:
        return len(hns) > 0 and game in self.ceilings and hns.mean() >= self.ceilings[game]

    def spell(self, weights: Weights) -> str:
        """The contrast in arm names: `base+a − base`."""
        ordered = sorted(weights.items(), key=lambda term: (-term[1], -len(term[0])))
        return "".join(
            f"{' − ' if weight < 0 else ' + '}{self.arms.get(cell, _spelled(cell))}"
            for cell, weight in ordered
        ).removeprefix(" + ")


def _spelled(cell: Cell) -> str:
    """A cell without an arm, by what is on."""
    on = [toggle if level == "on" else f"{toggle}:{level}" for toggle, level in sorted(cell)]
    return f"[{' + '.join(on) or 'base'}]"
