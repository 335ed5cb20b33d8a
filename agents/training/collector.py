"""The collector: one environment, played with random actions or by the agent, into replay."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.dreamer.agent import Agent
from agents.dreamer.policy import ActingState
from agents.execution.devices import sent
from agents.streams import Streams
from agents.training.acting import Acting, AtOnce
from agents.training.checkpoint import CheckpointError
from agents.training.environments import Environments
from agents.training.replay import Replay


@dataclass
class _Episode:
    observation: NDArray[Any]  # [1, *obs], the newest
    state: ActingState
    is_first: bool = True
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class EndedEpisode:
    """What a training episode came to; `discounted_return` as in `reports.Episode`."""

    episode_return: float
    length: int  # agent_steps
    truncated: bool
    discounted_return: float


class Collector:
    """Plays episode after episode; episode k is seeded from (seed, "environment", k).

    Args:
        agent: Chooses the actions.
        replay: Takes what is seen.
        environments: One of them.
        streams: Of the run.
        acting: Which of the agent's parameters choose; those of the moment if not given.
    """

    def __init__(
        self,
        agent: Agent,
        replay: Replay,
        environments: Environments,
        streams: Streams,
        acting: Acting | None = None,
    ) -> None:
        self.agent, self.replay, self.environments = agent, replay, environments
        self.streams = streams
        self.acting = AtOnce() if acting is None else acting
        self.episodes = 0
        self._episode = self._begin()
        replay.begin(self._episode.observation[0])

    def random_step(self) -> EndedEpisode | None:
        """Takes one agent step with an action drawn from all with equal chance."""
        draw = float(self.streams.uniforms("prefill", 1))
        return self._step(int(draw * self.environments.actions))

    def behaviour_step(self, env_frames: int) -> EndedEpisode | None:
        """Takes one agent step with an action drawn from the actor.

        Args:
            env_frames: Seen so far, from which explorers read where in the run they are.
        """
        episode = self._episode
        device = episode.state.action.device
        with self.acting.queue():
            episode.state = self.agent.act(
                sent(episode.observation, device),
                torch.full((1,), float(episode.is_first), device=device),
                episode.state,
                stream="acting",
                explore_at=env_frames,
                by=self.acting.deputy,
            )
            action = int(episode.state.action)
        episode.is_first = False
        return self._step(action)

    def forget(self) -> None:
        """Lets the agent go on from the zero state, in the middle of the episode."""
        with self.acting.queue():
            self._episode.state, self._episode.is_first = self.agent.begin(1), True

    def state_dict(self) -> dict[str, Any]:
        """The running episode: its number, which gives its seed, its actions, what acts in it."""
        episode = self._episode
        return {
            "episodes": self.episodes,
            "actions": list(episode.actions),
            "is_first": episode.is_first,
            "stoch": episode.state.latent.stoch.to("cpu", copy=True),
            "deter": episode.state.latent.deter.to("cpu", copy=True),
            "action": episode.state.action.to("cpu", copy=True),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Plays the running episode again, up to where `state_dict` found it.

        An emulator cannot be copied, but an episode follows from its seed and its actions. The
        replay must have been restored before.

        Raises:
            CheckpointError: If the environment does not show what it showed then.
        """
        self.episodes = state["episodes"]
        self._episode = episode = self._begin()
        for action in state["actions"]:
            step = self.environments.step(np.array([action]))
            episode.observation = step.observation
            episode.actions.append(action)
            episode.rewards.append(float(step.reward[0]))
        if not self.replay.newest_is(episode.observation[0]):
            raise CheckpointError(
                "the environment does not come back to where the checkpoint was taken: another "
                "version of it, or of its game, is installed"
            )
        device = episode.state.action.device
        episode.is_first = state["is_first"]
        episode.state = ActingState.of(
            *(state[name].to(device) for name in ("stoch", "deter", "action"))
        )

    def _begin(self) -> _Episode:
        seed = self.streams.integer("environment", self.episodes)
        with self.acting.queue():
            state = self.agent.begin(1)
        return _Episode(self.environments.reset({0: seed}), state)

    def _step(self, action: int) -> EndedEpisode | None:
        step, episode = self.environments.step(np.array([action])), self._episode
        reward, truncated = float(step.reward[0]), bool(step.truncated[0])
        terminated = bool(step.terminated[0])
        ended = terminated or truncated
        self.replay.add(action, step.observation[0], reward, terminated=terminated, ended=ended)
        episode.observation = step.observation
        episode.actions.append(action)
        episode.rewards.append(reward)
        if not ended:
            return None
        self.episodes += 1
        self._episode = self._begin()
        self.replay.begin(self._episode.observation[0])
        return EndedEpisode(
            sum(episode.rewards),
            len(episode.actions),
            truncated,
            mean_discounted_return(episode.rewards, self.agent.config.gamma),
        )


def mean_discounted_return(rewards: list[float], gamma: float) -> float:
    """Mean over an episode's steps of Σ γ^k tanh(r), from each step to the end."""
    total = following = 0.0
    for reward in reversed(rewards):
        following = math.tanh(reward) + gamma * following
        total += following
    return total / len(rewards)
