import dataclasses
import io

import numpy as np
import pytest
import torch

from agents.observation import Observation
from agents.training.dreams import dream_pictures

S, T, CONTEXT = 2, 8, 3


@pytest.fixture
def model(make_agent, perturb):
    return perturb(make_agent().world_model)


@pytest.fixture
def batch(random_batch):
    return random_batch(S, T)


@pytest.fixture
def draws(uniforms):
    return uniforms(S, T, 4)


def test_the_truth_is_what_was_replayed(model, batch, draws):
    dreams = dream_pictures(model, batch, draws, CONTEXT)
    assert np.array_equal(dreams.truth, batch.observation.numpy())
    assert np.array_equal(dreams.action, batch.action.numpy())
    np.testing.assert_allclose(dreams.reward, np.tanh(batch.reward.numpy()), rtol=1e-6)
    assert dreams.context == CONTEXT


def test_reconstructions_are_decoded_from_the_posterior_states(model, batch, draws):
    dreams = dream_pictures(model, batch, draws, CONTEXT)
    with torch.no_grad():
        states, _ = model.filter(batch, draws)
        levels = (model.decoder(states.feat).numpy() + 0.5) * 255
        reward = model.reward(states.feat)[..., 0].numpy()
    inside = (levels > 0) & (levels < 255)
    assert 0.1 < inside.mean() < 1
    assert np.abs(dreams.reconstruction - levels)[inside].max() <= 0.5 + 1e-3
    assert (dreams.reconstruction[levels <= 0] == 0).all()
    assert (dreams.reconstruction[levels >= 255] == 255).all()
    np.testing.assert_allclose(dreams.reward_reconstructed, reward, rtol=1e-5)


@pytest.mark.parametrize(
    ("mean", "level"), [(-9.0, 0), (-0.5, 0), (0.1, 153), (0.5, 255), (9, 255)]
)
def test_gray_levels_are_cut_off_at_black_and_white(model, batch, draws, mean, level):
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
        model.decoder.layers[-1].bias.fill_(mean)
    dreams = dream_pictures(model, batch, draws, CONTEXT)
    assert (dreams.reconstruction == level).all()
    assert (dreams.open_loop == level).all()


def test_the_open_loop_sees_the_context_and_nothing_after_it(model, batch, draws):
    dreams = dream_pictures(model, batch, draws, CONTEXT)
    later = batch.observation.clone()
    later[:, CONTEXT:] = 0
    blind = dream_pictures(model, dataclasses.replace(batch, observation=later), draws, CONTEXT)
    assert np.array_equal(blind.open_loop, dreams.open_loop)
    assert np.array_equal(blind.reward_open_loop, dreams.reward_open_loop)
    assert not np.array_equal(blind.reconstruction, dreams.reconstruction)
    assert np.array_equal(dreams.open_loop[:, :CONTEXT], dreams.reconstruction[:, :CONTEXT])
    assert np.array_equal(
        dreams.reward_open_loop[:, :CONTEXT], dreams.reward_reconstructed[:, :CONTEXT]
    )
    for t in range(CONTEXT, T):
        assert not np.array_equal(dreams.open_loop[:, t], dreams.reconstruction[:, t])
        assert not np.array_equal(dreams.reward_open_loop[:, t], dreams.reward_reconstructed[:, t])


def test_the_arrays_survive_a_file_that_may_hold_no_objects(model, batch, draws):
    dreams = dream_pictures(model, batch, draws, CONTEXT)
    file = io.BytesIO()
    np.savez_compressed(file, **dreams.arrays())
    file.seek(0)
    loaded = dict(np.load(file, allow_pickle=False))
    assert {name: (array.dtype.name, array.shape) for name, array in loaded.items()} == {
        "truth": ("uint8", (S, T, 1, 64, 64)),
        "reconstruction": ("uint8", (S, T, 1, 64, 64)),
        "open_loop": ("uint8", (S, T, 1, 64, 64)),
        "reward": ("float32", (S, T)),
        "reward_reconstructed": ("float32", (S, T)),
        "reward_open_loop": ("float32", (S, T)),
        "action": ("int64", (S, T)),
        "context": ("int64", ()),
    }
    assert np.array_equal(loaded["open_loop"], dreams.open_loop)
    assert loaded["context"] == CONTEXT


def test_colours_are_pictures_too(make_agent, batch, draws):
    model = make_agent(observation=Observation((3, 16, 16))).world_model
    colours = batch.observation[..., :16, :16].expand(S, T, 3, 16, 16)
    batch = dataclasses.replace(batch, observation=colours)
    assert dream_pictures(model, batch, draws, CONTEXT).open_loop.shape == (S, T, 3, 16, 16)


def test_vectors_are_refused(make_agent, batch, draws, uniforms):
    model = make_agent(observation=Observation((7,))).world_model
    batch = dataclasses.replace(batch, observation=uniforms(S, T, 7))
    with pytest.raises(ValueError, match=r"shape \(7,\) are no images"):
        dream_pictures(model, batch, draws, CONTEXT)


@pytest.mark.parametrize("context", [0, T])
def test_a_context_must_leave_rows_on_both_sides(model, batch, draws, context):
    with pytest.raises(ValueError, match=f"no open loop from row {context}"):
        dream_pictures(model, batch, draws, context)


def test_looking_at_dreams_leaves_the_model_as_it_is(model, batch, draws, digest):
    before = digest(model.state_dict())
    first = dream_pictures(model, batch, draws, CONTEXT).arrays()
    assert digest(model.state_dict()) == before
    assert all(parameter.grad is None for parameter in model.parameters())
    again = dream_pictures(model, batch, draws, CONTEXT).arrays()
    assert all(np.array_equal(first[name], again[name]) for name in first)
