"""The A2C losses against independent transcriptions of the official code and the textbook."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from agents.config import agent_config
from agents.dreamer.actor_critic import ActorCritic
from agents.dreamer.distributions import CategoricalActions
from agents.dreamer.imagination import Trajectory
from agents.streams import Streams

ACTIONS = 3


@pytest.fixture
def make_behaviour(perturb):
    """In double precision; actor, critic and target critic all differ from their beginnings."""

    def make(**settings):
        config = agent_config("micro", entropy_scale=0.05, **settings)
        actions = CategoricalActions(ACTIONS)
        return perturb(ActorCritic(config, actions, Streams(0)), 0.2).double()

    return make


@pytest.fixture
def behaviour(make_behaviour):
    return make_behaviour()


@pytest.fixture
def corrected(make_behaviour):
    return make_behaviour(corrected_targets=True)


def arrivals(H, N, seed=0):
    """Arrays as the official code has them: r_t, d_t and the action *into* z_t, t = 0..H."""
    rng = np.random.default_rng(seed)
    discount = rng.uniform(0.3, 1.0, (H + 1, N))
    discount[0] = 0.999
    discount[0, 0] = 0.0  # a terminal start
    return {
        "feat": rng.normal(size=(H + 1, N, 32)),
        "reward": rng.normal(size=(H + 1, N)),
        "discount": discount,
        "action": np.eye(ACTIONS)[rng.integers(ACTIONS, size=(H + 1, N))],
    }


def standard(arrays):
    """The same rollout in the standard alignment."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return Trajectory(
        feat=tensors["feat"],
        action=tensors["action"][1:],
        reward=tensors["reward"][1:],
        disc=tensors["discount"][1:],
        start_reward=tensors["reward"][0],
        start_disc=tensors["discount"][0],
    )


def predictions(arrays, behaviour):
    """Values of the target critic and of the critic [H+1, N], and the policy [H+1, N, A]."""
    feat = torch.from_numpy(arrays["feat"])
    with torch.no_grad():
        v = behaviour.target_critic(feat)[..., 0].numpy()
        V = behaviour.critic(feat)[..., 0].numpy()
        scores = behaviour.actor(feat).numpy()
    p = np.exp(scores - scores.max(-1, keepdims=True))
    return v, V, p / p.sum(-1, keepdims=True)


def official(arrays, behaviour):
    """Specification, 1.6, sum by sum: states 0..H, a_k led into z_k, rewards on arrival."""
    v, V, p = predictions(arrays, behaviour)
    r, d, a = arrays["reward"], arrays["discount"], arrays["action"].argmax(-1)
    H, N = len(r) - 1, r.shape[1]
    actor = critic = 0.0
    returns = np.zeros((H + 1, N))
    for n in range(N):
        returns[H, n] = v[H, n]
        for k in range(H - 1, -1, -1):
            ahead = 0.05 * v[k + 1, n] + 0.95 * returns[k + 1, n]
            returns[k, n] = r[k, n] + d[k, n] * ahead
        weight = 1.0
        for k in range(H):
            critic += weight * 0.5 * (V[k, n] - returns[k, n]) ** 2 / (H * N)
            if k < H - 1:
                log_pi = math.log(p[k, n, a[k + 1, n]])
                spread = -(p[k, n] * np.log(p[k, n])).sum()
                advantage = returns[k + 1, n] - v[k, n]
                actor -= weight * (log_pi * advantage + 0.05 * spread) / ((H - 1) * N)
            weight *= d[k, n]
    return actor, critic, returns[:H]


def textbook(arrays, behaviour):
    """Sutton & Barto's: step k leaves z_k by a_{k+1}, is paid r_{k+1} and lives on with d_{k+1}.

    The return is not the recursion but the definition of TD(lambda): the sum of the temporal
    differences ahead, each worth lambda times the discounts in between.
    """
    v, V, p = predictions(arrays, behaviour)
    r, d, a = arrays["reward"], arrays["discount"], arrays["action"].argmax(-1)
    H, N = len(r) - 1, r.shape[1]
    actor = critic = 0.0
    returns = np.zeros((H, N))
    for n in range(N):
        delta = [r[k + 1, n] + d[k + 1, n] * v[k + 1, n] - v[k, n] for k in range(H)]
        weight = 1.0 if d[0, n] > 0 else 0.0  # whether the start is alive
        for k in range(H):
            advantage, trace = 0.0, 1.0
            for ahead in range(k, H):
                advantage += trace * delta[ahead]
                trace *= 0.95 * d[ahead + 1, n]
            returns[k, n] = v[k, n] + advantage
            critic += weight * 0.5 * (V[k, n] - returns[k, n]) ** 2 / (H * N)
            log_pi = math.log(p[k, n, a[k + 1, n]])
            spread = -(p[k, n] * np.log(p[k, n])).sum()
            actor -= weight * (log_pi * advantage + 0.05 * spread) / (H * N)
            weight *= d[k + 1, n]
    return actor, critic, returns


@pytest.mark.parametrize("H", [15, 4, 2])
@pytest.mark.parametrize(("corrected_targets", "reference"), [(False, official), (True, textbook)])
def test_the_losses_are_those_of_the_specification(
    make_behaviour, corrected_targets, reference, H
):
    arrays, behaviour = arrivals(H, 7), make_behaviour(corrected_targets=corrected_targets)
    trajectory = standard(arrays)
    targets = behaviour.targets(trajectory)
    actor_loss, _ = behaviour.actor_loss(trajectory, targets)
    critic_loss = behaviour.critic_loss(trajectory, targets)
    actor, critic, returns = reference(arrays, behaviour)
    assert actor_loss.item() == pytest.approx(actor, rel=1e-10)
    assert critic_loss.item() == pytest.approx(critic, rel=1e-10)
    np.testing.assert_allclose(targets.returns.numpy(), returns, rtol=1e-10)


def test_three_steps_by_hand(behaviour, monkeypatch):
    # state      z0    z1    z2    z3        H = 3, lambda .95
    # reward     1     2     4     -         on arrival
    # discount   .5    1     .5    -
    # value      10    20    40    80        target critic
    # target     G0    G1    G2    80        G2 = 4 + .5 * 80 = 44
    #                                        G1 = 2 + 1 * (.05 * 40 + .95 * 44) = 45.8
    #                                        G0 = 1 + .5 * (.05 * 20 + .95 * 45.8) = 23.255
    # weight     1     .5    .5
    # advantage  G1 - v0 = 35.8, G2 - v1 = 24
    arrays = {
        "feat": np.zeros((4, 1, 32)),
        "reward": np.array([[1.0], [2], [4], [99]]),
        "discount": np.array([[0.5], [1], [0.5], [99]]),
        "action": np.eye(3)[[[0], [1], [2], [0]]],
    }
    for k, value in enumerate((10, 20, 40, 80)):
        arrays["feat"][k] = value
    trajectory = standard(arrays)
    monkeypatch.setattr(behaviour.target_critic, "forward", lambda feat: feat[..., :1])
    # the critic says 0 everywhere, the actor has equal chances
    monkeypatch.setattr(behaviour.critic, "forward", lambda feat: 0 * feat[..., :1])
    monkeypatch.setattr(behaviour.actor, "forward", lambda feat: 0 * feat[..., :3])
    targets = behaviour.targets(trajectory)
    assert targets.returns.flatten().tolist() == pytest.approx([23.255, 45.8, 44])
    assert targets.advantage.flatten().tolist() == pytest.approx([35.8, 24])
    assert targets.weight.flatten().tolist() == pytest.approx([1, 0.5, 0.5])

    loss, spread = behaviour.actor_loss(trajectory, targets)
    log3 = math.log(3)
    first, second = -log3 * 35.8 + 0.05 * log3, -log3 * 24 + 0.05 * log3
    assert loss.item() == pytest.approx(-(first + 0.5 * second) / 2)
    assert spread.flatten().tolist() == pytest.approx([log3] * 2)
    expected = 0.5 * (23.255**2 + 0.5 * 45.8**2 + 0.5 * 44**2) / 3
    assert behaviour.critic_loss(trajectory, targets).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("corrected_targets", "trained"), [(False, {1, 2, 3}), (True, {1, 2, 3, 4})]
)
def test_the_last_action_is_trained_by_the_corrected_targets_alone(
    make_behaviour, corrected_targets, trained
):
    arrays, behaviour = arrivals(4, 3), make_behaviour(corrected_targets=corrected_targets)

    def loss(arrays):
        trajectory = standard(arrays)
        return behaviour.actor_loss(trajectory, behaviour.targets(trajectory))[0].item()

    before = loss(arrays)
    for k in range(5):  # the action into z_k is taken in z_{k-1}
        other = {name: array.copy() for name, array in arrays.items()}
        other["action"][k] = np.roll(other["action"][k], 1, -1)
        assert (loss(other) != before) == (k in trained), k


@pytest.mark.parametrize(("corrected_targets", "moved"), [(False, True), (True, False)])
def test_a_terminal_start_trains_its_first_action_unless_corrected(
    make_behaviour, corrected_targets, moved
):
    arrays = {name: array[:, :1] for name, array in arrivals(4, 1).items()}
    assert arrays["discount"][0] == 0
    behaviour = make_behaviour(corrected_targets=corrected_targets)
    trajectory = standard(arrays)
    targets = behaviour.targets(trajectory)
    behaviour.actor_loss(trajectory, targets)[0].backward()
    behaviour.critic_loss(trajectory, targets).backward()
    for network in (behaviour.actor, behaviour.critic):
        assert any(p.grad.any() for p in network.parameters()) == moved


def test_the_bootstrap_is_the_value_of_the_last_state(behaviour):
    arrays = arrivals(4, 3)
    other = {name: array.copy() for name, array in arrays.items()}
    other["feat"][4] += 1
    returns = [behaviour.targets(standard(a)).returns for a in (arrays, other)]
    with torch.no_grad():
        v = [
            behaviour.target_critic(torch.from_numpy(a["feat"][4]))[:, 0] for a in (arrays, other)
        ]
    d = torch.from_numpy(arrays["discount"])
    # wholly in G_3, and by lambda and the discounts in between in G_2
    torch.testing.assert_close(returns[1][3] - returns[0][3], d[3] * (v[1] - v[0]))
    torch.testing.assert_close(returns[1][2] - returns[0][2], d[2] * 0.95 * d[3] * (v[1] - v[0]))


@pytest.mark.parametrize(("corrected_targets", "unused"), [(False, 4), (True, 0)])
def test_one_reward_of_the_rollout_is_not_used(make_behaviour, corrected_targets, unused):
    # z_0..z_4 bear five rewards for four targets: the official code drops the last one, which
    # its bootstrap contains; the textbook the first, which came before the first action
    arrays, behaviour = arrivals(4, 3), make_behaviour(corrected_targets=corrected_targets)
    before = behaviour.targets(standard(arrays)).returns
    for k in range(5):
        other = {name: array.copy() for name, array in arrays.items()}
        other["reward"][k] += 0.77
        after = behaviour.targets(standard(other)).returns
        assert torch.equal(before, after) == (k == unused), k


def test_the_last_discount_is_used_by_the_corrected_targets_alone(behaviour, corrected):
    arrays = arrivals(4, 3)
    other = {name: array.copy() for name, array in arrays.items()}
    other["discount"][4] = 0.07
    for each, used in ((behaviour, False), (corrected, True)):
        before, after = (vars(each.targets(standard(a))) for a in (arrays, other))
        changed = [name for name in before if not torch.equal(before[name], after[name])]
        assert changed == (["returns", "advantage"] if used else [])


def gradients(behaviour):
    return {
        part: [parameter.grad is not None for parameter in getattr(behaviour, part).parameters()]
        for part in ("actor", "critic", "target_critic")
    }


def test_the_actor_loss_reaches_the_actor_alone(behaviour):
    trajectory = standard(arrivals(4, 3))
    trajectory = dataclasses.replace(trajectory, feat=trajectory.feat.requires_grad_())
    targets = behaviour.targets(trajectory)
    assert not any(value.requires_grad for value in vars(targets).values())
    loss, spread = behaviour.actor_loss(trajectory, targets)
    assert not spread.requires_grad
    loss.backward()
    reached = gradients(behaviour)
    assert all(reached["actor"])
    assert not any(reached["critic"] + reached["target_critic"])


def test_the_critic_loss_reaches_the_critic_alone(behaviour):
    trajectory = standard(arrivals(4, 3))
    behaviour.critic_loss(trajectory, behaviour.targets(trajectory)).backward()
    reached = gradients(behaviour)
    assert all(reached["critic"])
    assert not any(reached["actor"] + reached["target_critic"])


def test_the_actor_gradient_is_that_of_reinforce(behaviour):
    # d loss / d score_i = -w [A (1[i = a] - p_i) + eta dH/dscore_i] / count
    trajectory = standard(arrivals(2, 1))
    targets = behaviour.targets(trajectory)
    scores = torch.tensor([[[0.3, -0.2, 0.9]]], dtype=torch.float64, requires_grad=True)
    behaviour.actor.forward = lambda feat: scores
    behaviour.actor_loss(trajectory, targets)[0].backward()
    p = scores.detach().softmax(-1)
    spread = -p * (p.log() - (p * p.log()).sum(-1, keepdim=True))
    expected = targets.advantage[..., None] * (trajectory.action[:1] - p) + 0.05 * spread
    torch.testing.assert_close(scores.grad, -expected)


def test_actions_are_drawn_by_the_uniforms_or_are_the_most_probable(behaviour, uniforms):
    feat = torch.from_numpy(arrivals(4, 200)["feat"][0])
    drawn = behaviour.act(feat, uniforms(200))
    probable = behaviour.act(feat, None)
    assert torch.equal(probable.argmax(-1), behaviour.actor(feat).argmax(-1))
    assert 0 < (drawn != probable).any(-1).float().mean() < 1
    assert (drawn.sum(-1) == 1).all()


def test_copying_makes_the_target_the_critic_and_keeps_them_apart(behaviour):
    feat = torch.from_numpy(arrivals(4, 3)["feat"])
    assert not torch.equal(behaviour.critic(feat), behaviour.target_critic(feat))
    behaviour.copy_target()
    assert torch.equal(behaviour.critic(feat), behaviour.target_critic(feat))
    with torch.no_grad():
        for parameter in behaviour.critic.parameters():
            parameter += 1
    assert not torch.equal(behaviour.critic(feat), behaviour.target_critic(feat))
    assert not any(p.requires_grad for p in behaviour.target_critic.parameters())


def test_the_statistics_are_means_and_spreads(behaviour):
    arrays = arrivals(4, 3)
    trajectory = standard(arrays)
    targets = behaviour.targets(trajectory)
    v, _, _ = predictions(arrays, behaviour)
    _, _, returns = official(arrays, behaviour)
    advantage = returns[1:] - v[:3]
    weight = np.cumprod([np.ones(3), *arrays["discount"][:3]], axis=0)
    expected = {
        "imagined_reward": arrays["reward"][1:].mean(),
        "imagined_discount": arrays["discount"][1:].mean(),
        "imagined_weight": weight.mean(),
        "imagined_value": v[:4].mean(),
        "imagined_value_std": v[:4].std(),
        "imagined_return": returns.mean(),
        "imagined_return_std": returns.std(),
        "imagined_advantage": advantage.mean(),
        "imagined_advantage_std": advantage.std(),
    }
    statistics = behaviour.statistics(trajectory, targets)
    assert {name: float(value) for name, value in statistics.items()} == pytest.approx(expected)
    assert not any(value.requires_grad for value in statistics.values())


@dataclasses.dataclass(frozen=True)
class Lever:
    """An action distribution of another kind: one number, which one output sets exactly."""

    outputs: int = 1

    def sample(self, logits, uniforms):
        return self.sample_pathwise(logits, uniforms).detach()

    def sample_pathwise(self, logits, uniforms):
        return logits + uniforms[:, None]

    def mode(self, logits):
        return logits

    def log_probability(self, logits, action):
        return -(logits - action).square().sum(-1)

    def entropy(self, logits):
        return logits.sum(-1)


def test_the_action_distribution_is_a_slot(perturb, uniforms):
    config = agent_config("micro", entropy_scale=0.0)
    behaviour = perturb(ActorCritic(config, Lever(), Streams(0)), 0.2).double()
    arrays = arrivals(4, 3) | {"action": np.full((5, 3, 1), 2.0)}
    trajectory = standard(arrays)
    feat, draws = trajectory.feat[0], uniforms(3)
    means = behaviour.actor(feat)
    assert torch.equal(behaviour.act(feat, None), means)
    assert torch.equal(behaviour.act(feat, draws), means + draws[:, None])
    targets = behaviour.targets(trajectory)
    loss, spread = behaviour.actor_loss(trajectory, targets)
    outputs = behaviour.actor(trajectory.feat[:3])[..., 0]
    expected = (targets.weight[:3] * (outputs - 2).square() * targets.advantage).mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(spread, outputs)
