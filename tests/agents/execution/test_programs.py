"""What an agent does can be recorded and replayed, bit by bit, with every modification.

The device is pretended (conftest.py): it refuses what a graph cannot hold, and what Python decides
anew at every call would show as a difference.
"""

import dataclasses

import pytest
import torch

from agents.config import agent_config
from agents.dreamer import products
from agents.dreamer.optimiser import Optimiser
from agents.dreamer.surgery import operate
from agents.execution.executor import REHEARSALS, Eager, Graphed
from agents.modifications import REGISTRY
from agents.parts import Parts
from agents.training.recipe import Operation

pytestmark = pytest.mark.usefixtures("adam_of_an_accelerator")


@pytest.fixture
def pupils(make_pupil, device):
    """Two that are alike, one of them graphed."""

    def pupils(parts, precision="fp32"):
        return [make_pupil(parts, one, precision=precision) for one in (Eager(), Graphed(device))]

    return pupils


@pytest.mark.parametrize("modification", [None, *REGISTRY.values()], ids=lambda m: m and m.name)
def test_graphs_compute_what_the_operations_do(modification, pupils, parts_of, device, digest):
    eager, graphed = pupils(parts_of(modification))
    for each in (eager, graphed):
        each.live()
    assert eager.outcome(digest) == graphed.outcome(digest)
    programs = {"replay", "world_model", "behaviour", "policy/acting", "policy/evaluation"}
    assert device.recorded == len(programs)
    assert device.replayed > len(programs)


@pytest.mark.slow
@pytest.mark.parametrize("modification", REGISTRY.values(), ids=lambda m: m.name)
def test_every_value_of_every_example_can_be_recorded(
    modification, make_pupil, parts_of, make_device
):
    base = parts_of(None)
    seen = [
        dataclasses.replace(one, recipe_wraps=(), edits=())
        for one in (base, parts_of(modification))
    ]
    for example in range(len(modification.examples)):
        for other in (False, True):
            parts = parts_of(modification, example, other=other)
            programs = dataclasses.replace(parts, recipe_wraps=(), edits=())
            if programs in seen:
                continue
            seen.append(programs)
            device = make_device()
            make_pupil(parts, Graphed(device)).live(REHEARSALS + 1)  # a refusal warns: an error
            assert device.recorded == 5


def test_bf16_is_recorded_too(pupils, device, digest, monkeypatch):
    # what a processor multiplies by, and how its Adam steps, is not what an accelerator has
    monkeypatch.setattr(products, "by_onednn", lambda device: False)
    monkeypatch.setattr(Optimiser, "in_one_pass", lambda self: None)
    eager, graphed = pupils(Parts(agent_config("micro")), "bf16")
    for each in (eager, graphed):
        each.live()
    assert eager.outcome(digest) == graphed.outcome(digest)
    assert device.recorded == 5


@pytest.mark.parametrize("sampler", ["episodes", "steps"])
@pytest.mark.parametrize("cross_episodes", [False, True])
def test_a_recorded_sampler_sees_the_episodes_that_come_later(
    filled_replay, device, sampler, cross_episodes
):
    settings = {"sampler": sampler, "cross_episodes": cross_episodes, "ongoing": True}
    config = agent_config("micro", **settings)
    replay, execute = filled_replay(config), Graphed(device)
    generator, drawn = torch.Generator().manual_seed(1), set()
    for episode in range(4):
        replay.begin(torch.full((1, 64, 64), episode, dtype=torch.uint8).numpy())
        for step in range(7):
            draws = torch.rand(2, 2, generator=generator)
            batch = execute("sample", replay.sample_training, {"uniforms": draws})
            assert torch.equal(batch.reward, replay.sample(draws).reward)
            drawn |= set(batch.reward.flatten().tolist())
            replay.add(
                0,
                torch.zeros(1, 64, 64, dtype=torch.uint8).numpy(),
                100.0 * episode + step,
                terminated=False,
                ended=step == 6,
            )
    assert any(reward >= 100.0 for reward in drawn)
    assert device.recorded == 1


def test_what_is_reset_in_place_needs_no_new_recording(pupils, device, digest):
    eager, graphed = pupils(Parts(agent_config("micro")))
    operations = (Operation(("encoder", "critic")), Operation(("rssm", "actor"), 0.8, 0.2))
    for each in (eager, graphed):
        each.live()
        operate(each.agent, operations, 7)
        each.learner.forget()
        each.live(2)
    assert eager.outcome(digest) == graphed.outcome(digest)
    assert device.recorded == 5


def test_an_agent_that_is_put_back_is_recorded_anew(pupils, device, digest):
    eager, graphed = pupils(Parts(agent_config("micro")))
    for each in (eager, graphed):
        each.live()
        state = each.agent.state_dict()
        each.live(1)
        each.agent.load_state_dict(state)
        each.live()
    assert eager.outcome(digest) == graphed.outcome(digest)
    assert device.recorded == 10


def test_a_second_behaviour_whose_time_is_over_leaves_the_program(pupils, parts_of, device):
    plan2explore = REGISTRY["plan2explore"]
    eager, graphed = pupils(parts_of(plan2explore, 7))  # until 80 env_frames
    for each in (eager, graphed):
        for env_frames in (40, 44, 48, 76, 80, 84, 88, 92):
            each.update()
            each.act(env_frames)
    first, last = (set(graphed.told[k]) for k in (0, -2))
    assert {name for name in first - last if name.startswith("plan2explore/imagined")}
    for one, other in zip(eager.told, graphed.told, strict=True):
        if isinstance(one, dict):
            assert one.keys() == other.keys()
            assert all(torch.equal(one[name], other[name]) for name in one)
        else:
            assert one == other
    # batch, world model, two of the behaviour, two of the policy
    assert device.recorded == 6


def test_adam_on_an_accelerator_is_adam(adam_of_an_accelerator):
    values = torch.linspace(-0.01, 0.01, 40, dtype=torch.float64)
    ours, theirs = (torch.nn.Parameter(values.float()) for _ in range(2))
    settings = {"lr": 2e-4, "eps": 1e-5, "weight_decay": 5e-3, "foreach": True}
    (plain,) = adam_of_an_accelerator.__bases__
    one, other = plain([ours], **settings), adam_of_an_accelerator([theirs], **settings)
    exact, m, v = values.clone(), torch.zeros_like(values), torch.zeros_like(values)
    for step in range(1, 50):
        gradient = torch.randn(40, generator=torch.Generator().manual_seed(step)).double()
        for parameter, optimiser in ((ours, one), (theirs, other)):
            parameter.grad = gradient.float()
            optimiser.step()
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient.square()
        root = (v / (1 - 0.999**step)).sqrt() + 1e-5
        exact = exact * (1 - 2e-4 * 5e-3) - 2e-4 * (m / (1 - 0.9**step)) / root
    assert isinstance(other.state[theirs]["step"], torch.Tensor)
    torch.testing.assert_close(theirs, ours, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(theirs.double(), exact, rtol=1e-6, atol=1e-6)
