import math
from dataclasses import replace

import pytest
import torch

from agents.assemble import AssemblyError, assemble
from agents.config import agent_config
from agents.dreamer.imagination import Imagination, Trajectory
from agents.dreamer.optimiser import Optimiser
from agents.modifications.algorithms.ppo import (
    PPO,
    ClippedEpochs,
    Dreamed,
    clipped_error,
    clipped_surrogate,
    normalised,
)
from agents.parts import Parts


def test_the_gradient_is_zero_where_the_ratio_has_gone_too_far_in_the_paying_direction():
    # clip .2          too far  still free  within  too far  still free
    ratio = torch.tensor([[1.5, 0.5, 1.1, 0.5, 1.5]])
    advantage = torch.tensor([[2.0, 2.0, 2.0, -2.0, -2.0]])
    log_ratio = ratio.log().requires_grad_()
    surrogate, clipped = clipped_surrogate(log_ratio, advantage, 0.2)
    torch.testing.assert_close(surrogate.detach(), torch.tensor([[2.4, 1.0, 2.2, -1.6, -3.0]]))
    assert clipped.tolist() == [[True, False, False, True, False]]
    surrogate.sum().backward()
    # d(ρ A) / d log ρ = ρ A
    torch.testing.assert_close(log_ratio.grad, torch.tensor([[0.0, 1.0, 2.2, 0.0, -3.0]]))


def test_at_the_policy_that_dreamed_the_gradient_is_that_of_reinforce():
    log_ratio = torch.zeros(1, 3, requires_grad=True)
    advantage = torch.tensor([[2.0, -1.0, 0.5]])
    clipped_surrogate(log_ratio, advantage, 0.2)[0].sum().backward()
    assert torch.equal(log_ratio.grad, advantage)


def test_advantages_are_normalised_under_the_weights():
    # weights 1/2, 1/4, 1/4, 0: mean 2 + 1 + 2 = 5, variance (1/2) 1 + (1/4) 1 + (1/4) 9 = 3
    advantage = torch.tensor([[4.0, 4.0, 8.0, 1e6]]).double()
    weight = torch.tensor([[2.0, 1.0, 1.0, 0.0]]).double()
    expected = (advantage - 5) / math.sqrt(3)
    torch.testing.assert_close(normalised(advantage, weight), expected, rtol=1e-7, atol=0)
    # neither the unit of the reward nor that of the weights matters
    torch.testing.assert_close(
        normalised(3 * advantage + 7, 5 * weight), expected, rtol=1e-7, atol=1e-7
    )


def test_nothing_to_learn_from_is_normalised_to_numbers():
    zeros = torch.zeros(2, 3)
    assert torch.equal(normalised(zeros, torch.ones(2, 3)), zeros)
    assert normalised(torch.ones(2, 3), zeros).isfinite().all()


def test_what_no_action_changes_is_no_advantage(make_agent, monkeypatch):
    # z_1 pays 1 whatever is done; an advantage that is not 0 would be clipped by its sign
    agent = make_agent(parts=assemble(agent_config("micro", gamma=1.0, lambda_=0.7), [PPO()]))
    learner, H = agent.behaviour, 4
    exact = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])[:, None, None]  # of z_0..z_4: what follows
    monkeypatch.setattr(learner.target_critic, "forward", lambda feat: exact)
    trajectory = Trajectory(
        feat=torch.zeros(H + 1, 1, agent.config.feat),
        action=torch.zeros(H, 1, 5),
        reward=torch.tensor([[1.0], [0.0], [0.0], [0.0]]),
        disc=torch.ones(H, 1),
        start_reward=torch.zeros(1),
        start_disc=torch.ones(1),
    )
    advantage = learner.targets(trajectory).advantage
    assert advantage.shape == (H, 1)
    assert not advantage.any()


def test_the_value_clip_keeps_the_larger_error():
    # clip .5, returns 2; values 1 -> 1.2 within; 1 -> 3 held at 1.5, but |3 - 2| is larger;
    # 1 -> 2 held at 1.5, whose error is larger and has no gradient
    before, returns = torch.ones(1, 3), torch.full((1, 3), 2.0)
    value = torch.tensor([[1.2, 3.0, 2.0]], requires_grad=True)
    error = clipped_error(value, before, returns, 0.5)
    torch.testing.assert_close(error.detach(), torch.tensor([[0.64, 1.0, 0.25]]))
    error.sum().backward()
    torch.testing.assert_close(value.grad, torch.tensor([[-1.6, 2.0, 0.0]]))
    free = clipped_error(value, before, returns, None).detach()
    torch.testing.assert_close(free, torch.tensor([[0.64, 1.0, 0.0]]))


def numbered(N, H=3):
    """Each dream bears its number in every entry."""
    number = torch.arange(N).float().expand(H, N)
    return Dreamed(
        feat=number[..., None],
        action=number[:-1, :, None],
        logits=number[:-1, :, None],
        log_probability=number[:-1],
        advantage=number[:-1],
        trained=number[:-1],
        value=number,
        returns=number,
        weight=number,
    )


@pytest.mark.parametrize("count", [1, 3, 8])
def test_every_dream_is_in_one_minibatch_of_an_epoch_and_whole(count):
    order = torch.rand(8, generator=torch.Generator().manual_seed(0)).argsort()
    parts = list(numbered(8).parts(order, count))
    assert len(parts) == count
    assert torch.equal(torch.cat([part.value[0] for part in parts]), order.float())
    for part in parts:
        (dreams,) = {tuple(values[0].flatten().tolist()) for values in vars(part).values()}
        assert all((values == values[:1]).all() for values in vars(part).values())
        assert len(dreams) in (8 // count, 8 // count + 1)


def test_it_makes_epochs_times_minibatches_steps_of_each_network(
    make_agent, random_batch, monkeypatch
):
    config = agent_config("micro", actor_lr=1e-2)
    agent = make_agent(parts=assemble(config, [PPO(epochs=3, minibatches=4, clip=0.01)]))
    posteriors, _ = agent.train_world_model(random_batch(2, 6))
    steps, step = [], Optimiser.step
    monkeypatch.setattr(
        Optimiser, "step", lambda self, loss: steps.append(self) or step(self, loss)
    )
    metrics = agent.train_behaviour(posteriors)
    optimisers = agent.behaviour.optimisers
    assert steps == [optimisers["actor"], optimisers["critic"]] * 12
    assert metrics["ppo/gradient_steps"] == 12
    assert metrics["ppo/imagined_steps"] == 4 * 12
    # twelve large steps leave the policy that dreamed
    assert 0 < metrics["ppo/clipped_share"] < 1
    assert metrics["ppo/kl"] > 0


@pytest.fixture
def after_a_dream(make_agent, random_batch):
    """The rule of PPO with its learner, and what one dream leaves to be learned from."""

    def make(**settings):
        rule = ClippedEpochs(PPO(**settings))
        agent = make_agent(parts=Parts(agent_config("micro")).with_rule("ppo", rule))
        posteriors, _ = agent.train_world_model(random_batch(2, 6))
        learner, generator = agent.behaviour, torch.Generator().manual_seed(0)
        shapes = learner.uniforms_shapes(12)
        draws = {one: torch.rand(*shape, generator=generator) for one, shape in shapes.items()}
        trajectory = Imagination(agent.world_model, posteriors).dream(learner.act, draws)
        return rule, learner, Dreamed.by(learner, trajectory, learner.targets(trajectory))

    return make


def test_a_step_tells_how_far_the_policy_has_gone(after_a_dream):
    # every ratio is 1.5: the KL is told as ρ - 1 - ln ρ, and what has an advantage is clipped
    rule, learner, dreamed = after_a_dream(clip=0.2)
    further = replace(dreamed, log_probability=dreamed.log_probability - math.log(1.5))
    told = rule._step(learner, further)
    assert float(told["ppo/kl"]) == pytest.approx(1.5 - 1 - math.log(1.5), rel=1e-4)
    share = float((dreamed.advantage > 0).float().mean())
    assert 0 < share < 1
    assert float(told["ppo/clipped_share"]) == pytest.approx(share)


@pytest.mark.parametrize(("value_clip", "error"), [(None, 0.0), (0.25, 0.75), (2.0, 0.0)])
def test_a_step_holds_values_near_those_of_the_critic_that_dreamed(
    after_a_dream, value_clip, error
):
    # values are right, but 1 above what they were: held at most value_clip above that
    rule, learner, dreamed = after_a_dream(value_clip=value_clip)
    risen = replace(dreamed, value=dreamed.value - 1.0, returns=dreamed.value)
    expected = float(0.5 * error**2 * dreamed.weight.mean())
    assert float(rule._step(learner, risen)["critic_loss"]) == pytest.approx(
        expected, rel=1e-5, abs=1e-9
    )


def test_a_tuned_weight_begins_where_the_bases_stays(make_agent):
    config = agent_config("micro", entropy_scale=0.02)
    agent = make_agent(parts=assemble(config, [PPO(target_entropy=0.5)]))
    assert float(agent.behaviour.entropy_weight()) == pytest.approx(0.02)


def test_more_minibatches_than_dreams_are_refused():
    with pytest.raises(AssemblyError, match="minibatches = 13, but batch times length makes 12"):
        assemble(agent_config("micro"), [PPO(minibatches=13)])


def test_a_tuned_weight_of_the_entropy_must_begin_above_0():
    with pytest.raises(AssemblyError, match="entropy_scale, which is 0"):
        assemble(agent_config("micro", entropy_scale=0.0), [PPO(target_entropy=0.5)])
    assemble(agent_config("micro", entropy_scale=0.0), [PPO()])
