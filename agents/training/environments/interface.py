"""What every task looks like to the agent: N environments that are stepped together."""

import typing
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.observation import Observation


@dataclass(frozen=True)
class Task:
    """Anything that can be a run's game.

    Attributes:
        name: As `canonical_game` spells it.
        observation: What is shown.
        actions: Number of discrete actions.
        random_return: Mean return of uniformly random play, where the task declares it; an Atari
            game's comes from the table of human scores.
        reference_return: The return that counts as 1, where the task declares it.
    """

    name: str
    observation: Observation
    actions: int
    random_return: float | None = None
    reference_return: float | None = None


@dataclass(frozen=True)
class Step:
    """What N environments returned.

    Attributes:
        observation: [N, *obs], gray levels or colours (uint8), or vectors (float32).
        reward: [N], not clipped; summed over the skipped frames of an Atari game.
        terminated: [N], the game is over.
        truncated: [N], a time limit has cut the episode.
    """

    observation: NDArray[np.uint8] | NDArray[np.float32]
    reward: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]

    @property
    def ended(self) -> NDArray[np.bool_]:
        """[N], the episode is over, for either reason."""
        return self.terminated | self.truncated


@typing.runtime_checkable
class Environments(typing.Protocol):
    """N copies of one task, each reset by its own seed.

    An episode can be played again, bit for bit, from its seed and its actions. An environment
    whose episode has ended may be stepped on until it is reset; what it then returns says nothing.

    Attributes:
        count: N.
        actions: Number of discrete actions.
        observation: What each of them shows.
    """

    count: int
    actions: int
    observation: Observation

    def reset(self, seeds: Mapping[int, int]) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Starts an episode in each given environment and leaves the others alone.

        Args:
            seeds: Environment index to the seed of its new episode; all of them the first time.

        Returns:
            [N, *obs], the newest observation of every environment.

        Raises:
            ValueError: If the first reset leaves an environment out.
        """

    def step(self, actions: NDArray[np.int64]) -> Step:
        """Takes one agent step in every environment; `actions` is [N]."""

    def close(self) -> None:
        """Frees what the environments hold."""
