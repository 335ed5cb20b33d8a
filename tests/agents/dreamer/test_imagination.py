import pytest
import torch

from agents.config import agent_config
from agents.dreamer.actor_critic import ActorCritic
from agents.dreamer.distributions import CategoricalActions, one_hot_sample
from agents.dreamer.imagination import (
    ACTION,
    LATENT,
    Imagination,
    Trajectory,
    uniforms_shapes,
)
from agents.dreamer.rssm import LatentState
from agents.dreamer.world_model import Posteriors, WorldModel
from agents.observation import ATARI
from agents.streams import Streams

H, N, ACTIONS = 4, 6, 5


@pytest.fixture
def model(perturb):
    return perturb(WorldModel(agent_config("micro"), ATARI, ACTIONS, Streams(0)), 0.3)


@pytest.fixture
def behaviour(perturb):
    config, actions = agent_config("micro"), CategoricalActions(ACTIONS)
    return perturb(ActorCritic(config, actions, Streams(0)), 0.3)


@pytest.fixture
def start(uniforms):
    stoch = one_hot_sample(torch.zeros(N, 4, 4), uniforms(N, 4)).flatten(1)
    is_terminal = torch.tensor([0.0, 1, 0, 0, 0, 1])
    return Posteriors(LatentState(stoch, 2 * uniforms(N, 16) - 1), is_terminal)


@pytest.fixture
def draws(uniforms):
    return {LATENT: uniforms(H, N, 4), ACTION: uniforms(H, N)}


def hand_made(disc, start_disc):
    disc = torch.tensor(disc)[:, None]
    H = len(disc)
    return Trajectory(
        feat=torch.zeros(H + 1, 1, 2),
        action=torch.zeros(H, 1, 3),
        reward=torch.zeros(H, 1),
        disc=disc,
        start_reward=torch.zeros(1),
        start_disc=torch.tensor([start_disc]),
    )


def test_the_weight_is_the_product_of_the_discounts_before():
    # state      z0    z1    z2    z3        H = 3
    # discount   .5    .25   .5    .125      d_0 from data, d_1..d_3 imagined
    # weight     1     .5    .125  -
    trajectory = hand_made([0.25, 0.5, 0.125], start_disc=0.5)
    assert trajectory.weight.flatten().tolist() == [1, 0.5, 0.125]


def test_after_a_terminal_start_nothing_counts_but_the_start_itself():
    trajectory = hand_made([0.9, 0.9, 0.9, 0.9], start_disc=0.0)
    assert trajectory.weight.flatten().tolist() == [1, 0, 0, 0]


def test_the_shortest_horizon_has_two_weights():
    assert hand_made([0.9, 0.9], start_disc=0.5).weight.flatten().tolist() == [1, 0.5]


def test_a_dream_has_the_written_shapes_and_no_gradient(model, behaviour, start, draws):
    trajectory = Imagination(model, start).dream(behaviour.act, draws)
    assert trajectory.feat.shape == (H + 1, N, 32)
    assert trajectory.action.shape == (H, N, ACTIONS)
    assert trajectory.reward.shape == trajectory.disc.shape == trajectory.weight.shape == (H, N)
    tensors = [value for value in vars(trajectory).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 6
    assert not any(tensor.requires_grad for tensor in tensors)


def test_a_dream_starts_from_the_given_states(model, behaviour, start, draws):
    trajectory = Imagination(model, start).dream(behaviour.act, draws)
    assert torch.equal(trajectory.feat[0], start.state.feat)
    expected = torch.tensor([0.999, 0, 0.999, 0.999, 0.999, 0])
    torch.testing.assert_close(trajectory.start_disc, expected)
    torch.testing.assert_close(trajectory.start_reward, model.reward(start.state.feat)[:, 0])


def test_each_action_is_drawn_in_its_state_and_moves_to_the_next(model, behaviour, start, draws):
    trajectory = Imagination(model, start).dream(behaviour.act, draws)
    for t in range(H):
        feat = trajectory.feat[t]
        action = one_hot_sample(behaviour.actor(feat), draws[ACTION][t])
        assert torch.equal(trajectory.action[t], action)
        state = LatentState(feat[:, :16], feat[:, 16:])
        following = model.rssm.img_step(state, action, draws[LATENT][t])
        assert torch.equal(trajectory.feat[t + 1], following.feat)


def test_rewards_and_discounts_are_those_of_the_state_that_is_entered(
    model, behaviour, start, draws
):
    trajectory = Imagination(model, start).dream(behaviour.act, draws)
    for t in range(H):
        feat = trajectory.feat[t + 1]
        torch.testing.assert_close(trajectory.reward[t], model.reward(feat)[:, 0])
        torch.testing.assert_close(trajectory.disc[t], model.discount(feat)[:, 0].sigmoid())


def test_dreams_do_not_touch_each_other(model, behaviour, start, draws):
    trajectory = Imagination(model, start).dream(behaviour.act, draws)
    changed = {name: value.clone() for name, value in draws.items()}
    changed[ACTION][:, 2] = 1 - draws[ACTION][:, 2] - 2**-24
    other = Imagination(model, start).dream(behaviour.act, changed)
    kept = [0, 1, 3, 4, 5]
    assert torch.equal(other.feat[:, kept], trajectory.feat[:, kept])
    assert not torch.equal(other.feat[:, 2], trajectory.feat[:, 2])


def test_a_pathwise_dream_is_the_same_dream(model, behaviour, start, draws):
    trajectory = Imagination(model, start).dream(behaviour.act, draws)
    pathwise = Imagination(model, start).dream_pathwise(behaviour.act_pathwise, draws)
    for name, value in vars(trajectory).items():
        torch.testing.assert_close(getattr(pathwise, name), value, rtol=1e-6, atol=1e-6)


def test_a_pathwise_dream_leads_from_its_end_to_every_action(model, behaviour, start, draws):
    read, taken = [], []

    def policy(feat, uniforms):
        read.append(feat)
        taken.append(behaviour.act_pathwise(feat, uniforms))
        return taken[-1]

    trajectory = Imagination(model, start).dream_pathwise(policy, draws)
    assert not any(feat.requires_grad for feat in read)
    for late in range(H):
        gradients = torch.autograd.grad(
            trajectory.reward[late].sum(), taken, retain_graph=True, allow_unused=True
        )
        reached = [gradient is not None and bool(gradient.any()) for gradient in gradients]
        assert reached == [t <= late for t in range(H)]


def test_a_dream_takes_the_uniforms_that_are_said(model, behaviour, start, draws):
    shapes = uniforms_shapes(agent_config("micro"), N)
    assert shapes == {owner: tuple(values.shape) for owner, values in draws.items()}
