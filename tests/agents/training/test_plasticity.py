import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from agents.observation import Observation
from agents.training.plasticity import (
    HiddenUnits,
    effective_rank,
    initial_parameters,
    plasticity,
    recurrent_units,
    singular_values,
    srank,
)

B, T, ACTIONS = 2, 6, 5
MODULES = ("encoder", "rssm", "decoder", "reward", "discount", "actor", "critic")
FEATURES = ("embed", "deter", "actor_hidden", "critic_hidden")


@pytest.fixture
def agent(make_agent):
    return make_agent()


@pytest.fixture
def batch(random_batch):
    return random_batch(B, T)


def network(agent, module):
    owner = agent.behaviour if module in ("actor", "critic") else agent.world_model
    return owner.get_submodule(module)


def spectrum(*values):
    return torch.tensor(values, dtype=torch.float64)


def matrix_of(values, *, rows=40, width=30, seed=0):
    """A matrix with these singular values and random singular vectors."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(n, len(values))))[0] for n in (rows, width))
    return torch.from_numpy(left * values @ right.T).float()


def test_every_module_and_every_feature_is_measured(agent, batch):
    measured = plasticity(agent, initial_parameters(agent), batch)
    of_modules = {f"{m}/{what}" for m in MODULES for what in ("norm", "drift", "saturation")}
    of_features = {f"{f}/{what}" for f in FEATURES for what in ("srank", "effective_rank")}
    assert measured.keys() == {f"plasticity/{name}" for name in of_modules | of_features}
    assert all(type(value) is float and math.isfinite(value) for value in measured.values())


def test_every_parameter_that_is_trained_belongs_to_one_module(agent):
    initial = initial_parameters(agent)
    everyone = [*agent.world_model.parameters(), *agent.behaviour.parameters()]
    trained = [parameter for parameter in everyone if parameter.requires_grad]
    assert sum(tensor.numel() for tensor in initial.values()) == sum(p.numel() for p in trained)
    assert len(initial) == len(trained)


def test_nothing_has_drifted_before_the_first_update_and_everything_after_it(agent, batch):
    initial = initial_parameters(agent)
    before = plasticity(agent, initial, batch)
    assert all(before[f"plasticity/{module}/drift"] == 0 for module in MODULES)
    posteriors, _ = agent.train_world_model(batch)
    agent.train_behaviour(posteriors)
    after = plasticity(agent, initial, batch)
    assert all(after[f"plasticity/{module}/drift"] > 0 for module in MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_norm_and_drift_are_those_of_one_module(agent, batch, module):
    initial = initial_parameters(agent)
    before = plasticity(agent, initial, batch)
    parts = [p.detach().double().flatten() for p in network(agent, module).parameters()]
    norm = float(torch.cat(parts).square().sum().sqrt())
    with torch.no_grad():
        for parameter in network(agent, module).parameters():
            parameter *= 4
    after = plasticity(agent, initial, batch)
    assert before[f"plasticity/{module}/norm"] == pytest.approx(norm)
    assert after[f"plasticity/{module}/norm"] == pytest.approx(4 * norm)
    assert after[f"plasticity/{module}/drift"] == pytest.approx(3)
    for other in set(MODULES) - {module}:
        assert after[f"plasticity/{other}/norm"] == before[f"plasticity/{other}/norm"]
        assert after[f"plasticity/{other}/drift"] == 0


# a micro agent has 2 + 4 + 8 + 16 channels in its encoder, 8 + 4 + 2 in its decoder, three layers
# of 16 around the recurrent cell and one in each head
@pytest.mark.parametrize(
    ("module", "biases", "units"),
    [
        ("encoder", ["layers.0.bias", "layers.3.bias"], 30),
        ("rssm", ["img_in.bias", "img_out.bias", "obs_out.bias"], 48),
        ("decoder", ["layers.0.1.bias", "layers.1.bias", "layers.2.bias"], 14),
        ("reward", ["layers.0.bias"], 16),
        ("discount", ["layers.0.bias"], 16),
        ("actor", ["layers.0.bias"], 16),
        ("critic", ["layers.0.bias"], 16),
    ],
)
def test_a_unit_that_never_answers_is_saturated(agent, batch, module, biases, units):
    initial = initial_parameters(agent)
    before = plasticity(agent, initial, batch)
    assert all(before[f"plasticity/{name}/saturation"] == 0 for name in MODULES)
    parameters = dict(network(agent, module).named_parameters())
    with torch.no_grad():
        for bias in biases:
            parameters[bias][1] = -1000
    after = plasticity(agent, initial, batch)
    assert after[f"plasticity/{module}/saturation"] == pytest.approx(len(biases) / units)
    for other in set(MODULES) - {module}:
        assert after[f"plasticity/{other}/saturation"] == 0


def test_a_unit_is_saturated_if_it_is_so_for_every_input():
    # ELU is below -0.99 where its input is below ln 0.01 = -4.605
    x = torch.tensor([[-4.61, -4.61, -4.60, 3.0], [-9.0, -4.60, -9.0, -9.0]])
    with HiddenUnits() as hidden:
        F.elu(x)
    assert hidden.saturation == 1 / 4
    assert torch.equal(hidden.last, F.elu(x))


def test_the_units_of_a_convolution_are_its_channels():
    image = torch.full((2, 3, 4, 4), -9.0)
    image[1, 2, 3, 0] = 0.0  # one pixel of one picture keeps channel 2 alive
    with HiddenUnits() as hidden:
        F.elu(image.contiguous(memory_format=torch.channels_last))
    assert hidden.saturation == pytest.approx(2 / 3)


def test_every_layer_counts_by_its_units_and_only_elus_are_watched():
    with HiddenUnits() as hidden:
        F.elu(torch.full((5, 6), -9.0))
        torch.tanh(torch.full((5, 90), -9.0))
        F.elu(torch.zeros(5, 2))
    F.elu(torch.zeros(5, 90))
    assert hidden.saturation == 6 / 8
    assert hidden.last.shape == (5, 2)


def test_the_layers_around_the_recurrent_cell_are_those_of_the_filter(
    agent, batch, perturb, uniforms
):
    rssm, draws = perturb(agent.world_model).rssm, uniforms(B, T, 4)
    action, embed = F.one_hot(batch.action, ACTIONS).float(), uniforms(B, T, 64)
    is_first = batch.is_first.float()
    is_first[0, 3] = 1
    states, _ = rssm.observe(action, embed, is_first, draws)
    with HiddenUnits() as at_once:
        recurrent_units(rssm, action, embed, is_first, states)

    state, rows = rssm.initial(B), []
    for t in range(T):
        row = (action[:, t], embed[:, t], is_first[:, t], draws[:, t])
        with HiddenUnits() as watched:
            state = rssm.obs_step(state, *row)
            rssm.prior_logits(state.deter)
        rows.append(watched.peaks)
    img_in, obs_out, img_out = (torch.stack(peaks).amax(0) for peaks in zip(*rows, strict=True))
    torch.testing.assert_close(torch.cat(at_once.peaks), torch.cat([img_in, img_out, obs_out]))


@pytest.mark.parametrize("r", [1, 3, 12])
def test_a_random_matrix_of_rank_r_has_srank_r(r):
    rng = np.random.default_rng(r)
    product = rng.normal(size=(50, r)) @ rng.normal(size=(r, 20))
    values = singular_values(torch.from_numpy(product).float())
    assert len(values) == 20
    assert srank(values, delta=1e-4) == r


@pytest.mark.parametrize("r", [1, 3, 12])
def test_r_equal_singular_values_have_effective_rank_r(r):
    values = singular_values(matrix_of(np.full(r, 2.5)))
    assert effective_rank(values) == pytest.approx(r, rel=1e-3)
    assert srank(values) == r


@pytest.mark.parametrize(("delta", "rank"), [(0.2, 1), (0.01, 2), (0.003, 3), (0.0005, 4)])
def test_srank_counts_the_values_that_make_up_all_but_delta_of_the_sum(delta, rank):
    assert srank(spectrum(90, 9.5, 0.4, 0.1), delta) == rank


def test_effective_rank_is_the_exponential_of_the_entropy():
    # p = 1/2, 1/4, 1/4: H = 1.5 ln 2
    assert effective_rank(spectrum(4, 2, 2)) == pytest.approx(2**1.5)
    assert effective_rank(spectrum(4, 2, 2, 0)) == pytest.approx(2**1.5)


def test_singular_values_come_in_descending_order_and_are_not_centred():
    values = singular_values(matrix_of(np.array([3.0, 5.0, 1.0])))
    torch.testing.assert_close(values[:3], torch.tensor([5.0, 3.0, 1.0]))
    ones = singular_values(torch.ones(4, 9))
    torch.testing.assert_close(ones, torch.tensor([6.0, 0, 0, 0]), atol=1e-5, rtol=1e-5)


def test_features_that_are_all_zero_have_rank_zero():
    values = singular_values(torch.zeros(4, 3))
    assert srank(values) == effective_rank(values) == 0


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_features_that_are_not_finite_have_no_rank(broken):
    features = torch.ones(4, 3)
    features[1, 1] = broken
    values = singular_values(features)
    assert math.isnan(srank(values))
    assert math.isnan(effective_rank(values))


def test_an_agent_that_sees_one_thing_only_has_one_direction_in_its_embedding(agent, batch):
    still = dataclasses.replace(batch, observation=torch.full_like(batch.observation, 200))
    measured = plasticity(agent, initial_parameters(agent), still)
    assert measured["plasticity/embed/srank"] == 1
    assert measured["plasticity/embed/effective_rank"] == pytest.approx(1, abs=1e-3)
    assert measured["plasticity/deter/srank"] > 1


def test_the_ranks_are_those_of_the_features_by_their_names(agent, random_batch):
    # each feature is forced to a rank of its own by zeroing all but so many columns
    batch = random_batch(4, T)
    with torch.no_grad():
        last = agent.world_model.encoder.layers[-1]
        last.weight[1:], last.bias[1:] = 0, 0  # 1 channel of 2x2 pixels
        for module, rank in (("actor", 2), ("critic", 3)):
            first = network(agent, module).layers[0]
            first.weight[rank:], first.bias[rank:] = 0, 0
    measured = plasticity(agent, initial_parameters(agent), batch)
    assert measured["plasticity/embed/srank"] <= 4
    assert measured["plasticity/deter/srank"] > 4
    assert measured["plasticity/actor_hidden/srank"] == 2
    assert measured["plasticity/critic_hidden/srank"] == 3


def test_ranks_are_taken_over_some_rows_from_the_whole_batch(agent, random_batch, monkeypatch):
    batch = random_batch(4, T)
    batch.observation[1:] = 0  # what differs lies in the first quarter
    initial = initial_parameters(agent)
    whole = plasticity(agent, initial, batch)["plasticity/embed/effective_rank"]
    monkeypatch.setattr("agents.training.plasticity.ROWS", 4)  # one of each sequence
    some = plasticity(agent, initial, batch)["plasticity/embed/effective_rank"]
    assert 1.5 < some <= 2.01
    assert whole > 2.01


def test_an_agent_of_vectors_is_measured_too(make_agent, batch, uniforms):
    agent = make_agent(observation=Observation((7,)))
    batch = dataclasses.replace(batch, observation=uniforms(B, T, 7))
    measured = plasticity(agent, initial_parameters(agent), batch)
    assert len(measured) == 3 * len(MODULES) + 2 * len(FEATURES)
    assert all(math.isfinite(value) for value in measured.values())


def test_an_agent_that_has_diverged_is_measured_as_not_a_number(agent, batch):
    initial = initial_parameters(agent)
    with torch.no_grad():
        agent.world_model.encoder.layers[0].weight.fill_(math.nan)
    measured = plasticity(agent, initial, batch)
    assert math.isnan(measured["plasticity/encoder/drift"])
    assert math.isnan(measured["plasticity/embed/srank"])
    assert math.isnan(measured["plasticity/embed/effective_rank"])


def test_probing_leaves_parameters_optimisers_streams_and_gradients_as_they_are(
    agent, batch, digest
):
    initial = initial_parameters(agent)
    posteriors, _ = agent.train_world_model(batch)
    agent.train_behaviour(posteriors)

    def everything():
        modules = (agent.world_model, agent.behaviour)
        gradients = [p.grad for module in modules for p in module.parameters()]
        modes = [part.training for module in modules for part in module.modules()]
        return digest(
            [agent.state_dict(), gradients, modes, initial, vars(batch), torch.get_rng_state()]
        )

    before = everything()
    first = plasticity(agent, initial, batch)
    assert everything() == before
    assert plasticity(agent, initial, batch) == first
    assert everything() == before


def test_what_an_agent_started_from_is_a_copy(agent, batch, digest):
    initial = initial_parameters(agent)
    before = digest(initial)
    agent.train_world_model(batch)
    assert digest(initial) == before
    assert not any(tensor.requires_grad for tensor in initial.values())
