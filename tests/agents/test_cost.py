import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from agents import cost
from agents.config import Budget, Protocol, agent_config
from agents.dreamer.agent import Agent
from agents.observation import Observation
from agents.parts import Parts
from agents.streams import Streams


def test_the_paper_sized_update_takes_760_gigaflop():
    # counted by torch on another implementation of the same update, 16 x 50, horizon 15
    assert cost.update_flops(agent_config(), actions=18) == pytest.approx(760e9, rel=0.01)


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 32, 32), (1, 16, 16), (50,)])
def test_the_forecast_counts_what_torch_counts(shape, random_batch):
    config, observation = agent_config("tiny", batch=2, length=4, horizon=4), Observation(shape)
    agent = Agent(Parts(config), observation, 18, Streams(0))
    seen = torch.zeros(2, 4, *shape, dtype=observation.dtype)
    batch = dataclasses.replace(random_batch(2, 4, actions=18), observation=seen)
    with FlopCounterMode(display=False) as counter:
        agent.train_behaviour(agent.train_world_model(batch)[0])
    forecast = cost.update_flops(config, actions=18, observation=observation)
    assert forecast == pytest.approx(counter.get_total_flops(), rel=0.03)


def test_updates_cost_in_proportion_to_their_number(monkeypatch):
    monkeypatch.setattr(cost, "product_rate", lambda: 1e10)
    config, protocol = agent_config("tiny"), Protocol()
    budget = Budget(env_frames=400_000, prefill_frames=20_000)
    once = cost.estimate_seconds(config, budget, protocol)
    ratio = config.model_copy(update={"env_frames_per_update": 32.0})
    twice = cost.estimate_seconds(ratio, budget, protocol)
    update = cost.SECONDS_OF_OVERHEAD + cost.update_flops(config) / (cost.EFFICIENCY * 1e10)
    assert twice - once == pytest.approx(380_000 / 64 * update, rel=1e-3)


def test_the_episode_cap_bounds_the_cost_of_evaluation(monkeypatch):
    monkeypatch.setattr(cost, "product_rate", lambda: 1e10)
    budget = Budget(env_frames=40_000, prefill_frames=20_000)
    long, short = (
        cost.estimate_seconds(
            agent_config("tiny"),
            budget,
            Protocol(max_env_frames_per_episode=cap, final_evaluation_episodes=32),
        )
        for cap in (108_000, 400)
    )
    # evaluations at 24k, 28k, 32k and 36k frames and 32 episodes at the end: 52 of 2,000 or 100
    assert long - short == pytest.approx(52 * 1900 * cost.SECONDS_PER_AGENT_STEP)


def test_the_product_rate_is_that_of_a_computer():
    assert 1e8 < cost.product_rate() < 1e14
    assert torch.get_num_threads() == 1


def test_smaller_observations_are_forecast_to_cost_less(monkeypatch):
    monkeypatch.setattr(cost, "product_rate", lambda: 1e10)
    budget = Budget(env_frames=40_000, prefill_frames=20_000)
    seconds = [
        cost.estimate_seconds(agent_config("tiny"), budget, Protocol(), Observation(shape))
        for shape in ((3, 64, 64), (1, 64, 64), (1, 32, 32), (4,))
    ]
    assert seconds == sorted(set(seconds), reverse=True)
    assert cost.estimate_seconds(agent_config("tiny"), budget, Protocol()) == seconds[1]
