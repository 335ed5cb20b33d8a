"""Whether an interaction keeps its sign on other scales of the score.

Effects that add up on one scale do not on another: what is worth 100 points to a weak agent may be
worth 1,000 to a strong one. So the sign of an interaction on the score is checked on three others:

    log      ln(return − floor + (human − random) / 10): effects that multiply the return add up;
    rank     of a run among all runs of the study on its game, as a share of them;
    logit    ln(q / (1 − q)), q the place of the return between the lowest and highest that there
             are, each moved out by 1/84 of the range (half a point of Pong): near a bound nothing
             can move much. Only for games with both bounds.

The floor of a game is its lowest return, or where none is known the lower of the random player's
and the lowest of the study. A pair whose sign differs on one of them is flagged: what the score
calls synergy is there a matter of the scale. Only a crossover survives every rescaling.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from results.database.records import StudyRecord
from results.statistics.bounds import return_bounds
from results.statistics.cells import MEAN, Cells
from results.statistics.compared import Weights
from results.statistics.normalize import Reference
from results.statistics.scores import Scores

LOG, RANK, LOGIT = SCALES = ("log", "rank", "logit")
MARGIN = 1 / 84  # of the range, so that a return at a bound has a logit
NOTHING = 1e-9  # an interaction smaller than this has no sign


@dataclass(frozen=True)
class Signs:
    """One contrast on every scale.

    Attributes:
        score: On the score.
        others: By scale; NaN where a game has no such scale or a cell is missing.
    """

    score: float
    others: Mapping[str, float]

    @property
    def turned(self) -> tuple[str, ...]:
        """The scales on which the sign is the opposite."""
        if math.isnan(self.score) or abs(self.score) < NOTHING:
            return ()
        return tuple(
            scale
            for scale, value in self.others.items()
            if abs(value) >= NOTHING and value * self.score < 0
        )


class Scales:
    """The cells of a study on every scale."""

    def __init__(self, study: StudyRecord, scores: Scores, cells: Cells) -> None:
        """Rescales every run.

        Args:
            study: The study.
            scores: Its scores; a study that was imported as scores has no other scales.
            cells: The cells with these scores.
        """
        self._score = cells
        self._others: dict[str, Cells] = {}
        if scores.without_returns:
            return
        for scale in SCALES:
            games = [g for g in scores.games if scale != LOGIT or return_bounds(g) is not None]
            if games:
                self._others[scale] = Cells.of(study, _rescaled(scores, scale, games))

    def signs(self, weights: Weights, scope: str) -> Signs:
        """A contrast on every scale; NaN where it cannot be made on one."""
        return Signs(
            _value(self._score, weights, scope),
            {scale: self._on(scale, weights, scope) for scale in SCALES},
        )

    def _on(self, scale: str, weights: Weights, scope: str) -> float:
        cells = self._others.get(scale)
        if cells is None or scope not in cells.scopes:
            return math.nan
        if scope == MEAN and cells.compared_games != self._score.compared_games:
            return math.nan  # a mean over fewer games is about something else
        return _value(cells, weights, scope)


def _value(cells: Cells, weights: Weights, scope: str) -> float:
    if not weights or cells.lack(weights, scope):
        return math.nan
    return math.fsum(weight * cells.mean(cell, scope) for cell, weight in weights.items())


def _rescaled(scores: Scores, scale: str, games: Sequence[str]) -> Scores:
    """The scores with each run's `score` on another scale, of these games only."""
    frame = scores.frame[scores.frame["game"].isin(games)].copy()
    for game in games:
        mine = frame["game"] == game
        returns = frame.loc[mine, "mean_return"].to_numpy(dtype=float)
        reference = scores.normalization.reference(game)
        frame.loc[mine, "score"] = rescale(returns, scale, game, reference)
    return dataclasses.replace(scores, games=tuple(games), frame=frame)


def rescale(returns: np.ndarray, scale: str, game: str, reference: Reference) -> np.ndarray:
    """The runs of one game on another scale; NaN where a run is missing.

    Args:
        returns: [runs], of the whole study; NaN where a run is missing.
        scale: One of SCALES.
        game: The game; with both bounds, if the scale is LOGIT.
        reference: Its random and human returns.
    """
    present = returns[~np.isnan(returns)]
    bounds = return_bounds(game)
    if scale == RANK:
        ranks = np.full(returns.shape, np.nan)
        ranks[~np.isnan(returns)] = pd.Series(present).rank() / max(len(present), 1)
        return ranks
    if scale == LOG:
        known = bounds[0] if bounds is not None else reference.random
        floor = min(known, present.min(initial=np.inf))
        gap = abs(reference.human - reference.random)
        return np.asarray(np.log(returns - floor + gap / 10), dtype=float)
    if bounds is None:
        raise ValueError(f"{game} has no lowest and highest return")
    low = min(bounds[0], present.min(initial=np.inf))
    high = max(bounds[1], present.max(initial=-np.inf))
    margin = MARGIN * (high - low)
    place = (returns - low + margin) / (high - low + 2 * margin)
    return np.asarray(np.log(place / (1 - place)), dtype=float)
