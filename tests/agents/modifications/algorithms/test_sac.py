import dataclasses
import math

import pytest
import torch
from pydantic import ValidationError

from agents.assemble import AssemblyError, assemble
from agents.config import agent_config
from agents.dreamer.distributions import CategoricalActions
from agents.dreamer.imagination import Trajectory
from agents.dreamer.surgery import operate
from agents.modifications.algorithms.sac import (
    SAC,
    SoftActorCritic,
    soft_returns,
    soft_value,
)
from agents.streams import Streams
from agents.training.recipe import Operation

ACTIONS = 3


@pytest.fixture
def make_sac(perturb):
    def make(settings=None, **base):
        settings = SAC(temperature=0.5) if settings is None else settings
        config, actions = agent_config("micro", **base), CategoricalActions(ACTIONS)
        return perturb(SoftActorCritic(settings, config, actions, Streams(0)), 0.2).double()

    return make


def numbers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def trajectory(H=3, N=2):
    action = torch.eye(ACTIONS, dtype=torch.float64)[torch.arange(H * N).view(H, N) % ACTIONS]
    return Trajectory(
        feat=numbers(H + 1, N, 32),
        action=action,
        reward=numbers(H, N, seed=1),
        disc=numbers(H, N, seed=2).sigmoid(),
        start_reward=torch.full((N,), 99.0, dtype=torch.float64),
        start_disc=torch.full((N,), 0.999, dtype=torch.float64),
    )


@pytest.mark.parametrize("alpha", [0.05, 1.0, 50.0])
def test_the_soft_value_of_the_best_policy_is_the_soft_maximum(alpha):
    action_value = numbers(7, ACTIONS)
    best = torch.log_softmax(action_value / alpha, -1)
    expected = alpha * torch.logsumexp(action_value / alpha, -1)
    torch.testing.assert_close(soft_value(action_value, best, alpha), expected)
    for seed in range(3):
        other = torch.log_softmax(numbers(7, ACTIONS, seed=seed), -1)
        assert (soft_value(action_value, other, alpha) <= expected + 1e-12).all()


@pytest.mark.parametrize("alpha", [1e-3, 0.7, 1e4])
def test_the_actor_is_at_rest_where_its_policy_is_the_soft_maximum(make_sac, alpha):
    learner, dream = make_sac(SAC(temperature=alpha)), trajectory()
    action_value = learner.critic(dream.feat[:-1]).amin(0).detach()
    weight = torch.rand(3, 2, generator=torch.Generator().manual_seed(0)).double()

    def gradient(scores):
        scores = scores.clone().requires_grad_()
        learner.actor.forward = lambda feat: scores
        learner.actor_loss(dream, weight)[0].backward()
        return scores.grad

    assert gradient(action_value / alpha).abs().max() < 1e-9
    policy = torch.softmax(action_value / alpha, -1)
    if alpha == 1e-3:  # greedy
        assert torch.equal(policy.argmax(-1), action_value.argmax(-1))
        assert policy.amax(-1).min() > 0.999
    if alpha == 1e4:  # even
        torch.testing.assert_close(policy, torch.full_like(policy, 1 / 3), atol=1e-3, rtol=0)
    assert gradient(torch.zeros_like(policy) + torch.eye(3)[0]).abs().max() > 1e-6


def test_the_target_pays_the_reward_and_the_smaller_slow_value_and_the_entropy(make_sac):
    # y_t = r_{t+1} + d_{t+1} Σ_a π(a) (min(Q'_1, Q'_2) - α ln π(a)), all of z_{t+1}
    learner, dream = make_sac(), trajectory()
    target, _ = learner.targets(dream)
    slow_1, slow_2 = (twin(dream.feat).tolist() for twin in learner.target_critic)
    policy = torch.softmax(learner.actor(dream.feat), -1).tolist()
    for t in range(3):
        for n in range(2):
            value = sum(
                p * (min(a, b) - 0.5 * torch.tensor(p).log().item())
                for p, a, b in zip(
                    policy[t + 1][n], slow_1[t + 1][n], slow_2[t + 1][n], strict=True
                )
            )
            expected = dream.reward[t, n].item() + dream.disc[t, n].item() * value
            assert target[t, n].item() == pytest.approx(expected, rel=1e-6)


def test_soft_returns_by_hand():
    # d = .5, V = 10, 20, 40, surprise 1, 2:  y_2 = 3 + .5 * 40 = 23
    # λ = 1:   y_1 = 2 + .5 (23 + 2) = 14.5;  y_0 = 1 + .5 (14.5 + 1) = 8.75
    # λ = .5:  y_1 = 2 + .5 (.5 * 20 + .5 * 25) = 13.25;  y_0 = 1 + .5 (5 + .5 * 14.25) = 7.0625
    column = [
        torch.tensor(values)[:, None] for values in ([1.0, 2, 3], [10.0, 20, 40], [1.0, 2, 9])
    ]
    reward, value, surprise = column
    for lambda_, expected in (
        (0.0, [6, 12, 23]),
        (1.0, [8.75, 14.5, 23]),
        (0.5, [7.0625, 13.25, 23]),
    ):
        found = soft_returns(reward, torch.full((3, 1), 0.5), value, surprise, lambda_=lambda_)
        assert found.flatten().tolist() == pytest.approx(expected)


def test_what_follows_a_state_is_valued_by_the_smaller_critic_of_each_action(make_sac):
    # d(z) Σ_a π(a | z) min(Q_1, Q_2), whatever was paid on arriving
    learner, dream = make_sac(), trajectory()
    feat = dream.feat[1:]
    one, other = (twin(feat) for twin in learner.critic)
    policy = torch.softmax(learner.actor(feat), -1)
    expected = dream.disc * (policy * torch.minimum(one, other)).sum(-1)
    assert ((one < other).any(), (one > other).any()) == (True, True)
    torch.testing.assert_close(learner.value(feat, 99 * dream.reward, dream.disc), expected)


def test_longer_returns_pay_the_surprise_of_the_action_that_was_taken(make_sac):
    learner, dream = make_sac(SAC(temperature=0.5, lambda_=1.0)), trajectory(H=2)
    one_step, _ = make_sac().targets(dream)
    target, _ = learner.targets(dream)
    policy = torch.log_softmax(learner.actor(dream.feat[1]), -1)
    surprise = -0.5 * policy[dream.action[1].bool()]
    assert torch.equal(target[1], one_step[1])
    expected = dream.reward[0] + dream.disc[0] * (target[1] + surprise)
    torch.testing.assert_close(target[0], expected.detach())


def test_each_critic_learns_the_action_that_was_taken(make_sac):
    learner, dream = make_sac(), trajectory()
    target, weight = numbers(3, 2, seed=5), numbers(3, 2, seed=6).sigmoid()
    loss = learner.critic_loss(dream, target, weight)
    total = 0.0
    for twin in learner.critic:
        error = twin(dream.feat[:-1])[dream.action.bool()].view(3, 2) - target
        total += (weight * 0.5 * error**2).mean().item()
    assert loss.item() == pytest.approx(total)


def test_each_loss_reaches_its_networks_alone(make_sac):
    learner, dream = make_sac(), trajectory()
    target, _ = learner.targets(dream)
    weight = torch.ones(3, 2).double()
    learner.critic_loss(dream, target, weight).backward()
    assert all(p.grad is not None for p in learner.critic.parameters())
    assert not any(p.grad is not None for p in learner.actor.parameters())
    learner.zero_grad()
    learner.actor_loss(dream, weight)[0].backward()
    assert all(p.grad is not None for p in learner.actor.parameters())
    assert not any(p.grad is not None for p in learner.critic.parameters())
    assert not any(p.requires_grad for p in learner.target_critic.parameters())


def test_the_twins_are_not_alike(make_sac):
    config, actions = agent_config("micro"), CategoricalActions(ACTIONS)
    learner = SoftActorCritic(SAC(), config, actions, Streams(0))
    one, other = (twin.layers[0].weight for twin in learner.critic)
    assert not torch.equal(one, other)


def test_the_actor_tells_the_entropy_of_each_state_that_it_learns_from(make_sac):
    learner, dream = make_sac(), trajectory()
    _, entropy = learner.actor_loss(dream, torch.ones(3, 2).double())
    policy = torch.distributions.Categorical(logits=learner.actor(dream.feat[:-1]))
    torch.testing.assert_close(entropy, policy.entropy().detach())
    assert (entropy > 0).all()


def test_a_schedule_leads_the_target_of_the_entropy_to_its_end(make_sac):
    ends = {"target_entropy": 0.9, "final_target_entropy": 0.1, "falls_over_updates": 4}
    learner, wanted = make_sac(SAC(temperature=0.5, **ends)), []
    for _ in range(6):
        learner.count_update()
        wanted.append(float(learner.entropy_weight.wanted) / math.log(ACTIONS))
    assert wanted == pytest.approx([0.7, 0.5, 0.3, 0.1, 0.1, 0.1])


def test_slow_critics_begin_as_copies_and_move_by_their_rate(make_sac, perturb):
    learner = make_sac(SAC(target_rate=0.25))
    learner.count_update()
    for now, source in zip(
        learner.target_critic.parameters(), learner.critic.parameters(), strict=True
    ):
        assert torch.equal(now, source)
    before = [p.clone() for p in learner.target_critic.parameters()]
    perturb(learner.critic)
    for _ in range(2):
        learner.count_update()
    pairs = zip(before, learner.critic.parameters(), strict=True)
    for now, (start, source) in zip(learner.target_critic.parameters(), pairs, strict=True):
        torch.testing.assert_close(now, 0.5625 * start + 0.4375 * source)
    copied = make_sac(SAC(), target_every=2)
    copied.count_update()
    for now, source in zip(
        copied.target_critic.parameters(), copied.critic.parameters(), strict=True
    ):
        assert torch.equal(now, source)


def test_rewards_are_aligned_as_in_the_textbooks_whatever_the_base_has(make_sac):
    dream = trajectory()
    first, second = (make_sac(corrected_targets=c).targets(dream)[0] for c in (False, True))
    assert torch.equal(first, second)
    other = dataclasses.replace(dream, start_reward=0 * dream.start_reward)
    assert torch.equal(make_sac().targets(other)[0], first)  # it was paid before any action


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"final_target_entropy": 0.1, "target_entropy": 0.5}, "give both or none"),
        ({"falls_over_updates": 3, "target_entropy": 0.5}, "give both or none"),
        ({"final_target_entropy": 0.1, "falls_over_updates": 3}, "begins at target_entropy"),
    ],
)
def test_half_a_schedule_is_refused(settings, problem):
    with pytest.raises(ValidationError, match=problem):
        SAC.model_validate(settings)


def test_a_temperature_must_come_from_somewhere():
    config = agent_config("micro", entropy_scale=0.0)
    with pytest.raises(AssemblyError, match="give a temperature above 0"):
        assemble(config, [SAC()])
    assemble(config, [SAC(temperature=0.1)])


def test_a_temperature_is_described_as_a_number_whoever_has_given_it():
    base = agent_config("micro", entropy_scale=0.02)
    of_the_base, given, other = (
        assemble(base, [SAC(temperature=temperature)]).describe()
        for temperature in (None, 0.02, 0.03)
    )
    assert of_the_base == given
    assert given["behaviour"]["temperature"] == 0.02
    assert other != given


def test_it_finds_what_soft_value_iteration_finds(exact):
    alpha = 0.1
    settings = SAC(temperature=alpha)
    simulator, agent = exact.chain(0, [settings], target_every=5)
    exact.trained(agent, simulator, 0, updates=250, starts=64)
    # Q(s, a) = r(s') + d(s') α ln Σ exp(Q(s', .) / α)
    disc = 0.9 * (~simulator.terminal).double()
    action_value = torch.zeros(5, 2).double()
    for _ in range(500):
        value = alpha * torch.logsumexp(action_value / alpha, -1)
        action_value = (simulator.reward + disc * value)[simulator.successor]
    feat = simulator.state(torch.arange(4)).feat  # the end itself is not learned
    with torch.no_grad():
        learned = agent.behaviour.critic(feat)
        policy = torch.softmax(agent.behaviour.actor(feat), -1)
    for twin in learned:
        torch.testing.assert_close(twin.double(), action_value[:4], atol=0.05, rtol=0)
    expected = torch.softmax(action_value[:4] / alpha, -1)
    torch.testing.assert_close(policy.double(), expected, atol=0.05, rtol=0)


def test_surgery_knows_both_critics_and_the_tuned_temperature(make_agent, random_batch):
    tuned = SAC(temperature=0.5, target_entropy=0.5, temperature_lr=0.1)
    agent = make_agent(parts=assemble(agent_config("micro"), [tuned]))
    for _ in range(2):
        posteriors, _ = agent.train_world_model(random_batch(2, 6))
        agent.train_behaviour(posteriors)
    behaviour, before = agent.behaviour, agent.behaviour.entropy_weight()
    assert before != 0.5
    operate(agent, [Operation(("actor",), last_layer=True)], seed=9)
    assert behaviour.entropy_weight().item() == pytest.approx(0.5)  # a number is its last layer
    hidden = [twin.layers[0].weight.clone() for twin in behaviour.critic]
    last = [twin.layers[-1].weight.clone() for twin in behaviour.critic]
    operate(agent, [Operation(("critic",), last_layer=True)], seed=9)
    for twin, target, first, old in zip(
        behaviour.critic, behaviour.target_critic, hidden, last, strict=True
    ):
        assert torch.equal(twin.layers[0].weight, first)
        assert not torch.equal(twin.layers[-1].weight, old)
        assert torch.equal(target.layers[-1].weight, twin.layers[-1].weight)
