"""Evaluation: whole episodes in environments of their own, without learning."""

from collections.abc import Iterator

import numpy as np
import torch

from agents.config import Protocol
from agents.dreamer.agent import Agent
from agents.training.environments import AtariEnvironments
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
    environments = AtariEnvironments(game, count, protocol)
    seeds = [agent.streams.integer(STREAM, env_frames, episode) for episode in range(episodes)]
    playing = list(range(count))  # which episode each environment plays; -1 when none is left
    waiting = iter(range(count, episodes))
    image = environments.reset(dict(enumerate(seeds[:count])))
    state = agent.begin(count)
    is_first = np.ones(count, dtype=np.float32)
    returns, lengths = np.zeros(episodes), np.zeros(episodes, dtype=int)
    try:
        while any(episode >= 0 for episode in playing):
            state = agent.act(
                torch.from_numpy(image).to(state.action.device),
                torch.from_numpy(is_first).to(state.action.device),
                state,
                stream=STREAM,
                argmax=protocol.evaluation_policy == "argmax",
            )
            step = environments.step(state.action.cpu().numpy())
            image, is_first = step.image, np.zeros_like(is_first)
            fresh: dict[int, int] = {}
            for index, episode in enumerate(playing):
                if episode < 0:
                    continue
                returns[episode] += step.reward[index]
                lengths[episode] += 1
                if step.ended[index]:
                    yield EpisodeResult(
                        episode,
                        float(returns[episode]),
                        int(lengths[episode]),
                        bool(step.truncated[index]),
                    )
                    playing[index] = next(waiting, -1)
                    if playing[index] >= 0:
                        fresh[index] = seeds[playing[index]]
            yield None
            if fresh:
                image = environments.reset(fresh)
                is_first[list(fresh)] = 1.0
    finally:
        environments.close()
