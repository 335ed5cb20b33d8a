import dataclasses
import math

import pytest
import torch
from torch.distributions import Categorical, Independent, Normal, kl_divergence

from agents.config import agent_config
from agents.dreamer.rssm import LatentState
from agents.dreamer.world_model import (
    WorldModel,
    balanced_kl,
    normalised,
    one_hot_actions,
    reward_loss,
)
from agents.observation import ATARI, Observation
from agents.streams import Streams
from agents.views import View

B, T, ACTIONS = 2, 4, 5


@pytest.fixture
def model(perturb):
    return perturb(WorldModel(agent_config("micro"), ATARI, ACTIONS, Streams(0)), 0.05)


@pytest.fixture
def batch(random_batch):
    batch = random_batch(B, T)
    batch.is_terminal[:] = torch.tensor([[0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)
    return batch


@pytest.fixture
def draws(uniforms):
    return uniforms(B, T, 4)


def view_of(batch):
    image = normalised(batch.observation)
    return View(obs_in=image, obs_target=image)


def edited(batch, field, index, value):
    """A copy of the batch with one entry changed."""
    copy = getattr(batch, field).clone()
    copy[index] = value
    return dataclasses.replace(batch, **{field: copy})


def logits(*shape, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def test_gray_levels_become_minus_a_half_to_a_half():
    image = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    torch.testing.assert_close(normalised(image), torch.tensor([[[[-0.5, -0.3, 0.5]]]]))


def test_vectors_stay_as_they_are():
    vector = torch.tensor([[[-300.0, 0.25, 255.0]]])
    assert torch.equal(normalised(vector), vector)


def test_actions_become_one_hot_vectors():
    assert one_hot_actions(torch.tensor([[2, 0]]), 3).tolist() == [[[0, 0, 1], [1, 0, 0]]]


def test_the_reward_loss_is_half_the_squared_distance_to_tanh_of_the_reward():
    # tanh 0 = 0, tanh(ln 2) = 3/5, tanh of a large reward = 1
    reward = torch.tensor([[0.0, math.log(2)], [100.0, -100.0]])
    mean = torch.tensor([[0.5, 0.6], [1.0, 1.0]])
    loss = reward_loss(mean, reward)
    assert float(loss) == pytest.approx(0.5 * (0.25 + 0 + 0 + 4) / 4, rel=1e-6)


def kl(posterior, prior):
    """By torch's own distributions: summed over the categoricals, [B, T]."""
    p, q = (Independent(Categorical(logits=x), 1) for x in (posterior, prior))
    return kl_divergence(p, q)


@pytest.mark.parametrize("balance", [0.8, 0.5, 0.0, 1.0])
def test_the_kl_loss_is_the_mean_kl_whatever_the_balance(balance):
    posterior, prior = logits(B, T, 3, 4), logits(B, T, 3, 4, seed=4)
    loss = balanced_kl(posterior, prior, balance=balance, free_nats=0.0)
    torch.testing.assert_close(loss, kl(posterior, prior).mean())


@pytest.mark.parametrize("balance", [0.8, 0.3])
def test_the_balance_is_the_share_of_the_gradient_that_moves_the_prior(balance):
    posterior, prior = logits(B, T, 3, 4), logits(B, T, 3, 4, seed=4)
    whole = torch.autograd.grad(kl(posterior, prior).mean(), [posterior, prior])
    loss = balanced_kl(posterior, prior, balance=balance, free_nats=0.0)
    shared = torch.autograd.grad(loss, [posterior, prior])
    torch.testing.assert_close(shared[0], (1 - balance) * whole[0])
    torch.testing.assert_close(shared[1], balance * whole[1])


def test_below_the_free_nats_the_kl_loss_is_flat():
    posterior, prior = logits(B, T, 3, 4), logits(B, T, 3, 4, seed=4)
    mean = kl(posterior, prior).mean().item()
    free = balanced_kl(posterior, prior, balance=0.8, free_nats=mean + 0.1)
    assert free.item() == pytest.approx(mean + 0.1)
    gradients = torch.autograd.grad(free, [posterior, prior])
    assert not any(gradient.any() for gradient in gradients)
    above = balanced_kl(posterior, prior, balance=0.8, free_nats=mean - 0.1)
    assert above.item() == pytest.approx(mean)
    assert all(g.any() for g in torch.autograd.grad(above, [posterior, prior]))


def test_free_nats_are_compared_with_the_mean_over_batch_and_time():
    # two states of KL 0 and one of ln 2 (certain against a fair coin): the mean is ln 2 / 3
    prior = torch.zeros(1, 3, 1, 2)
    posterior = torch.tensor([[[[0.0, 0.0]], [[0.0, 0.0]], [[50.0, -50.0]]]])
    for free, expected in ((0.0, math.log(2) / 3), (0.2, math.log(2) / 3), (0.5, 0.5)):
        loss = balanced_kl(posterior, prior, balance=0.8, free_nats=free)
        assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_the_default_scales_are_those_of_the_official_code():
    model = WorldModel(agent_config("micro"), ATARI, ACTIONS, Streams(0))
    names = ("image_loss", "reward_loss", "discount_loss", "kl_loss")
    terms = dict(zip(names, torch.tensor([1000.0, 100.0, 10.0, 1.0]), strict=True))
    assert float(model.total(terms)) == pytest.approx(1000 + 100 + 5 * 10 + 0.1 * 1)


def test_each_scale_is_read_from_its_setting():
    scales = {"reward_scale": 2.0, "discount_scale": 3.0, "kl_scale": 0.5}
    model = WorldModel(agent_config("micro", **scales), ATARI, ACTIONS, Streams(0))
    terms = {"image_loss": 1000.0, "reward_loss": 100.0, "discount_loss": 10.0, "kl_loss": 1.0}
    total = model.total({name: torch.tensor(term) for name, term in terms.items()})
    assert float(total) == pytest.approx(1000 + 200 + 30 + 0.5)


def test_a_term_without_a_scale_and_a_scale_without_a_term_are_refused(model, batch, draws):
    terms, _, _ = model.losses([view_of(batch)], batch, draws)
    with pytest.raises(ValueError, match="extra"):
        model.total(terms | {"extra": torch.tensor(0.0)})
    del terms["kl_loss"]
    with pytest.raises(ValueError, match="kl_loss"):
        model.total(terms)


def test_the_terms_are_negative_log_likelihoods_without_their_constants(model, batch, draws):
    terms, metrics, _ = model.losses([view_of(batch)], batch, draws)

    image = normalised(batch.observation)
    embed = model.encoder(image.flatten(0, 1)).unflatten(0, (B, T))
    action = torch.nn.functional.one_hot(batch.action, ACTIONS).float()
    states, posterior = model.rssm.observe(action, embed, batch.is_first.float(), draws)
    prior = model.rssm.prior_logits(states.deter)
    feat = torch.cat([states.stoch, states.deter], -1)
    constant = 0.5 * math.log(2 * math.pi)

    pixels = -Normal(model.decoder(feat), 1.0).log_prob(image) - constant
    torch.testing.assert_close(terms["image_loss"], pixels.sum((2, 3, 4)).mean())

    target = torch.tanh(batch.reward)
    rewards = -Normal(model.reward(feat).squeeze(-1), 1.0).log_prob(target) - constant
    torch.testing.assert_close(terms["reward_loss"], rewards.mean())

    alive = torch.sigmoid(model.discount(feat).squeeze(-1))
    soft = 0.999 * (1 - batch.is_terminal.float())
    cross_entropy = -(soft * alive.log() + (1 - soft) * (1 - alive).log())
    torch.testing.assert_close(terms["discount_loss"], cross_entropy.mean())

    torch.testing.assert_close(terms["kl_loss"], kl(posterior, prior).mean())
    for name, value in (("prior", prior), ("posterior", posterior)):
        spread = Independent(Categorical(logits=value), 1).entropy().mean()
        torch.testing.assert_close(metrics[f"{name}_entropy"], spread.detach())
        assert not metrics[f"{name}_entropy"].requires_grad


def test_every_row_is_trained_those_that_start_an_episode_included(model, batch, draws):
    def terms_of(batch):
        return model.losses([view_of(batch)], batch, draws)[0]

    terms = terms_of(batch)
    for b in range(B):
        for t in range(T):
            rewarded = terms_of(edited(batch, "reward", (b, t), 50.0))
            assert not torch.equal(rewarded["reward_loss"], terms["reward_loss"])
            assert torch.equal(rewarded["discount_loss"], terms["discount_loss"])
            flag = ~batch.is_terminal[b, t]
            ended = terms_of(edited(batch, "is_terminal", (b, t), flag))
            assert not torch.equal(ended["discount_loss"], terms["discount_loss"])
            assert torch.equal(ended["reward_loss"], terms["reward_loss"])


def test_a_terminal_row_moves_the_discount_loss_by_its_logit(model, batch, draws):
    # BCE(l, y) = softplus(l) - y l, and y falls from .999 to 0
    head, seen = model.discount.forward, []
    model.discount.forward = lambda feat: seen.append(head(feat)) or seen[-1]
    before = model.losses([view_of(batch)], batch, draws)[0]["discount_loss"]
    ended = edited(batch, "is_terminal", (0, 1), True)
    after = model.losses([view_of(ended)], ended, draws)[0]["discount_loss"]
    logit = seen[0][0, 1].item()
    assert (after - before).item() == pytest.approx(0.999 * logit / (B * T), rel=1e-3, abs=1e-6)


def test_the_action_into_the_first_row_of_an_episode_is_ignored(model, batch, draws):
    def terms_of(batch):
        return model.losses([view_of(batch)], batch, draws)[0]

    terms = terms_of(batch)
    other = (batch.action[:, 0] + 1) % ACTIONS
    ignored = terms_of(edited(batch, "action", (slice(None), 0), other))
    assert all(torch.equal(ignored[name], terms[name]) for name in terms)
    other = (batch.action[:, 1] + 1) % ACTIONS
    used = terms_of(edited(batch, "action", (slice(None), 1), other))
    assert not torch.equal(used["kl_loss"], terms["kl_loss"])


@pytest.mark.parametrize("term", ["image_loss", "reward_loss", "discount_loss", "kl_loss"])
def test_every_term_teaches_encoder_and_recurrence(model, batch, draws, term):
    terms, _, _ = model.losses([view_of(batch)], batch, draws)
    terms[term].backward()
    for part in (*model.encoder.layers, model.rssm.img_in, model.rssm.cell.parts):
        assert part.weight.grad.abs().sum() > 0


def test_the_encoder_reads_one_image_and_the_decoder_is_compared_with_the_other(
    model, batch, draws
):
    image = normalised(batch.observation)
    clean, _, _ = model.losses([View(image, image)], batch, draws)
    other_target, _, _ = model.losses([View(image, -image)], batch, draws)
    other_input, _, _ = model.losses([View(-image, image)], batch, draws)
    assert torch.equal(other_target["kl_loss"], clean["kl_loss"])
    assert not torch.equal(other_target["image_loss"], clean["image_loss"])
    assert not torch.equal(other_input["kl_loss"], clean["kl_loss"])


def test_terms_are_means_over_views_and_imagination_starts_from_the_first(model, batch, draws):
    image = normalised(batch.observation)
    views = [View(image, image), View(-image, image)]
    alone = [model.losses([view], batch, draws) for view in views]
    both, metrics, seen = model.losses(views, batch, draws)
    for name in both:
        mean = (alone[0][0][name] + alone[1][0][name]) / 2
        torch.testing.assert_close(both[name], mean)
    assert torch.equal(seen.states.deter, alone[0][2].states.deter)
    assert not torch.equal(seen.states.deter, alone[1][2].states.deter)
    assert metrics == alone[0][1]


def test_the_posteriors_are_every_state_row_after_row_without_gradient(model, batch, draws):
    posteriors = model.losses([view_of(batch)], batch, draws)[2].posteriors
    embed = model.encoder(normalised(batch.observation).flatten(0, 1)).unflatten(0, (B, T))
    action = one_hot_actions(batch.action, ACTIONS)
    states, _ = model.rssm.observe(action, embed, batch.is_first.float(), draws)
    assert isinstance(posteriors.state, LatentState)
    for b in range(B):
        for t in range(T):
            assert torch.equal(posteriors.state.deter[b * T + t], states.deter[b, t])
            assert torch.equal(posteriors.state.stoch[b * T + t], states.stoch[b, t])
            assert posteriors.is_terminal[b * T + t] == float(batch.is_terminal[b, t])
    assert not posteriors.state.feat.requires_grad


def test_filtering_infers_the_states_that_training_does_without_gradient(model, batch, draws):
    states, posterior = model.filter(batch, draws)
    embed = model.encoder(normalised(batch.observation).flatten(0, 1)).unflatten(0, (B, T))
    action = one_hot_actions(batch.action, ACTIONS)
    expected, logits = model.rssm.observe(action, embed, batch.is_first.float(), draws)
    assert torch.equal(states.feat, expected.feat)
    assert torch.equal(posterior, logits)
    assert not states.feat.requires_grad
    assert not posterior.requires_grad
    _, _, seen = model.losses([view_of(batch)], batch, draws)
    assert torch.equal(states.deter, seen.states.deter)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 32, 32), (3, 16, 16), (7,)])
def test_any_observation_can_be_modelled(shape, batch, draws, perturb):
    observation = Observation(shape)
    model = perturb(WorldModel(agent_config("micro"), observation, ACTIONS, Streams(0)), 0.05)
    generator = torch.Generator().manual_seed(1)
    seen = torch.randn(B, T, *shape, generator=generator)
    if observation.is_image:
        seen = (40 * seen + 128).clamp(0, 255).to(torch.uint8)
    batch = dataclasses.replace(batch, observation=seen)
    target = normalised(seen)
    terms, _, seen = model.losses([View(target, target)], batch, draws)
    assert list(terms)[1:] == ["reward_loss", "discount_loss", "kl_loss"]
    reconstruction = "image_loss" if observation.is_image else "vector_loss"
    mean = model.decoder(seen.states.feat)
    error = 0.5 * (mean - target).square().sum(tuple(range(2, 2 + len(shape))))
    torch.testing.assert_close(terms[reconstruction], error.mean())
    model.total(terms).backward()
    for parameter in model.parameters():
        assert parameter.grad.abs().sum() > 0
    scaled = 1.0 * terms[reconstruction] + terms["reward_loss"] + 5 * terms["discount_loss"]
    torch.testing.assert_close(model.total(terms), scaled + 0.1 * terms["kl_loss"])
