"""Forecast: how long the runs of a study should take, before and after some of them have run."""

from collections.abc import Mapping

from ablate.speed import Speed
from agents.config import Budget
from agents.config import Protocol as GameProtocol
from agents.cost import estimate_seconds
from agents.observation import Observation
from agents.parts import Parts
from agents.precision import Precision
from agents.training.environments import Task


class Forecast:
    """What a run should take: as measured runs did, else by the arithmetic of its arm.

    Args:
        speed: What finished runs took.
        tasks: By the name of the game.
    """

    def __init__(
        self,
        speed: Speed,
        tasks: Mapping[str, Task],
        *,
        protocol: GameProtocol,
        budget: Budget,
        precision: Precision,
    ) -> None:
        self._speed, self._tasks = speed, tasks
        self._protocol, self._budget, self._precision = protocol, budget, precision
        self._known: dict[tuple[str, str], tuple[float, bool]] = {}
        self._estimates: dict[tuple[str, Observation, int], float] = {}  # one takes a moment

    def seconds(self, identity: str, parts: Parts, game: str) -> tuple[float, bool]:
        """Seconds of a run of an arm on a game, and whether they come from measured ones."""
        if (identity, game) not in self._known:
            measured = self._speed.of(identity, game)
            self._known[identity, game] = (
                (self._estimate(identity, parts, game), False)
                if measured is None
                else (measured, True)
            )
        return self._known[identity, game]

    def _estimate(self, identity: str, parts: Parts, game: str) -> float:
        """By arithmetic, which is the same for games that look alike."""
        task = self._tasks[game]
        key = identity, task.observation, task.actions
        if key not in self._estimates:
            self._estimates[key] = estimate_seconds(
                parts,
                self._budget,
                self._protocol,
                task.observation,
                task.actions,
                self._precision,
            )
        return self._estimates[key]
