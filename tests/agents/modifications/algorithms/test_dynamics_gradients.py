import math
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from agents.assemble import assemble
from agents.config import agent_config
from agents.dreamer.actor_critic import ActorCritic
from agents.dreamer.imagination import ACTION, LATENT, Imagination
from agents.dreamer.rssm import LatentState
from agents.dreamer.world_model import Posteriors
from agents.modifications.algorithms.dynamics_gradients import DynamicsGradients, ThroughTheModel
from agents.parts import Parts
from agents.streams import Streams

A, B, C, GAMMA, H = 0.9, 0.5, 0.3, 0.8, 5


@dataclass(frozen=True)
class Gaussian:
    """Actions are the actor's output plus noise."""

    outputs: int = 1

    def sample(self, logits, uniforms):
        return self.sample_pathwise(logits, uniforms).detach()

    def sample_pathwise(self, logits, uniforms):
        return logits + uniforms[:, None]

    def mode(self, logits):
        return logits

    def log_probability(self, logits, action):
        return -0.5 * (action - logits).square().sum(-1)

    def entropy(self, logits):
        return torch.zeros_like(logits[..., 0])


class Line(nn.Module):
    """z' = A z + B a + noise; the number lies in the recurrent part of the state."""

    def img_step(self, state, action, uniforms, sample=None):
        return LatentState(state.stoch, A * state.deter + B * action + uniforms)


class Formula(nn.Module):
    """A network that is a formula of z."""

    def __init__(self, formula):
        super().__init__()
        self.formula = formula

    def forward(self, feat):
        return self.formula(feat[..., -1:])


class Feedback(nn.Module):
    """The policy a = θ z."""

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta, dtype=torch.float64))

    def forward(self, feat):
        return self.theta * feat[..., -1:]


@pytest.fixture
def on_a_line(make_agent):
    """A linear world that pays -z²/2, and the gradient of θ that one update finds there."""

    def find(settings, start, draws, theta=0.4, discount=None, lambda_=1.0, corrected=True):
        config = {"horizon": H, "gamma": GAMMA, "lambda_": lambda_, "entropy_scale": 0.0}
        agent = make_agent(corrected_targets=corrected, **config)
        model = agent.world_model
        model.rssm, model.reward = Line(), Formula(lambda z: -0.5 * z**2)
        logit = torch.logit(torch.tensor(GAMMA, dtype=torch.float64))
        model.discount = Formula(discount or (lambda z: logit.expand_as(z)))
        learner = ActorCritic(agent.config, Gaussian(), Streams(0))
        learner.actor, learner.target_critic = Feedback(theta), Formula(lambda z: C * z)
        learner.critic = Formula(lambda z: 0 * z)
        learner.optimisers = {"actor": Told(learner.actor), "critic": Told(None)}
        state = LatentState(torch.zeros(1, 1).double(), torch.tensor([[start]]).double())
        imagination = Imagination(model, Posteriors(state, torch.zeros(1).double()))
        uniforms = {LATENT: torch.zeros(H, 1, 1).double(), ACTION: draws[:, None]}
        ThroughTheModel(settings).update(learner, imagination, uniforms)
        return learner.optimisers["actor"].gradient

    return find


class Told:
    """In an optimiser's place: remembers the gradient."""

    def __init__(self, network):
        self.network = network

    def step(self, loss):
        if self.network is not None:
            (self.gradient,) = torch.autograd.grad(loss, self.network.parameters())
        return torch.zeros(())


def test_the_gradient_is_that_of_the_return_with_what_the_policy_reads_held(on_a_line):
    # z_{t+1} = A z_t + B (θ z_t + u_t);  s_{t+1} = dz_{t+1}/dθ = A s_t + B z_t, where the policy
    # only reads z_t
    # loss = -(1/H) Σ_t γ^t [Σ_{k >= t} γ^{k-t} r(z_{k+1}) + γ^{H-t} C z_H],  r' = -z
    draws = torch.tensor([0.3, 0.1, 0.9, 0.5, 0.7], dtype=torch.float64)
    z, s, expected = 1.5, 0.0, 0.0
    for t in range(H):
        z, s = A * z + B * (0.4 * z + draws[t].item()), A * s + B * z
        expected += (t + 1) * GAMMA**t * z * s / H
    expected -= GAMMA**H * C * s
    found = on_a_line(DynamicsGradients(rho=1.0), 1.5, draws)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_rho_mixes_the_two_gradients(on_a_line):
    draws = torch.tensor([0.3, 0.1, 0.9, 0.5, 0.7], dtype=torch.float64)
    reinforce, dynamics, mixed = (
        on_a_line(DynamicsGradients(rho=rho), 1.5, draws) for rho in (0.0, 1.0, 0.3)
    )
    assert reinforce.sign() != 0
    torch.testing.assert_close(mixed, 0.7 * reinforce + 0.3 * dynamics)


def ends(z):
    return 1.0 - z


def along_the_line(theta, draws, read=None):
    """z_0..z_H under the actions theta z_t + u_t; the policy reads other states if given."""
    states = [1.5]
    for t in range(H):
        action = theta * (read or states)[t] + draws[t].item()
        states.append(A * states[-1] + B * action)
    return states


def loss_on_the_line(theta, draws, *, corrected, through):
    """-mean(w_t G_t) at λ = .7; w, what the policy reads, and d unless `through`, from θ = .4."""
    seen = along_the_line(0.4, draws)
    states = along_the_line(theta, draws, seen)
    moving, held = (
        [GAMMA] + [1 / (1 + math.exp(-ends(z))) for z in of[1:]] for of in (states, seen)
    )
    d = moving if through else held
    # textbook, t = 1..H:    a_{t-1} leads to G_t = r_t + d_t [.3 v_t + .7 G_{t+1}]
    # arrival, t = 1..H-1:   a_{t-1} leads to G_t = r_t + d_t [.3 v_{t+1} + .7 G_{t+1}]
    last, ahead = (H, 0) if corrected else (H - 1, 1)
    target, total = C * states[H], 0.0
    for t in range(last, 0, -1):
        value = C * states[t + ahead]
        target = -0.5 * states[t] ** 2 + d[t] * (0.3 * value + 0.7 * target)
        total += math.prod(held[1:t] if corrected else held[: t - 1]) * target
    return -total / last


@pytest.mark.parametrize("corrected", [True, False])
@pytest.mark.parametrize("through", [True, False])
def test_the_gradient_is_the_slope_of_the_loss_discounts_moving_only_if_they_are_to(
    on_a_line, corrected, through
):
    draws, step = torch.tensor([0.3, 0.1, 0.9, 0.5, 0.7], dtype=torch.float64), 1e-5
    found = on_a_line(
        DynamicsGradients(rho=1.0, discount_gradients=through),
        1.5,
        draws,
        discount=ends,
        lambda_=0.7,
        corrected=corrected,
    )
    slopes = {}
    for moving in (True, False):
        above, below = (
            loss_on_the_line(theta, draws, corrected=corrected, through=moving)
            for theta in (0.4 + step, 0.4 - step)
        )
        slopes[moving] = (above - below) / (2 * step)
    assert found.item() == pytest.approx(slopes[through], rel=1e-7)
    assert abs(slopes[True] - slopes[False]) > 1e-2


def test_rho_0_is_bitwise_the_base(make_agent, random_batch, digest):
    config = agent_config("micro")
    null = Parts(config).with_rule("rho", ThroughTheModel(DynamicsGradients(rho=0.0)))
    outcomes = []
    for parts in (Parts(config), null):
        agent = make_agent(parts=parts)
        for seed in range(3):
            posteriors, _ = agent.train_world_model(random_batch(2, 6, seed=seed))
            agent.train_behaviour(posteriors)
        outcomes.append(digest(agent.behaviour.training_state()))
    assert outcomes[0] == outcomes[1]


def test_model_and_target_stay_as_they_are(make_agent, random_batch, digest):
    agent = make_agent(parts=assemble(agent_config("micro"), [DynamicsGradients(rho=1.0)]))
    posteriors, _ = agent.train_world_model(random_batch(2, 6))
    agent.train_behaviour(posteriors)  # the target is copied after the first update
    for p in [*agent.world_model.parameters(), *agent.behaviour.parameters()]:
        p.grad = None
    watched = SimpleNamespace(model=agent.world_model, target=agent.behaviour.target_critic)
    before = {name: digest(module.state_dict()) for name, module in vars(watched).items()}
    agent.train_behaviour(posteriors)
    assert before == {name: digest(module.state_dict()) for name, module in vars(watched).items()}
    assert all(p.grad is None for module in vars(watched).values() for p in module.parameters())
