import itertools
from dataclasses import asdict

import pytest
import torch

from agents import benchmark
from agents.benchmark import ACTIONS, Bench, Workload
from agents.config import agent_config
from agents.cost import update_flops


@pytest.fixture
def micro(monkeypatch):
    monkeypatch.setattr(benchmark, "ENV_STEPS", 20)
    monkeypatch.setattr(benchmark, "PRODUCT_SECONDS", 0.01)
    return Bench(Workload(size="micro", settings={"batch": 3}, rounds=2))


def test_every_part_of_a_run_is_measured(micro):
    cost = asdict(micro.measure())
    assert cost.pop("clock") == "cpu"
    assert cost.pop("load") >= 0
    assert all(value > 0 for value in cost.values())
    assert cost["flop_per_update"] == update_flops(agent_config("micro", batch=3), ACTIONS)
    assert cost["fraction_of_limit"] < 1


def test_the_fraction_is_the_median_of_the_rounds_each_between_two_products(micro, monkeypatch):
    flop = update_flops(micro.config, ACTIONS)
    rates = iter([1.0, 3.0, 1.0, 7.0])
    updates = iter([(1.0, 1.0, 5.0), (2.0, 2.0, 9.0), (0.5, 0.5, 1.0)])
    monkeypatch.setattr(micro, "product_rate", lambda: next(rates) * flop)
    monkeypatch.setattr(micro, "update", lambda: next(updates))
    monkeypatch.setattr(micro, "workload", Workload(rounds=3))
    cost = micro.measure()
    # limits 2, 2 and 4 updates a second; reached 1/2, 1/4 and 1 of them
    assert cost.fraction_of_limit == pytest.approx(0.25)
    assert cost.limit_flop_per_second == pytest.approx(2 * flop)
    assert cost.seconds_per_update == 2
    assert (cost.seconds_per_world_model_update, cost.seconds_per_behaviour_update) == (1, 1)
    assert cost.wall_seconds_per_update == 5
    assert cost.updates_per_second == 0.5


def test_a_measured_update_is_an_update(micro):
    before = [p.clone() for p in micro.agent.world_model.parameters()]
    micro.update()
    assert micro.agent.behaviour.updates == 1
    assert all(
        not torch.equal(old, new)
        for old, new in zip(before, micro.agent.world_model.parameters(), strict=True)
    )


def test_data_are_random_and_never_zeros(micro):
    batch = micro.learner.replay.sample(torch.rand(3, 2))
    assert batch.observation.float().std() > 70
    assert batch.reward.std() > 0.5
    assert len(batch.action.unique()) > 3


def test_seconds_are_the_processors_with_one_thread_and_the_walls_with_more(monkeypatch):
    monkeypatch.setattr(benchmark.time, "process_time", itertools.count(100.0).__next__)
    monkeypatch.setattr(benchmark.time, "perf_counter", itertools.count(0.0, 5.0).__next__)
    one, two = (Bench(Workload(size="micro", threads=threads)) for threads in (1, 2))
    assert one.seconds(int) == 1
    assert two.seconds(int) == 5
