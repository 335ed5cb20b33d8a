import copy
import dataclasses
import math

import pytest
import torch

from agents.assemble import assemble
from agents.config import Budget, agent_config
from agents.dreamer.imagination import Trajectory
from agents.dreamer.world_model import normalised, one_hot_actions
from agents.modifications.exploration.plan2explore import Plan2Explore, root, variance_over
from agents.views import View

ACTIONS, B, T = 5, 2, 6


@pytest.fixture
def built(make_agent):
    """An agent with the second behaviour, and its ensemble."""

    def build(*others, config=None, **settings):
        modification = Plan2Explore(**{"ensemble": 3} | settings)
        config = agent_config("micro") if config is None else config
        agent = make_agent(parts=assemble(config, [modification, *others]))
        return agent, agent.loss_terms.losses["plan2explore"]

    return build


def seen_by(agent, batch, draws):
    image = normalised(batch.observation)
    return agent.world_model.losses([View(image, image)], batch, draws)[2]


def dream(uniforms, agent, H=4, N=3):
    choices = (ACTIONS * uniforms(H, N)).long()
    feat = agent.config.feat
    return Trajectory(
        feat=uniforms(H + 1, N, feat),
        action=one_hot_actions(choices, ACTIONS),
        reward=uniforms(H, N),
        disc=uniforms(H, N),
        start_reward=uniforms(N),
        start_disc=uniforms(N),
    )


def equal(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_the_variance_is_that_over_the_list(uniforms):
    predictions = uniforms(7, 4, 3)
    expected = predictions.var(0, correction=0)
    torch.testing.assert_close(variance_over(list(predictions)), expected)
    assert torch.equal(variance_over([predictions[0]] * 5), torch.zeros(4, 3))


def test_members_that_agree_have_no_gradient_and_no_spread():
    # d sqrt(x) / dx = 1 / (2 sqrt(x)); that of equal predictions would be infinite, times 0
    x = torch.tensor([0.0, 4.0, 0.25], requires_grad=True)
    root(x).sum().backward()
    assert root(x).tolist() == [0.0, 2.0, 0.5]
    assert x.grad.tolist() == [0.0, 0.25, 1.0]
    predictions = [torch.ones(2, requires_grad=True) for _ in range(2)]
    root(variance_over(predictions)).sum().backward()
    assert not any(one.grad.any() for one in predictions)


@pytest.mark.parametrize("spread", ["std", "variance"])
def test_networks_that_are_alike_never_disagree(built, uniforms, spread):
    agent, ensemble = built(spread=spread)
    trajectory = dream(uniforms, agent)
    assert (ensemble.bonus(trajectory) > 0).all()
    for member in ensemble.members[1:]:
        member.load_state_dict(ensemble.members[0].state_dict())
    assert torch.equal(ensemble.bonus(trajectory), torch.zeros(4, 3))


def test_the_bonus_is_the_mean_spread_of_the_predictions(built, uniforms):
    agent, ensemble = built(intrinsic_scale=2.0)
    trajectory = dream(uniforms, agent)
    inputs = torch.cat([trajectory.feat[:-1], trajectory.action], -1)
    predictions = torch.stack([member(inputs) for member in ensemble.members])
    expected = predictions.std(0, correction=0).mean(-1)
    torch.testing.assert_close(ensemble.bonus(trajectory), 2 * expected)
    agent, ensemble = built(spread="variance")
    expected = predictions.var(0, correction=0).mean(-1)
    torch.testing.assert_close(ensemble.bonus(trajectory), expected)


def test_of_draws_from_a_bayesian_linear_model_the_bonus_is_its_posterior_variance(
    built, uniforms
):
    # members mean ± sqrt(D) L e_i, i = 1..D, L Lᵀ the posterior covariance: their spread about
    # x is (1 / 2D) Σ_i 2 D (xᵀ L e_i)² = xᵀ (I + XᵀX / noise²)⁻¹ x
    agent, ensemble = built(spread="variance")
    trajectory = dream(uniforms, agent)
    inputs = torch.cat([trajectory.feat[:-1], trajectory.action], -1)
    D = inputs.shape[-1]
    seen = uniforms(20, D) - 0.5
    covariance = torch.linalg.inv(torch.eye(D) + seen.T @ seen / 0.1**2)
    mean, offsets = uniforms(D), math.sqrt(D) * torch.linalg.cholesky(covariance)
    ensemble.members = torch.nn.ModuleList(torch.nn.Linear(D, 1, bias=False) for _ in range(2 * D))
    for member, offset in zip(ensemble.members, torch.cat([offsets.T, -offsets.T]), strict=True):
        member.weight.data.copy_((mean + offset)[None])
    expected = torch.einsum("hni,ij,hnj->hn", inputs, covariance, inputs)
    torch.testing.assert_close(ensemble.bonus(trajectory), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("action", ["taken", "published"])
def test_a_bonus_looks_at_the_action_with_the_state_that_its_alignment_says(
    built, uniforms, action
):
    agent, ensemble = built(action=action)
    trajectory = dream(uniforms, agent)
    before = ensemble.bonus(trajectory)
    feat = trajectory.feat.clone()
    feat[2] += 1.0
    changed = ensemble.bonus(dataclasses.replace(trajectory, feat=feat)) != before
    row = 2 if action == "taken" else 1  # the state before action[t], or the one after it
    assert changed.any(1).tolist() == [t == row for t in range(4)]
    actions = trajectory.action.roll(1, -1)
    only = torch.where(torch.arange(4)[:, None, None] == 3, actions, trajectory.action)
    changed = ensemble.bonus(dataclasses.replace(trajectory, action=only)) != before
    assert changed.any(1).tolist() == [False, False, False, True]


@pytest.mark.parametrize("action", ["taken", "published"])
@pytest.mark.parametrize("target", ["probabilities", "sample", "deter"])
def test_the_ensemble_learns_the_next_state_by_hand(built, random_batch, uniforms, action, target):
    agent, ensemble = built(action=action, target=target)
    batch = random_batch(B, T)
    batch.is_first[0, 3] = True
    seen = seen_by(agent, batch, uniforms(B, T, 4))
    rows, metrics = ensemble(agent.world_model, seen, uniforms(0))
    led = one_hot_actions(batch.action, ACTIONS) * (~batch.is_first)[..., None]
    next_state = {
        "probabilities": seen.posterior.softmax(-1).flatten(-2),
        "sample": seen.states.stoch,
        "deter": seen.states.deter,
    }[target]
    for t in range(T - 1):
        step = led[:, t + 1] if action == "taken" else led[:, t]
        inputs = torch.cat([seen.states.feat[:, t], step], -1)
        errors = [
            (member(inputs) - next_state[:, t + 1]).square().sum(-1) for member in ensemble.members
        ]
        expected = 0.5 * torch.stack(errors).sum(0)
        if t == 2:
            expected[0] = 0.0  # row 3 starts another episode
        torch.testing.assert_close(rows[:, t], expected)
    assert float(metrics["disagreement"]) > 0


def test_the_ensemble_leaves_the_world_model_and_the_task_as_they_are(
    built, make_agent, random_batch, digest
):
    base, (agent, ensemble) = make_agent(), built()
    start = copy.deepcopy(ensemble.state_dict())
    for update in range(3):
        batch = random_batch(B, T, seed=update)
        for each in (base, agent):
            posteriors, metrics = each.train_world_model(batch)
            metrics |= each.train_behaviour(posteriors)
    assert digest(base.world_model.state_dict()) == digest(agent.world_model.state_dict())
    assert digest(base.behaviour.training_state()) == digest(agent.behaviour.training_state())
    assert not equal(start.values(), ensemble.state_dict().values())
    (own,) = agent.loss_terms.optimisers.values()
    assert own.adam.param_groups[0]["lr"] == 3e-4
    assert float(metrics["plan2explore/imagined_steps"]) == 4 * B * T


def test_many_fits_of_what_is_certain_end_the_disagreement(built, random_batch, uniforms):
    agent, ensemble = built(lr=1e-2)
    seen = seen_by(agent, random_batch(B, T), uniforms(B, T, 4))
    optimiser = agent.loss_terms.optimisers["plan2explore"]
    told = []
    for _ in range(200):
        rows, metrics = ensemble(agent.world_model, seen, uniforms(0))
        optimiser.step(rows.mean())
        told.append(float(metrics["disagreement"]))
    assert told[-1] < 0.05 * told[0]


def test_it_disagrees_more_about_an_action_that_it_has_not_seen(built, random_batch, uniforms):
    agent, ensemble = built(lr=1e-2, ensemble=5)
    batch = random_batch(4, T)
    batch = dataclasses.replace(batch, action=batch.action % (ACTIONS - 1))  # never the last one
    seen = seen_by(agent, batch, uniforms(4, T, 4))
    optimiser = agent.loss_terms.optimisers["plan2explore"]
    for _ in range(60):
        optimiser.step(ensemble(agent.world_model, seen, uniforms(0))[0].mean())
    feat = seen.states.feat.detach().transpose(0, 1)[: T - 1]
    trajectory = dream(uniforms, agent, H=T - 2, N=4)

    def bonus(action):
        taken = torch.full((T - 2, 4), action)
        steps = dataclasses.replace(trajectory, feat=feat, action=one_hot_actions(taken, ACTIONS))
        return float(ensemble.bonus(steps).detach().mean())

    assert bonus(ACTIONS - 1) > 1.5 * max(bonus(action) for action in range(ACTIONS - 1))


def test_the_second_behaviour_is_rewarded_by_bonus_and_share(built, uniforms):
    agent, ensemble = built(task_scale=0.5)
    trajectory = dream(uniforms, agent)
    rewarded = agent.explorer.rewarded(trajectory)
    expected = 0.5 * trajectory.reward + ensemble.bonus(trajectory)
    torch.testing.assert_close(rewarded.reward, expected)
    torch.testing.assert_close(rewarded.start_reward, 0.5 * trajectory.start_reward)
    assert torch.equal(rewarded.feat, trajectory.feat)


def test_the_second_behaviour_starts_elsewhere_and_learns_by_the_textbook(built):
    agent, _ = built()
    explorer = agent.explorer.behaviour
    assert not equal(explorer.actor.parameters(), agent.behaviour.actor.parameters())
    assert explorer.config.corrected_targets
    assert not agent.behaviour.config.corrected_targets


def act(agent, explore_at):
    image = torch.zeros(8, 1, 64, 64, dtype=torch.uint8)
    return agent.act(
        image, torch.ones(8), agent.begin(8), stream="acting", explore_at=explore_at
    ).action


def certain(actor, action):
    """Makes an actor choose one action whatever it sees."""
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.zero_()
        actor.layers[-1].bias[action] = 50.0


def test_it_acts_until_its_time_is_over_and_never_in_evaluation(built):
    agent, _ = built(until=1_000)
    certain(agent.behaviour.actor, 1)
    certain(agent.explorer.behaviour.actor, 4)
    assert act(agent, 996).tolist() == [4] * 8
    assert act(agent, None).tolist() == [1] * 8
    assert agent.activity() == {"plan2explore/actions_replaced": 1.0}
    assert act(agent, 1_000).tolist() == [1] * 8
    assert agent.activity() == {"plan2explore/actions_replaced": 0.0}
    agent, _ = built(until=None)
    certain(agent.explorer.behaviour.actor, 4)
    assert act(agent, 10**9).tolist() == [4] * 8


def test_when_its_time_is_over_it_learns_no_more(built, random_batch, digest):
    agent, _ = built(until=1_000)
    posteriors, _ = agent.train_world_model(random_batch(B, T))
    told = agent.train_behaviour(posteriors)
    assert "plan2explore/actor_loss" in told
    act(agent, 1_000)
    before = digest(agent.explorer.behaviour.training_state())
    told = agent.train_behaviour(posteriors)
    assert not [name for name in told if name.startswith("plan2explore")]
    assert digest(agent.explorer.behaviour.training_state()) == before
    restored, _ = built(until=1_000)
    restored.load_state_dict(agent.state_dict())
    assert restored.explorer.over


def test_it_acts_first_after_the_prefill_or_never():
    budget = Budget(env_frames=400_000, prefill_frames=20_000)
    config = agent_config("micro")
    assert Plan2Explore().first_action(config, budget) == 20_000
    assert Plan2Explore(until=None).first_action(config, budget) == 20_000
    assert Plan2Explore(until=20_000).first_action(config, budget) == float("inf")
