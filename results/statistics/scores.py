"""Scores of runs: one row per run that a study asks for, and the matrices that means are taken of.

What is missing is named, never left out. `collecting` fills them.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from results.statistics.errors import IncompleteStudy, StatisticsError, UnknownGame, listed
from results.statistics.intervals import MEANS_ONLY, ONE_SEED
from results.statistics.normalize import Normalization
from results.statistics.options import Measure


@dataclass(frozen=True)
class Missing:
    """A run that was asked for and has no score, and the state it is in."""

    arm: str
    game: str
    seed: int
    state: str

    def __str__(self) -> str:
        return f"{self.arm} on {self.game}, seed {self.seed} ({self.state})"


@dataclass(frozen=True)
class Matrices:
    """Scores as full runs x games matrices: what a mean over games can be taken of.

    Attributes:
        games: The games that every compared arm has at least one run of, in order.
        dropped_games: The games left out because a compared arm has no run of them.
        seeds: Per arm, the seeds that have a score on every one of `games`.
        dropped_seeds: Per arm, the seeds left out because a game is missing.
        values: Per arm, [runs, games] HNS, rows in the order of `seeds`; an arm without any
            run has no rows.
    """

    games: tuple[str, ...]
    dropped_games: tuple[str, ...]
    seeds: Mapping[str, tuple[int, ...]]
    dropped_seeds: Mapping[str, tuple[int, ...]]
    values: Mapping[str, np.ndarray]

    def seed_means(self, arm: str) -> np.ndarray:
        """[runs], one value per seed of an arm: its mean over the games."""
        values = self.values[arm]
        return np.asarray(values.mean(axis=1) if len(values) else np.empty(0))


@dataclass(frozen=True)
class Scores:
    """One row per run that the study asks for.

    Attributes:
        arms: Arms compared, in order.
        games: Games compared, in order.
        seeds: Seeds of the study, in order.
        env_frames: Where the arms are compared.
        normalization: The table that `score` was made with, and what games declare themselves.
        frame: arm, game, seed, env_frames, mean_return, score (HNS), episodes, truncated (how
            many of the episodes were cut); NaN where a run is missing, and in `score` where
            the game has raw returns only.
        missing: The runs without a score.
        without_returns: Whether the study was imported as scores: `mean_return` then holds
            those, and nothing may show it as a return.
        measure: What scored the runs.
        means: Whether each "run" is a mean over an unknown number of runs, as papers print them.
    """

    arms: tuple[str, ...]
    games: tuple[str, ...]
    seeds: tuple[int, ...]
    env_frames: int
    normalization: Normalization
    frame: pd.DataFrame
    missing: tuple[Missing, ...]
    without_returns: bool = False
    measure: Measure = "end"
    means: bool = False

    @property
    def alone(self) -> str:
        """Why a cell with one value has no interval."""
        return MEANS_ONLY if self.means else ONE_SEED

    def refuse_means(self, what: str) -> None:
        """Makes sure that the values are of single runs.

        Args:
            what: What counts runs, for the message: `the probability of improvement`.

        Raises:
            StatisticsError: if each is a mean over an unknown number of runs.
        """
        if self.means:
            raise StatisticsError(
                f"This study holds means over unknown numbers of runs, and {what} counts single "
                "runs: it cannot be made of means."
            )

    def returns(self, arm: str, game: str) -> np.ndarray:
        """[runs], the mean returns of one cell, in order of seed; missing runs are absent.

        Raises:
            StatisticsError: if the study was imported as scores.
        """
        if self.without_returns:
            raise StatisticsError(
                "The runs of this study were imported as human-normalised scores (table "
                f"{self.normalization.id}): their raw returns are not known. `ablate table STUDY "
                "--kind hns` shows the scores."
            )
        return self._column("mean_return", arm, game)

    def hns(self, arm: str, game: str) -> np.ndarray:
        """[runs], the human-normalised scores of one cell; missing runs are absent.

        Raises:
            UnknownGame: if the game has raw returns only.
        """
        if game not in self.normalization:
            self._refuse_raw_only()
        return self._column("score", arm, game)

    def _column(self, column: str, arm: str, game: str) -> np.ndarray:
        cell = self._cells.get((arm, game))
        return np.empty(0) if cell is None else cell[column].dropna().to_numpy(dtype=float)

    @cached_property
    def _cells(self) -> dict[Hashable, pd.DataFrame]:
        """The rows of every cell, by (arm, game)."""
        return dict(iter(self.frame.groupby(["arm", "game"], sort=False)))

    def runs_per_cell(self) -> tuple[int, int]:
        """The fewest and the most runs with a score among the cells arm x game."""
        counts = self.frame.groupby(["arm", "game"])["mean_return"].count()
        return int(counts.min()), int(counts.max())

    def matrices(self) -> Matrices:
        """The HNS as full matrices, restricted to what all compared arms share.

        Arms without a single run take no part in choosing the games.

        Raises:
            UnknownGame: if one of the games has raw returns only.
            IncompleteStudy: if no game has a run of every compared arm.
        """
        self._refuse_raw_only()
        wide = self._wide()
        compared = [arm for arm in self.arms if wide[arm].notna().to_numpy().any()]
        games = [g for g in self.games if all(wide[arm][g].notna().any() for arm in compared)]
        if not games:
            raise IncompleteStudy(
                "No game has a run of every arm, so there is no mean over games to compare: "
                "let the study go on, or choose arms or games that have runs."
            )
        complete = {arm: wide[arm][games].dropna() for arm in self.arms}
        begun = {arm: wide[arm].dropna(how="all") for arm in self.arms}
        return Matrices(
            games=tuple(games),
            dropped_games=tuple(game for game in self.games if game not in games),
            seeds={arm: tuple(complete[arm].index) for arm in self.arms},
            dropped_seeds={
                arm: tuple(begun[arm].index.difference(complete[arm].index)) for arm in self.arms
            },
            values={arm: complete[arm].to_numpy(dtype=float) for arm in self.arms},
        )

    def _refuse_raw_only(self) -> None:
        """Makes sure that every game has a scale.

        Raises:
            UnknownGame: if one has raw returns only.
        """
        without = [game for game in self.games if game not in self.normalization]
        if without:
            rest = len(without) < len(self.games)
            raise UnknownGame(
                f"No random and human returns are known for {listed(without)}: not in the table "
                f"{self.normalization.id}, and not declared by the game itself. So there are raw "
                "returns only, no normalised score and no mean over games: `ablate table STUDY "
                "--kind scores` shows them."
                f"{' The other games can be compared alone, with --games.' if rest else ''}"
            )

    def _wide(self) -> dict[str, pd.DataFrame]:
        """Per arm, [seeds, games], NaN where a run is missing; one pivot for all arms."""
        table = self.frame.pivot(index=["arm", "seed"], columns="game", values="score")
        every = pd.MultiIndex.from_product([self.arms, self.seeds], names=["arm", "seed"])
        table = table.reindex(index=every, columns=list(self.games))
        return {arm: pd.DataFrame(table.loc[arm]) for arm in self.arms}
