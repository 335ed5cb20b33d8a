import dataclasses

import pytest
import torch

from agents.training.open_loop import open_loop

B, T, CONTEXT, ACTIONS = 2, 8, 3, 5


@pytest.fixture
def model(make_agent, perturb):
    return perturb(make_agent().world_model)


@pytest.fixture
def batch(random_batch):
    return random_batch(B, T)


@pytest.fixture
def draws(uniforms):
    return uniforms(B, T, 4)


@torch.no_grad()
def rolled(model, batch, draws, *, context=CONTEXT, end=T):
    states, _ = model.filter(batch, draws)
    return open_loop(model, batch, states, draws, context=context, end=end)


def with_rows(batch, rows, **fields):
    """A copy of the batch with some rows of some fields changed."""
    changed = {name: getattr(batch, name).clone() for name in fields}
    for name, value in fields.items():
        changed[name][:, rows] = value
    return dataclasses.replace(batch, **changed)


def test_what_is_seen_after_the_context_does_not_matter(model, batch, draws):
    seen = rolled(model, batch, draws)
    later = rolled(model, with_rows(batch, slice(CONTEXT, T), observation=0), draws)
    assert torch.equal(later.feat, seen.feat)
    assert torch.isfinite(seen.feat).all()
    last_seen = rolled(model, with_rows(batch, CONTEXT - 1, observation=0), draws)
    assert not torch.equal(last_seen.feat, seen.feat)


@pytest.mark.parametrize("row", [CONTEXT, CONTEXT + 2, T - 1])
def test_an_action_matters_from_the_row_on_into_which_it_leads(model, batch, draws, row):
    seen = rolled(model, batch, draws)
    other = rolled(
        model, with_rows(batch, row, action=(batch.action[:, row] + 1) % ACTIONS), draws
    )
    step = row - CONTEXT
    assert torch.equal(other.feat[:, :step], seen.feat[:, :step])
    for b in range(B):
        assert not torch.equal(other.deter[b, step], seen.deter[b, step])


@pytest.mark.parametrize("start", [None, CONTEXT, CONTEXT + 2])
def test_a_prior_that_is_the_posterior_expects_what_is_inferred(model, batch, draws, start):
    # both draw from one distribution, whatever h and x are, with the same uniforms
    rssm = model.rssm
    with torch.no_grad():
        rssm.obs_logits.weight.zero_()
        rssm.img_logits.weight.zero_()
        rssm.img_logits.bias.copy_(rssm.obs_logits.bias)
    if start is not None:
        batch = with_rows(batch, start, is_first=True)
    states, _ = model.filter(batch, draws)
    expected = rolled(model, batch, draws)
    assert torch.equal(expected.stoch, states.stoch[:, CONTEXT:])
    torch.testing.assert_close(expected.deter, states.deter[:, CONTEXT:])


def test_the_start_of_an_episode_forgets_what_came_before(model, batch, draws):
    batch = with_rows(batch, CONTEXT + 1, is_first=True)
    seen = rolled(model, batch, draws)
    other = rolled(
        model,
        with_rows(batch, slice(0, CONTEXT), observation=0),
        draws,
    )
    assert not torch.equal(other.feat[:, 0], seen.feat[:, 0])
    assert torch.equal(other.feat[:, 1:], seen.feat[:, 1:])
    action = (batch.action[:, CONTEXT + 1] + 1) % ACTIONS
    other = rolled(model, with_rows(batch, CONTEXT + 1, action=action), draws)
    assert torch.equal(other.feat, seen.feat)


def test_the_rows_are_those_from_the_context_to_the_end(model, batch, draws):
    whole = rolled(model, batch, draws)
    assert whole.feat.shape == (B, T - CONTEXT, model.config.feat)
    part = rolled(model, batch, draws, end=CONTEXT + 2)
    assert torch.equal(part.feat, whole.feat[:, :2])


@pytest.mark.parametrize(("context", "end"), [(0, T), (3, 3), (T, T), (3, T + 1)])
def test_rows_that_are_not_there_are_refused(model, batch, draws, context, end):
    with pytest.raises(ValueError, match=f"no open loop from row {context} to {end} of {T}"):
        rolled(model, batch, draws, context=context, end=end)
