import copy
import dataclasses
import math

import pytest
import torch

from agents.assemble import AssemblyError, assemble
from agents.augmentation import shift
from agents.config import agent_config
from agents.dreamer.world_model import normalised
from agents.modifications.auxiliary.contrastive import (
    Bilinear,
    Contrastive,
    contrastive_loss,
    far_apart,
    hits,
)
from agents.views import View

B, T, N = 3, 6, 5
ALL = torch.ones(N, N, dtype=torch.bool)


@pytest.fixture
def built(make_agent):
    """An agent with the term, and the term."""

    def build(model_lr=2e-4, **settings):
        config = agent_config("micro", model_lr=model_lr, batch=B)
        agent = make_agent(parts=assemble(config, [Contrastive(**{"width": 8} | settings)]))
        return agent, agent.loss_terms.losses["contrastive"]

    return build


def seen_by(agent, batch, draws):
    image = normalised(batch.observation)
    return agent.world_model.losses([View(image, image)], batch, draws)[2]


def test_equal_scores_leave_the_choice_among_all_keys_that_count():
    scores = torch.full((N, N), 3.0)
    torch.testing.assert_close(contrastive_loss(scores, ALL), torch.full((N,), math.log(N)))
    counts = ALL.clone()
    counts[0, 1:3] = False
    expected = torch.tensor([math.log(N - 2)] + [math.log(N)] * (N - 1))
    torch.testing.assert_close(contrastive_loss(scores, counts), expected)


@pytest.mark.parametrize("scale", [0.0, 1.0, 5.0, 50.0])
def test_perfect_alignment_ends_at_zero_as_scores_grow(scale):
    # orthonormal embeddings: log(1 + (N - 1) e^-scale)
    loss = contrastive_loss(scale * torch.eye(N), ALL)
    expected = math.log1p((N - 1) * math.exp(-scale))
    torch.testing.assert_close(loss, torch.full((N,), expected), rtol=1e-5, atol=1e-6)


def test_the_order_of_the_frames_does_not_matter(uniforms):
    scores, order = uniforms(N, N), torch.tensor([3, 0, 4, 1, 2])
    loss = contrastive_loss(scores, ALL)
    torch.testing.assert_close(contrastive_loss(scores[order][:, order], ALL), loss[order])


def test_keys_that_do_not_count_take_no_gradient_and_win_nothing(uniforms):
    scores, counts = uniforms(N, N).requires_grad_(), ALL.clone()
    counts[2, 4] = False
    contrastive_loss(scores, counts).sum().backward()
    assert (scores.grad == 0).nonzero().tolist() == [[2, 4]]
    high = torch.zeros(N, N)
    high[2, 4] = 9.0
    assert hits(high, counts).tolist() == [True] * N
    assert hits(high, ALL).tolist() == [True, True, False, True, True]


def test_close_frames_of_one_episode_are_no_negatives():
    row = torch.tensor([[0, 1, 2, 3], [10, 11, 12, 13]])
    episode = torch.tensor([[0, 0, 0, 3], [10, 10, 10, 10]])
    counts = far_apart(row, episode, 2).int().tolist()
    assert counts == [
        [1, 0, 1, 1, 1, 1, 1, 1],  # row 1 is the next one
        [0, 1, 0, 1, 1, 1, 1, 1],
        [1, 0, 1, 1, 1, 1, 1, 1],  # row 3 is another episode
        [1, 1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 0, 1, 1],
        [1, 1, 1, 1, 0, 1, 0, 1],
        [1, 1, 1, 1, 1, 0, 1, 0],
        [1, 1, 1, 1, 1, 1, 0, 1],
    ]
    assert far_apart(row, episode, 1).all()


def test_sequences_that_overlap_are_no_negatives_of_each_other():
    # rows 4, 5, 6 of the episode that began with row 2, and rows 5, 6 of it before another
    row, episode = torch.tensor([[4, 5, 6], [5, 6, 7]]), torch.tensor([[2, 2, 2], [2, 2, 7]])
    counts = far_apart(row, episode, 1).int().tolist()
    assert counts == [
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 0, 1, 1],  # the fourth is the same frame
        [1, 1, 1, 1, 0, 1],
        [1, 0, 1, 1, 1, 1],
        [1, 1, 0, 1, 1, 1],
        [1, 1, 1, 1, 1, 1],
    ]
    assert far_apart(row, episode, 2)[0].tolist() == [True, False, True, False, True, True]


def test_the_bilinear_score_is_q_w_k():
    bilinear = Bilinear(2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        bilinear.layers[0].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    query, key = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert bilinear(query, key).tolist() == [[1.0, 4.0], [2.0, 6.0]]


def test_the_cosine_score_is_divided_by_the_temperature(built):
    _, term = built(similarity="cosine", temperature=0.5)
    query = torch.tensor([[3.0, 0.0], [0.0, 0.1]])
    assert term._scores(query, 7 * query).tolist() == [[2.0, 0.0], [0.0, 2.0]]
    assert len(term.networks()) == 1


@pytest.mark.parametrize("negatives", ["one_per_sequence", "masked"])
def test_gradients_reach_the_encoder_and_none_the_keys(
    built, random_batch, uniforms, negatives, perturb
):
    agent, term = built(negatives=negatives, window=2)
    perturb(agent.world_model)
    seen = seen_by(agent, random_batch(B, T), uniforms(B, T, 4))
    loss, metrics = term(agent.world_model, seen, uniforms(*term.uniforms_shape(B, T)))
    frames = T if negatives == "masked" else 1
    assert loss.shape == (B, frames)
    assert float(metrics["frames_encoded"]) == 2 * B * frames
    assert float(metrics["negatives"]) == (
        B - 1 if frames == 1 else pytest.approx(B * T - 1 - 2 * (T - 1) / T)
    )
    loss.mean().backward()
    model = agent.world_model
    assert all(p.grad.abs().sum() > 0 for p in model.encoder.parameters())
    own = [p for network in term.networks() for p in network.parameters()]
    assert all(p.grad is not None for p in own)
    others = [model.rssm, model.decoder, model.reward, model.discount]
    others += [follower for follower, _ in term.followers(model)]
    assert all(p.grad is None for other in others for p in other.parameters())


def test_at_the_start_it_guesses(built, random_batch):
    agent, _ = built(negatives="masked", window=1)
    _, metrics = agent.train_world_model(random_batch(B, T))
    assert float(metrics["contrastive/loss"]) == pytest.approx(math.log(B * T), rel=0.02)


def test_the_keys_follow_encoder_and_projector_by_the_rate(built, random_batch):
    agent, term = built(ema_rate=0.25)
    sources = [agent.world_model.encoder, term.projector]
    before = [[p.clone() for p in source.parameters()] for source in sources]
    agent.train_world_model(random_batch(B, T))
    for start, (follower, source) in zip(before, term.followers(agent.world_model), strict=True):
        for old, new, slow in zip(start, source.parameters(), follower.parameters(), strict=True):
            torch.testing.assert_close(slow, 0.75 * old + 0.25 * new)


def test_it_looks_at_the_frame_that_was_drawn_through_two_shifts(built, random_batch, uniforms):
    agent, term = built(pad=0, ema_rate=1.0)
    seen = seen_by(agent, random_batch(B, T), uniforms(B, T, 4))
    draws = torch.tensor([0.0, 0.5, 0.99]).view(B, 1, 1).expand(B, 1, 5)
    frames = torch.stack([seen.view.obs_in[b, row] for b, row in enumerate((0, 3, 5))])
    query = term.projector(agent.world_model.encoder(frames))
    expected = contrastive_loss(
        term.bilinear(query, query.detach()), torch.ones(B, B, dtype=torch.bool)
    )
    loss, _ = term(agent.world_model, seen, draws)
    torch.testing.assert_close(loss[:, 0], expected)


def test_query_and_key_have_their_own_shifts_and_networks(built, random_batch, uniforms, perturb):
    # pad 3: seven offsets from -3 to 3; draws 0, .5 and .99 are -3, 0 and 3
    agent, term = built(pad=3)
    model = agent.world_model
    slow = copy.deepcopy((model.encoder, term.projector))
    perturb(model.encoder)  # the networks of the keys stay where all began
    perturb(term.projector)
    seen = seen_by(agent, random_batch(B, T), uniforms(B, T, 4))
    draws = torch.tensor([0.0, 0.0, 0.99, 0.5, 0.0]).view(1, 1, 5).expand(B, 1, 5)
    looks = [
        projector(encoder(shift(seen.view.obs_in[:, :1], offsets).flatten(0, 1)))
        for dy, dx, encoder, projector in ((-3, 3, model.encoder, term.projector), (0, -3, *slow))
        for offsets in [torch.tensor([dy, dx]).expand(B, 1, 2)]
    ]
    scores = term.bilinear(looks[0], looks[1].detach())
    expected = contrastive_loss(scores, torch.ones(B, B, dtype=torch.bool))
    torch.testing.assert_close(term(model, seen, draws)[0][:, 0], expected)


def test_it_learns_to_tell_frames_apart(built, random_batch):
    agent, _ = built(model_lr=3e-3, weight=1.0, scaling="coefficient")
    dark, gray, bright = (torch.full((T, 1, 64, 64), level) for level in (0, 128, 255))
    frames = torch.stack([dark, gray, bright]).to(torch.uint8)
    batch = dataclasses.replace(random_batch(B, T), observation=frames)
    told = [agent.train_world_model(batch)[1] for _ in range(50)]
    assert float(told[0]["contrastive/loss"]) == pytest.approx(math.log(B), rel=0.05)
    assert float(told[-1]["contrastive/loss"]) < 0.5 * math.log(B)
    assert float(told[-1]["contrastive/accuracy"]) == 1.0


def test_what_has_no_effect_is_no_part_of_its_identity():
    assert "window" not in Contrastive().determinants()
    assert "temperature" not in Contrastive().determinants()
    masked = Contrastive(negatives="masked", similarity="cosine").determinants()
    assert (masked["window"], masked["temperature"]) == (8, 0.07)


@pytest.mark.parametrize("settings", [{}, {"negatives": "masked", "window": 8}])
def test_a_batch_without_negatives_is_refused(settings):
    config = agent_config("micro", batch=1, length=8)
    with pytest.raises(AssemblyError, match="none that count as others"):
        assemble(config, [Contrastive(**settings)])
    assemble(config, [Contrastive(negatives="masked", window=7)])
