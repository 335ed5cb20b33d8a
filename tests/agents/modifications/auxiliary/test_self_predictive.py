import dataclasses
from types import SimpleNamespace

import pytest
import torch

from agents.assemble import AssemblyError, assemble
from agents.config import agent_config
from agents.dreamer.world_model import normalised, one_hot_actions
from agents.modifications.auxiliary.self_predictive import (
    SelfPredictive,
    going_on,
    prediction_loss,
    prior_rollout,
    windows,
)
from agents.views import View

B, T, K = 2, 6, 3


@pytest.fixture
def built(make_agent):
    """An agent with the term, and the term."""

    def build(model_lr=2e-4, **settings):
        modification = SelfPredictive(**{"jumps": K, "width": 8} | settings)
        config = agent_config("micro", model_lr=model_lr)
        agent = make_agent(parts=assemble(config, [modification]))
        return agent, agent.loss_terms.losses["self_predictive"]

    return build


def seen_by(agent, batch, draws):
    image = normalised(batch.observation)
    return agent.world_model.losses([View(image, image)], batch, draws)[2]


def starting_at(*rows):
    is_first = torch.zeros(1, T, dtype=torch.bool)
    is_first[0, list(rows)] = True
    return is_first


def test_what_is_foretold_exactly_is_worth_one_for_each_jump(uniforms):
    target = uniforms(K, B, T - K, 5)
    counts = torch.ones(K, B, T - K, dtype=torch.bool)
    for predicted in (target, 7 * target):
        loss = prediction_loss(predicted, target, counts)
        torch.testing.assert_close(loss, torch.full((B, T - K), -float(K)))
    torch.testing.assert_close(
        prediction_loss(-target, target, counts), torch.full((B, T - K), float(K))
    )


def test_what_is_orthogonal_is_worth_nothing():
    predicted, target = torch.zeros(K, B, 1, 2), torch.zeros(K, B, 1, 2)
    predicted[..., 0], target[..., 1] = 3.0, 0.5
    counts = torch.ones(K, B, 1, dtype=torch.bool)
    assert torch.equal(prediction_loss(predicted, target, counts), torch.zeros(B, 1))


def test_an_episode_that_starts_drops_what_lies_on_and_behind_its_first_row():
    # t = 0, 1, 2 look at rows 1..3, 2..4 and 3..5
    assert going_on(starting_at(0), K)[:, 0].T.tolist() == [[True] * 3] * 3
    assert going_on(starting_at(0, 1), K)[:, 0].T.tolist() == [[False] * 3] + [[True] * 3] * 2
    assert going_on(starting_at(0, 4), K)[:, 0].T.tolist() == [
        [True, True, True],
        [True, True, False],
        [True, False, False],
    ]


def test_what_does_not_count_adds_nothing_and_takes_no_gradient(uniforms):
    predicted, target = uniforms(K, 1, T - K, 5).requires_grad_(), uniforms(K, 1, T - K, 5)
    loss = prediction_loss(predicted, target, going_on(starting_at(0, 4), K))
    cosine = torch.cosine_similarity(predicted, target, dim=-1)[:, 0]
    expected = [-cosine[:, 0].sum(), -cosine[:2, 1].sum(), -cosine[0, 2]]
    torch.testing.assert_close(loss[0], torch.stack(expected))
    loss.sum().backward()
    moved = predicted.grad[:, 0].abs().sum(-1) > 0
    assert moved.T.tolist() == [[True, True, True], [True, True, False], [True, False, False]]


def test_windows_are_the_rows_ahead():
    rows = torch.arange(T).float().view(1, T, 1)
    assert windows(rows, K)[..., 0].tolist() == [[[1.0, 2, 3]], [[2, 3, 4]], [[3, 4, 5]]]


def test_the_rollout_takes_the_actions_that_led_to_the_rows_ahead(
    built, random_batch, uniforms, perturb
):
    agent, _ = built()
    perturb(agent.world_model)
    batch, draws = random_batch(B, T), uniforms(K, B, T - K, 4)
    seen = seen_by(agent, batch, uniforms(B, T, 4))
    feat = prior_rollout(agent.world_model, seen, draws)
    rssm, t = agent.world_model.rssm, 1
    state = dataclasses.replace(
        seen.states, stoch=seen.states.stoch[:, t], deter=seen.states.deter[:, t]
    )
    for k in range(1, K + 1):
        action = one_hot_actions(batch.action[:, t + k], 5)
        state = rssm.img_step(state, action, draws[k - 1, :, t])
        torch.testing.assert_close(feat[k - 1, :, t], state.feat)


@pytest.mark.parametrize("ema_rate", [0.01, 1.0])
def test_gradients_reach_prior_and_encoder_and_none_the_targets(
    built, random_batch, uniforms, ema_rate, perturb
):
    agent, term = built(ema_rate=ema_rate)
    perturb(agent.world_model)
    seen = seen_by(agent, random_batch(B, T), uniforms(B, T, 4))
    target = term._targets(seen)
    assert not target.requires_grad
    loss, _ = term(agent.world_model, seen, uniforms(K, B, T - K, 4))
    loss.mean().backward()
    model = agent.world_model
    reached = [*model.encoder.parameters(), *model.rssm.parameters()]
    own = [p for network in term.networks() for p in network.parameters()]
    assert all(p.grad.abs().sum() > 0 for p in [*reached, *own])
    others = [model.decoder, model.reward, model.discount]
    assert all(p.grad is None for other in others for p in other.parameters())
    followers = [p for f, _ in term.followers(model) for p in f.parameters()]
    assert bool(followers) == (ema_rate < 1)
    assert all(p.grad is None for p in followers)


def test_without_a_moving_average_the_targets_are_those_of_the_networks_as_they_are(
    built, random_batch, uniforms
):
    agent, term = built(ema_rate=1.0)
    batch = random_batch(B, T)
    agent.train_world_model(batch)
    seen = seen_by(agent, batch, uniforms(B, T, 4))
    torch.testing.assert_close(term._targets(seen), term.projector(seen.embed))


def test_with_one_the_targets_are_those_of_the_networks_that_follow(
    built, random_batch, uniforms, perturb
):
    agent, term = built(ema_rate=0.25)
    batch, encoder = random_batch(B, T), agent.world_model.encoder
    frames = normalised(batch.observation).flatten(0, 1)
    before = term.projector(encoder(frames)).view(B, T, 8).detach()
    perturb(encoder)  # those that follow stay where all began
    perturb(term.projector)
    now = term._targets(seen_by(agent, batch, uniforms(B, T, 4)))
    torch.testing.assert_close(now, before)
    assert not torch.allclose(term.projector(encoder(frames)).view(B, T, 8), before, atol=0.1)


def test_the_targets_move_by_the_rate_with_encoder_and_projector(built, random_batch):
    agent, term = built(ema_rate=0.25)
    sources = [agent.world_model.encoder, term.projector]
    before = [[p.clone() for p in source.parameters()] for source in sources]
    agent.train_world_model(random_batch(B, T))
    for start, source, (follower, _) in zip(
        before, sources, term.followers(agent.world_model), strict=True
    ):
        for old, new, slow in zip(start, source.parameters(), follower.parameters(), strict=True):
            torch.testing.assert_close(slow, 0.75 * old + 0.25 * new)


def test_it_tells_what_it_predicted_and_what_that_cost(built, random_batch, uniforms):
    agent, term = built()
    batch = random_batch(B, T)
    _, metrics = agent.train_world_model(batch)
    told = {key.split("/")[1]: value for key, value in metrics.items() if "/" in key}
    assert float(told["prior_steps"]) == K * B * (T - K)
    assert float(told["targets_used"]) == 1.0
    assert -1 <= float(told["cosine_of_first"]) <= 1
    assert 0 <= float(told["target_spread"]) <= 1
    seen = seen_by(agent, batch, uniforms(B, T, 4))
    one_way = SimpleNamespace(embed=torch.ones_like(seen.embed), view=seen.view)
    term.slow_encoder = None
    same = dataclasses.replace(seen, embed=one_way.embed)
    _, metrics = term(agent.world_model, same, uniforms(K, B, T - K, 4))
    assert float(metrics["target_spread"]) == pytest.approx(0.0, abs=1e-6)


def test_looking_further_than_a_sequence_is_refused():
    with pytest.raises(AssemblyError, match=r"jumps = 6 .* length = 6; at most 5"):
        assemble(agent_config("micro"), [SelfPredictive(jumps=6)])
    assemble(agent_config("micro"), [SelfPredictive(jumps=5)])


def test_it_learns_to_foretell_what_comes_again_and_again(built, random_batch):
    agent, _ = built(model_lr=3e-3, weight=1.0, scaling="coefficient", ema_rate=0.5)
    batch = random_batch(B, T)
    told = [agent.train_world_model(batch)[1] for _ in range(80)]
    assert float(told[0]["self_predictive/loss"]) > -0.5 * K
    assert float(told[-1]["self_predictive/loss"]) < -0.7 * K


def test_without_a_target_to_foretell_it_proves_nothing(built, random_batch):
    agent, _ = built()
    config = agent.config
    proof = SelfPredictive().proof(config)
    metrics = agent.train_world_model(random_batch(B, T))[1]
    assert metrics[proof.metric].item() > proof.idle == 0
    cut = dataclasses.replace(random_batch(B, T), is_first=torch.ones(B, T, dtype=torch.bool))
    assert agent.train_world_model(cut)[1][proof.metric].item() == 0
