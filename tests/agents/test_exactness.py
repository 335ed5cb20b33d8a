"""Gradients in fp32 are those of float64, at the paper's size, on the same uniforms.

`pytest -m slow -s tests/agents/test_exactness.py` prints what agents/README.md records. Actor and
critic learn in both from one dream, so that no flipped draw is taken for a rounding error.
"""

import copy
import dataclasses

import pytest
import torch

from agents.config import agent_config
from agents.dreamer.agent import Agent
from agents.dreamer.imagination import Imagination
from agents.dreamer.world_model import normalised
from agents.observation import ATARI
from agents.parts import Parts
from agents.streams import Streams
from agents.training.process import set_up_process
from agents.views import View

pytestmark = pytest.mark.slow

ACTIONS = 18


def model_gradients(model, observation, batch, uniforms, dtype):
    observation = observation.to(dtype)
    batch = dataclasses.replace(batch, reward=batch.reward.to(dtype))
    view = View(obs_in=observation, obs_target=observation)
    terms, _, seen = model.losses([view], batch, uniforms.to(dtype))
    return torch.autograd.grad(model.total(terms), list(model.parameters())), seen


def behaviour_gradients(behaviour, trajectory):
    targets = behaviour.targets(trajectory)
    losses = (
        behaviour.actor_loss(trajectory, targets)[0],
        behaviour.critic_loss(trajectory, targets),
    )
    networks = behaviour.actor, behaviour.critic
    return [
        gradient
        for loss, network in zip(losses, networks, strict=True)
        for gradient in torch.autograd.grad(loss, list(network.parameters()))
    ]


def test_gradients_in_fp32_are_those_of_float64(random_batch, uniforms, monkeypatch):
    precision = torch.get_float32_matmul_precision()
    set_up_process(threads=1)
    config = agent_config()
    agent = Agent(Parts(config), ATARI, ACTIONS, Streams(0))
    B, T, H, S = config.batch, config.length, config.horizon, config.stoch
    batch, draws = random_batch(B, T, actions=ACTIONS), uniforms(B, T, S)
    observation = normalised(batch.observation)  # in fp32 for both: a pixel is no exact number
    model, behaviour = (
        copy.deepcopy(one).double() for one in (agent.world_model, agent.behaviour)
    )

    single, seen = model_gradients(agent.world_model, observation, batch, draws, torch.float32)
    chances = {
        "imagination/latent": uniforms(H, B * T, S),
        "imagination/action": uniforms(H, B * T),
    }
    imagination = Imagination(agent.world_model, seen.posteriors)
    dream = imagination.dream(agent.behaviour.act, chances)
    single = [*single, *behaviour_gradients(agent.behaviour, dream)]

    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    double, _ = model_gradients(model, observation, batch, draws, torch.float64)
    wide = {name: value.double() for name, value in vars(dream).items()}
    double = [*double, *behaviour_gradients(behaviour, dataclasses.replace(dream, **wide))]
    monkeypatch.undo()
    torch.set_float32_matmul_precision(precision)

    names = [f"model.{name}" for name, _ in agent.world_model.named_parameters()]
    names += [f"actor.{name}" for name, _ in agent.behaviour.actor.named_parameters()]
    names += [f"critic.{name}" for name, _ in agent.behaviour.critic.named_parameters()]
    errors = {
        name: float((ours.double() - exact).norm() / exact.norm())
        for name, ours, exact in zip(names, single, double, strict=True)
    }
    for name, error in sorted(errors.items(), key=lambda item: -item[1])[:5]:
        print(f"{name}: {error:.1e}")  # noqa: T201
    assert {exact.dtype for exact in double} == {torch.float64}
    assert max(errors.values()) < 1e-5
