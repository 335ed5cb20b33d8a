import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from agents import cost, counting
from agents.assemble import assemble
from agents.config import Budget, Protocol, agent_config
from agents.dreamer.agent import Agent
from agents.modifications.algorithms.dynamics_gradients import DynamicsGradients
from agents.modifications.algorithms.ppo import PPO
from agents.modifications.augmentation.random_shift import RandomShift
from agents.modifications.auxiliary.self_predictive import SelfPredictive
from agents.modifications.exploration.plan2explore import Plan2Explore
from agents.modifications.recipe.replay_ratio import ReplayRatio
from agents.observation import ATARI, Observation
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


FAST = 1e11  # products per second
BUDGET = Budget(env_frames=40_000, prefill_frames=20_000)


@pytest.fixture
def known_rate(monkeypatch):
    monkeypatch.setattr(
        cost, "product_rate", lambda precision: {"fp32": 1, "bf16": 8}[precision] * FAST
    )


def tiny(*modifications, **settings):
    return assemble(agent_config("tiny", **settings), modifications)


@pytest.mark.usefixtures("known_rate")
def test_updates_cost_in_proportion_to_their_number():
    budget, protocol = Budget(env_frames=400_000, prefill_frames=20_000), Protocol()
    once, twice = (
        cost.estimate_seconds(tiny(env_frames_per_update=ratio), budget, protocol)
        for ratio in (64.0, 32.0)
    )
    assert twice - once == pytest.approx(380_000 / 64 * cost.update_seconds(tiny()), rel=1e-3)


@pytest.mark.usefixtures("known_rate")
def test_an_update_is_products_numbers_and_calls():
    config = agent_config("tiny")
    products = cost.update_flops(config) / (cost.EFFICIENCY * FAST)
    numbers = cost.SECONDS_PER_NUMBER * cost.activations(config)
    calls = cost.SECONDS_PER_CALL * cost.update_calls(config)
    assert cost.update_seconds(tiny()) == pytest.approx(products + numbers + calls)
    lowered = cost.update_seconds(tiny(), precision="bf16")
    assert lowered == pytest.approx(products / 8 + numbers + calls)


@pytest.mark.usefixtures("known_rate")
def test_the_episode_cap_bounds_the_cost_of_evaluation():
    long, short = (
        cost.estimate_seconds(
            tiny(), BUDGET, Protocol(max_env_frames_per_episode=cap, final_evaluation_episodes=32)
        )
        for cap in (108_000, 400)
    )
    step = cost.SECONDS_PER_AGENT_STEP
    step += cost.SECONDS_PER_ACTING_WEIGHT * cost.weights(agent_config("tiny"))
    # evaluations at 24k, 28k, 32k and 36k frames and 32 episodes at the end: 52 of 2,000 or 100
    assert long - short == pytest.approx(52 * 1900 * step)


def test_the_product_rate_is_that_of_a_computer_and_leaves_its_threads_alone():
    threads = torch.get_num_threads()
    assert 1e8 < cost.product_rate() < 1e14
    assert torch.get_num_threads() == threads


@pytest.mark.usefixtures("known_rate")
def test_smaller_observations_are_forecast_to_cost_less():
    shapes = ((3, 64, 64), (1, 64, 64), (1, 32, 32), (4,))
    seconds = [cost.update_seconds(tiny(), Observation(shape)) for shape in shapes]
    assert seconds == sorted(set(seconds), reverse=True)
    assert cost.update_seconds(tiny()) == seconds[1]


@pytest.mark.usefixtures("known_rate")
def test_episodes_of_other_tasks_are_taken_for_short_ones():
    atari, other = (
        cost.estimate_seconds(tiny(), BUDGET, Protocol(), observation)
        for observation in (ATARI, Observation((3, 64, 64)))
    )
    longer = cost.TYPICAL_EPISODE_AGENT_STEPS - cost.TYPICAL_TASK_AGENT_STEPS
    assert atari - other > 0.9 * 52 * longer * cost.SECONDS_PER_AGENT_STEP - 158 * 0.1


@pytest.mark.parametrize(("length", "horizon", "layers"), [(6, 4, 1), (20, 15, 1), (6, 4, 4)])
def test_calls_are_those_that_torch_counts(length, horizon, layers):
    config = agent_config("micro", length=length, horizon=horizon, layers=layers)
    counted = counting.counted(Parts(config), ATARI)
    assert cost.update_calls(config) == pytest.approx(counted.calls, rel=0.03)


def test_the_counter_counts_what_torch_counts(random_batch):
    parts = tiny(PPO(epochs=1, minibatches=2))
    agent = Agent(parts, ATARI, 18, Streams(0))
    batch = random_batch(parts.config.batch, parts.config.length, actions=18)
    with FlopCounterMode(display=False) as counter:
        agent.train_behaviour(agent.train_world_model(batch)[0])
    assert counting.counted(parts, ATARI).flops == counter.get_total_flops()


class Forgetful(dict):
    """Never holds anything."""

    def __setitem__(self, key, value):
        pass


@pytest.mark.parametrize(
    "rule", [PPO(epochs=2, minibatches=2), DynamicsGradients(), SelfPredictive(), Plan2Explore()]
)
def test_calls_that_were_seen_before_count_as_if_torch_were_asked_again(rule, monkeypatch):
    config = {"pretrain_updates": 0} if isinstance(rule, Plan2Explore) else {}
    parts = tiny(rule, **config)
    counting.counted.cache_clear()
    remembering = counting.counted(parts, ATARI)
    counting.counted.cache_clear()
    monkeypatch.setattr(counting.Counter, "known", Forgetful())
    assert counting.counted(parts, ATARI) == remembering


def test_a_view_shares_its_place_and_a_write_in_place_gives_its_tensor_back():
    with counting.Counter() as counter:
        for _ in range(3):  # asked for once, then answered from memory
            tensor = torch.zeros(1_000, 3, device="meta")
            assert tensor.add_(1) is tensor
            assert tensor.view(3_000).untyped_storage() == tensor.untyped_storage()
            assert tensor.t_().shape == (3, 1_000)
            assert (tensor + tensor).shape == (3, 1_000)
    assert counter.peak == 2 * 4 * 3_000  # of the tensor and the sum


def test_what_an_update_holds_grows_with_its_rows_and_not_with_their_arrangement():
    def held(batch, length):
        config = agent_config("micro", batch=batch, length=length)
        return counting.counted(Parts(config), ATARI).live_bytes

    few, twice = held(8, 8), held(16, 8)
    rows = 2 * (twice - few)  # what 128 rows hold; the rest is parameters and their gradients
    assert held(32, 8) == pytest.approx(twice + rows, rel=0.02)
    assert held(8, 16) == pytest.approx(twice, rel=0.05)


def test_gradients_through_the_model_hold_the_dream():
    vector, budget = Observation((4,)), Budget(env_frames=4_000, prefill_frames=2_000)

    def held(**settings):
        return counting.beside_base(tiny(DynamicsGradients(), **settings), vector).live_bytes

    assert held(horizon=30) > 1.5 * held(horizon=15) > 0
    assert counting.beside_base(tiny(RandomShift(pad=4)), ATARI).live_bytes == 0
    base, through = (
        cost.memory_bytes(parts, budget, vector) for parts in (tiny(), tiny(DynamicsGradients()))
    )
    assert through - base == round(cost.ROOM_AROUND_TENSORS * held())


def test_arms_that_learn_alike_are_counted_once(monkeypatch):
    agents = []
    monkeypatch.setattr(counting, "Agent", lambda *parts: agents.append(parts) or Agent(*parts))
    counting.counted.cache_clear()
    rule = PPO(epochs=1, minibatches=2)
    for actions in (3, 18):
        cost.update_seconds(tiny(rule), actions=actions)
        cost.update_seconds(tiny(rule, RandomShift(pad=4)), actions=actions)
        cost.update_seconds(tiny(rule, ReplayRatio(env_frames_per_update=32)), actions=actions)
    assert len(agents) == 2  # the arm's and the base's


@pytest.mark.usefixtures("known_rate")
def test_what_learns_beside_costs_what_it_computes():
    base = cost.update_seconds(tiny())
    assert cost.update_seconds(tiny(RandomShift(pad=4))) == base
    # eight epochs of eight minibatches: seven more passes of actor and critic, 64 steps of Adam
    assert 2 * base < cost.update_seconds(tiny(PPO())) < 8 * base
