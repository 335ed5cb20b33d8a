"""The collector: one environment, played with random actions or by the agent, into replay."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from agents.dreamer.agent import ActingState, Agent
from agents.streams import Streams
from agents.training.environments import AtariEnvironments
from agents.training.replay import Replay


@dataclass
class _Episode:
    image: NDArray[np.uint8]  # [1, 1, 64, 64], the newest
    state: ActingState
    is_first: bool = True
    episode_return: float = 0.0
    length: int = 0


@dataclass(frozen=True)
class EndedEpisode:
    """What a training episode came to."""

    episode_return: float
    length: int  # agent_steps
    truncated: bool


class Collector:
    """Plays episode after episode; episode k is seeded from (seed, "environment", k)."""

    def __init__(
        self, agent: Agent, replay: Replay, environments: AtariEnvironments, streams: Streams
    ) -> None:
        self.agent, self.replay, self.environments = agent, replay, environments
        self.streams = streams
        self.episodes = 0
        self._episode = self._begin()

    def random_step(self) -> EndedEpisode | None:
        """Takes one agent step with an action drawn from all with equal chance."""
        draw = float(self.streams.uniforms("prefill", 1))
        return self._step(int(draw * self.environments.actions))

    def behaviour_step(self) -> EndedEpisode | None:
        """Takes one agent step with an action drawn from the actor."""
        episode = self._episode
        device = episode.state.action.device
        episode.state = self.agent.act(
            torch.from_numpy(episode.image).to(device),
            torch.full((1,), float(episode.is_first), device=device),
            episode.state,
            stream="acting",
        )
        episode.is_first = False
        return self._step(int(episode.state.action))

    def _begin(self) -> _Episode:
        seed = self.streams.integer("environment", self.episodes)
        image = self.environments.reset({0: seed})
        self.replay.begin(image[0])
        return _Episode(image, self.agent.begin(1))

    def _step(self, action: int) -> EndedEpisode | None:
        step, episode = self.environments.step(np.array([action])), self._episode
        reward, truncated = float(step.reward[0]), bool(step.truncated[0])
        terminated = bool(step.terminated[0])
        ended = terminated or truncated
        self.replay.add(action, step.image[0], reward, terminated=terminated, ended=ended)
        episode.image = step.image
        episode.episode_return += reward
        episode.length += 1
        if not ended:
            return None
        self.episodes += 1
        self._episode = self._begin()
        return EndedEpisode(episode.episode_return, episode.length, truncated)
