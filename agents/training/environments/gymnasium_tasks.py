"""Tasks of gymnasium: discrete actions, and images or vectors to look at.

One agent step is one step of the environment. The budget still counts `FRAMES_PER_AGENT_STEP`
env_frames for it, so that a study's numbers mean the same number of updates on every task; the
protocol's frame skip, sticky actions, action set and no-ops are Atari's alone.
"""

import difflib
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ale_py
import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space
from numpy.typing import NDArray
from torch.nn import functional as F

from agents.config import FRAMES_PER_AGENT_STEP, Protocol
from agents.dreamer.networks import DECODER_KERNELS
from agents.observation import Observation
from agents.training.environments.interface import Step

RESIZED = 64
"""Height and width, in pixels, to which images of other sizes are brought."""

SUPPORTED = (
    "supported are discrete actions, and observations that are images (uint8 of shape (H, W), "
    "(H, W, 1) or (H, W, 3)) or vectors (any other array of numbers)"
)

gymnasium.register_envs(ale_py)
ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # else it prints its name every time


def check_id(env_id: str) -> None:
    """Makes sure that gymnasium has the environment and that an agent can play it.

    Args:
        env_id: As gymnasium spells it: CartPole-v1, ALE/Pong-v5, my_package:MyTask-v0.

    Raises:
        ValueError: If it is unknown (the nearest is named), cannot be made here, or has spaces
            that are not supported.
    """
    module, colon, name = env_id.rpartition(":")
    try:
        if colon:
            importlib.import_module(module)
        environment = make(env_id) if name in gymnasium.registry else None
    except Exception as error:  # whatever somebody's constructor raises
        raise ValueError(f"gymnasium cannot make {env_id!r} here: {error}") from error
    if environment is None:
        nearest = difflib.get_close_matches(name, gymnasium.registry, n=1, cutoff=0.5)
        hint = f"; did you mean gymnasium:{nearest[0]}?" if nearest else ""
        raise ValueError(f"gymnasium has no environment {env_id!r}{hint}")
    try:
        actions_of(environment.action_space)
        observation_of(environment.observation_space)
    except ValueError as error:
        raise ValueError(f"gymnasium:{env_id} cannot be played: {error}") from error
    finally:
        environment.close()


def make(env_id: str) -> gymnasium.Env[Any, Any]:
    """One environment as gymnasium registers it, its own time limit included."""
    return gymnasium.make(env_id, disable_env_checker=True)


def actions_of(space: Space[Any]) -> int:
    """Number of actions.

    Raises:
        ValueError: If actions are not discrete.
    """
    if not isinstance(space, Discrete):
        raise ValueError(f"its actions are {space}; {SUPPORTED}")
    return int(space.n)


def observation_of(space: Space[Any]) -> Observation:
    """What an agent is shown of a space.

    Images keep their size if a network fits it and become 64x64 pixels if not; every other array
    is flattened and not rescaled.

    Raises:
        ValueError: If observations are neither images nor vectors.
    """
    if not isinstance(space, Box):
        raise ValueError(f"its observations are {space}; {SUPPORTED}")
    shape = space.shape
    if space.dtype != np.uint8 or len(shape) < 2:
        return Observation((math.prod(shape),))
    if len(shape) > 3 or (len(shape) == 3 and shape[2] not in (1, 3)):
        raise ValueError(f"its observations are bytes of shape {shape}; {SUPPORTED}")
    height, width = shape[:2]
    if height != width or height not in DECODER_KERNELS:
        height = width = RESIZED
    return Observation((shape[2] if len(shape) == 3 else 1, height, width))


def shown(
    value: NDArray[Any], observation: Observation
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Brings what an environment returned into the form that the agent is shown.

    Args:
        value: [H, W] or [H, W, C] for images, any shape for vectors.
        observation: `observation_of` its space.

    Returns:
        [*obs], a fresh array.
    """
    if not observation.is_image:
        return np.array(value, np.float32).reshape(observation.shape)
    channels, height, width = observation.shape
    picture = np.array(value).reshape(*value.shape[:2], channels).transpose(2, 0, 1)
    if picture.shape[1:] == (height, width):
        return picture
    pixels = torch.from_numpy(picture).float()
    means = F.interpolate(pixels[None], (height, width), mode="area")[0]
    return means.round().to(torch.uint8).numpy()


@dataclass
class _Episode:
    """The running episode of one environment.

    Attributes:
        newest: The last observation.
        agent_steps: Taken so far.
        ended: It waits for its reset and is not stepped.
    """

    newest: NDArray[Any]
    agent_steps: int = 0
    ended: bool = False


class GymnasiumEnvironments:
    """N copies of one gymnasium environment, each reset by its own seed.

    An environment whose episode has ended is left alone until its reset: its last observation
    stays, with reward 0 and no further end.

    Args:
        make: Makes one of them.
        count: N.
        protocol: Its episode cap truncates, beside the environment's own time limit.
    """

    def __init__(
        self, make: Callable[[], gymnasium.Env[Any, Any]], count: int, protocol: Protocol
    ) -> None:
        self.count = count
        self._environments = [make() for _ in range(count)]
        first = self._environments[0]
        self.actions = actions_of(first.action_space)
        self.observation = observation_of(first.observation_space)
        self._first_action = int(getattr(first.action_space, "start", 0))
        self._cap = protocol.max_env_frames_per_episode // FRAMES_PER_AGENT_STEP
        self._episodes: dict[int, _Episode] = {}

    def reset(self, seeds: Mapping[int, int]) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Starts an episode in each given environment, as `Environments.reset` says."""
        if len(self._episodes.keys() | seeds.keys()) < self.count:
            raise ValueError("the first reset must start every environment")
        for index, seed in seeds.items():
            value, _ = self._environments[index].reset(seed=seed)
            self._episodes[index] = _Episode(shown(value, self.observation))
        return self._newest()

    def step(self, actions: NDArray[np.int64]) -> Step:
        """Takes one step in every environment whose episode is running."""
        reward = np.zeros(self.count, np.float32)
        terminated, truncated = np.zeros(self.count, bool), np.zeros(self.count, bool)
        for index, episode in self._episodes.items():
            if episode.ended:
                continue
            action = self._first_action + actions[index]
            value, reward[index], over, cut, _ = self._environments[index].step(action)
            episode.newest = shown(value, self.observation)
            episode.agent_steps += 1
            terminated[index] = over
            truncated[index] = cut or (episode.agent_steps == self._cap and not over)
            episode.ended = bool(over or truncated[index])
        return Step(self._newest(), reward, terminated, truncated)

    def close(self) -> None:
        """Closes every environment."""
        for environment in self._environments:
            environment.close()

    def _newest(self) -> NDArray[Any]:
        return np.stack([self._episodes[index].newest for index in range(self.count)])
