"""Evaluation: whole episodes in environments of their own, without learning."""

from collections.abc import Iterator

import numpy as np
import torch

from agents.config import Protocol
from agents.dreamer.agent import Agent
from agents.training.environments import make_environments
from agents.training.reports import EpisodeResult

ENVIRONMENTS = 8
"""Episodes played side by side at most."""

STREAM = "evaluation"


def evaluate(
    agent: Agent, game: str, protocol: Protocol, *, env_frames: int, episodes: int
) -> Iterator[EpisodeResult | None]:
    """Plays `episodes` episodes; yields each as it ends, and None after every step besides.

    Training is not touched: environments, seeds and random numbers are the evaluation's own.
    Episode i at this point of the run is seeded from (seed, "evaluation", env_frames, i).
    """
    count = min(episodes, ENVIRONMENTS)
    environments = make_environments(game, count, protocol)
    seeds = [agent.streams.integer(STREAM, env_frames, episode) for episode in range(episodes)]
    playing = list(range(count))  # which episode each environment plays; -1 when none is left
    waiting = iter(range(count, episodes))
    observation = environments.reset(dict(enumerate(seeds[:count])))
    state = agent.begin(count)
    is_first = np.ones(count, dtype=np.float32)
    returns, taken = np.zeros(episodes), np.zeros((episodes, environments.actions), dtype=int)
    try:
        while any(episode >= 0 for episode in playing):
            state = agent.act(
                torch.from_numpy(observation).to(state.action.device),
                torch.from_numpy(is_first).to(state.action.device),
                state,
                stream=STREAM,
                argmax=protocol.evaluation_policy == "argmax",
            )
            actions = state.action.cpu().numpy()
            step = environments.step(actions)
            observation, is_first = step.observation, np.zeros_like(is_first)
            fresh: dict[int, int] = {}
            for index, episode in enumerate(playing):
                if episode < 0:
                    continue
                returns[episode] += step.reward[index]
                taken[episode, actions[index]] += 1
                if step.ended[index]:
                    yield EpisodeResult(
                        episode,
                        float(returns[episode]),
                        int(taken[episode].sum()),
                        bool(step.truncated[index]),
                        tuple(taken[episode].tolist()),
                    )
                    playing[index] = next(waiting, -1)
                    if playing[index] >= 0:
                        fresh[index] = seeds[playing[index]]
            yield None
            if fresh:
                observation = environments.reset(fresh)
                is_first[list(fresh)] = 1.0
    finally:
        environments.close()
