import pytest
import torch
from torch.nn import functional as F

from agents.config import agent_config
from agents.dreamer.distributions import one_hot_sample
from agents.dreamer.rssm import RSSM, LatentState
from agents.streams import Streams

B, T, ACTIONS, EMBED = 3, 5, 4, 7


@pytest.fixture
def config():
    return agent_config("micro", deter=6, hidden=9, stoch=3, classes=4)


@pytest.fixture
def rssm(config, perturb):
    return perturb(RSSM(config, ACTIONS, EMBED, Streams(1)), 0.3)


@pytest.fixture
def sequence(uniforms):
    action = F.one_hot((uniforms(B, T) * ACTIONS).long(), ACTIONS).float()
    is_first = torch.zeros(B, T)
    is_first[:, 0] = 1
    return {
        "action": action,
        "embed": 2 * uniforms(B, T, EMBED) - 1,
        "is_first": is_first,
        "uniforms": uniforms(B, T, 3),
    }


def changed(sequence, **changes):
    """A copy of the sequence with rows edited in place by each function."""
    copies = {name: value.clone() for name, value in sequence.items()}
    for name, change in changes.items():
        change(copies[name])
    return copies


def equal(state, other):
    return torch.equal(state.stoch, other.stoch) and torch.equal(state.deter, other.deter)


def row(states, t):
    return LatentState(states.stoch[:, t], states.deter[:, t])


def test_the_initial_state_is_zero(rssm):
    state = rssm.initial(2)
    assert state.stoch.shape == (2, 12)
    assert state.deter.shape == (2, 6)
    assert not state.feat.any()


def test_features_are_the_sample_then_the_recurrent_state():
    state = LatentState(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]]))
    assert state.feat.tolist() == [[1, 2, 3]]


def test_observing_has_the_written_shapes(rssm, sequence):
    states, posterior = rssm.observe(**sequence)
    assert states.stoch.shape == (B, T, 12)
    assert states.deter.shape == (B, T, 6)
    assert posterior.shape == (B, T, 3, 4)
    assert rssm.prior_logits(states.deter).shape == (B, T, 3, 4)
    assert (states.stoch.detach().unflatten(-1, (3, 4)).sum(-1) == 1).all()


def test_one_observation_is_the_written_formula(rssm, sequence):
    start = LatentState(F.one_hot(torch.tensor([0, 5, 11]), 12).float(), torch.full((B, 6), 0.3))
    first = {name: value[:, :1] for name, value in sequence.items()}
    first["is_first"] = torch.zeros(B, 1)
    states, posterior = rssm.observe(**first, start=start)

    x = F.elu(rssm.img_in(torch.cat([start.stoch, sequence["action"][:, 0]], -1)))
    deter = rssm.cell(x, start.deter)
    hidden = F.elu(rssm.obs_out(torch.cat([deter, sequence["embed"][:, 0]], -1)))
    logits = rssm.obs_logits(hidden).view(B, 3, 4)
    stoch = one_hot_sample(logits, sequence["uniforms"][:, 0])
    torch.testing.assert_close(states.deter[:, 0], deter)
    torch.testing.assert_close(posterior[:, 0], logits)
    assert torch.equal(states.stoch[:, 0], stoch.flatten(1))

    prior = rssm.img_logits(F.elu(rssm.img_out(deter))).view(B, 3, 4)
    torch.testing.assert_close(rssm.prior_logits(deter), prior)


def test_observing_step_by_step_equals_observing_at_once(rssm, sequence):
    sequence = changed(sequence, is_first=lambda x: x[1, 3:4].fill_(1))
    states, _ = rssm.observe(**sequence)
    state = rssm.initial(B)
    for t in range(T):
        step = {name: value[:, t] for name, value in sequence.items()}
        state = rssm.obs_step(state, **step)
        assert torch.equal(state.stoch, states.stoch[:, t])
        torch.testing.assert_close(state.deter, states.deter[:, t])


def test_a_filter_step_is_an_observation_of_length_one(rssm, sequence):
    start = row(rssm.observe(**sequence)[0], 2)
    step = {name: value[:, 3] for name, value in sequence.items()}
    whole = {name: value[:, 3:4] for name, value in sequence.items()}
    states, _ = rssm.observe(**whole, start=start)
    assert equal(rssm.obs_step(start, **step), row(states, 0))


def test_a_sequence_starts_from_zero(rssm, sequence):
    states, _ = rssm.observe(**sequence)
    assert equal(rssm.observe(**sequence, start=rssm.initial(B))[0], states)
    somewhere = row(states, 4)
    # is_first cuts off even a given start; without it the start matters
    assert equal(rssm.observe(**sequence, start=somewhere)[0], states)
    running = changed(sequence, is_first=torch.Tensor.zero_)
    assert not torch.equal(rssm.observe(**running, start=somewhere)[0].deter, states.deter)
    # nor does the action that is said to have led into a first row count
    zeroed = changed(running, action=lambda x: x[:, 0].zero_())
    assert equal(rssm.observe(**zeroed)[0], states)


@pytest.mark.parametrize("cut", [True, False])
def test_an_episode_start_in_mid_sequence_cuts_off_the_past(rssm, sequence, cut):
    here = changed(sequence, is_first=lambda x: x[:, 3].fill_(float(cut)))
    other_past = changed(
        here,
        action=lambda x: x[:, :4].copy_(x[:, :4].roll(1, -1)),  # the one into row 3 too
        embed=lambda x: x[:, :3].neg_(),
        uniforms=lambda x: x[:, :3].copy_(1 - x[:, :3] - 2**-24),
    )
    states, others = rssm.observe(**here)[0], rssm.observe(**other_past)[0]
    assert not torch.equal(states.deter[:, :3], others.deter[:, :3])
    assert torch.equal(states.deter[:, 3:], others.deter[:, 3:]) == cut
    assert torch.equal(states.stoch[:, 3:], others.stoch[:, 3:]) == cut


def test_nothing_depends_on_what_comes_later(rssm, sequence):
    later = changed(
        sequence,
        action=lambda x: x[:, 3:].copy_(x[:, 3:].roll(1, -1)),
        embed=lambda x: x[:, 3:].neg_(),
    )
    states, others = rssm.observe(**sequence)[0], rssm.observe(**later)[0]
    assert equal(row(states, 2), row(others, 2))
    assert not torch.equal(states.deter[:, 3], others.deter[:, 3])


def test_the_sequences_of_a_batch_do_not_touch(rssm, sequence):
    other = changed(sequence, embed=lambda x: x[1].neg_(), action=lambda x: x[1].zero_())
    states, others = rssm.observe(**sequence)[0], rssm.observe(**other)[0]
    assert torch.equal(states.deter[[0, 2]], others.deter[[0, 2]])
    assert not torch.equal(states.deter[1], others.deter[1])


def test_imagining_moves_like_observing_and_draws_from_the_prior(rssm, sequence):
    states, _ = rssm.observe(**sequence)
    before, action = row(states, 1), sequence["action"][:, 2]
    draws = sequence["uniforms"][:, 2]
    state = rssm.img_step(before, action, draws)
    torch.testing.assert_close(state.deter, states.deter[:, 2])
    drawn = one_hot_sample(rssm.prior_logits(state.deter), draws).flatten(1)
    assert torch.equal(state.stoch, drawn)


def test_a_later_state_teaches_an_earlier_embedding_through_the_sample(rssm, sequence):
    embed = sequence.pop("embed").requires_grad_()
    states, _ = rssm.observe(**sequence, embed=embed)
    states.deter[:, 2].square().sum().backward()
    # embed 1 reaches deter 2 through the straight-through sample of row 1 alone
    assert (embed.grad[:, :2].abs().sum(-1) > 0).all()
    assert not embed.grad[:, 2:].any()
