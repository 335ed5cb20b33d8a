import math

import pytest
import torch
from scipy.stats import kstest
from torch.nn import functional as F

from agents.config import agent_config
from agents.dreamer.networks import (
    GRU_NORM_EPS,
    MLP,
    Decoder,
    Encoder,
    FirstTransposed,
    GRUCell,
    LastTransposed,
    MiddleTransposed,
    convolution,
    linear,
)
from agents.observation import ATARI, Observation


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(11)


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(12))


@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"),
    [
        (lambda g: linear(300, 200, g), 300, 200),
        (lambda g: convolution(8, 24, 4, g), 8 * 16, 24 * 16),
        (lambda g: MiddleTransposed(24, 8, 5, g), 24 * 25, 8 * 25),
        (lambda g: FirstTransposed(64, 12, 5, g), 64 * 25, 12 * 25),
        (lambda g: LastTransposed(48, 2, 6, g), 48 * 36, 2 * 36),
    ],
    ids=["linear", "convolution", "transposed", "first", "last"],
)
def test_weights_are_glorot_uniform_and_biases_zero(layer, fan_in, fan_out, generator):
    layer = layer(generator)
    limit = math.sqrt(6 / (fan_in + fan_out))
    weight = layer.weight.detach().flatten()
    assert weight.abs().max() <= limit
    assert kstest(weight.numpy(), "uniform", args=(-limit, 2 * limit)).pvalue > 0.01
    assert (layer.bias == 0).all()


def test_the_first_transposed_convolution_is_torchs(generator, perturb):
    layer = perturb(FirstTransposed(10, 6, 5, generator))
    x = noise(3, 10)
    weight = layer.weight.view(5, 5, 6, 10).permute(3, 2, 0, 1)  # [in, out, k, k]
    expected = F.conv_transpose2d(x[:, :, None, None], weight, layer.bias, stride=2)
    assert layer(x).shape == (3, 6, 5, 5)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(("kernel", "outputs"), [(4, 1), (6, 1), (6, 3)])
def test_the_last_transposed_convolution_is_torchs(kernel, outputs, generator, perturb):
    layer = perturb(LastTransposed(5, outputs, kernel, generator))
    half = kernel // 2
    weight = torch.empty(5, outputs, kernel, kernel)
    for out in range(outputs):
        for a in range(2):
            for b in range(2):
                phase = layer.weight.detach()[4 * out + 2 * a + b]  # [in, half, half]
                weight[:, out, a::2, b::2] = phase.flip(1, 2)
    assert weight.shape[-1] == 2 * half
    x = noise(2, 5, 30, 30)
    expected = F.conv_transpose2d(x, weight, layer.bias, stride=2)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((1, 64, 64), [(3, 31), (6, 14), (12, 6), (24, 2)]),
        ((3, 64, 64), [(3, 31), (6, 14), (12, 6), (24, 2)]),
        ((1, 32, 32), [(3, 15), (6, 6), (12, 2)]),
        ((3, 16, 16), [(3, 7), (6, 2)]),
    ],
)
def test_the_encoder_is_strided_convolutions_with_elu(shape, sizes, generator, perturb):
    encoder = Encoder(Observation(shape), agent_config("micro", depth=3), generator)
    perturb(encoder, 0.1)
    images = noise(2, *shape)
    x, seen = images, []
    for layer in encoder.layers:
        assert layer.weight.shape[2:] == (4, 4)
        x = F.elu(F.conv2d(x, layer.weight, layer.bias, stride=2))
        seen.append((x.shape[1], x.shape[-1]))
    assert seen == sizes
    assert encoder(images).shape == (2, encoder.outputs) == (2, 4 * sizes[-1][0])
    torch.testing.assert_close(encoder(images), x.permute(0, 2, 3, 1).flatten(1))


@pytest.mark.parametrize(
    ("shape", "width", "sizes"),
    [
        ((1, 64, 64), 64, [(8, 5), (4, 13), (2, 30)]),
        ((3, 64, 64), 64, [(8, 5), (4, 13), (2, 30)]),
        ((1, 32, 32), 32, [(4, 5), (2, 14)]),
        ((3, 16, 16), 16, [(2, 6)]),
    ],
)
def test_the_decoder_is_a_linear_layer_and_transposed_convolutions(
    shape, width, sizes, generator, perturb
):
    config = agent_config("micro", stoch=1, classes=2, deter=7, depth=2)
    decoder = perturb(Decoder(Observation(shape), config, generator), 0.1)
    feat = noise(2, 3, 9)
    # no activation after the linear layer, none after the last convolution
    (project, first), *middle, last = decoder.layers
    x = F.linear(feat.flatten(0, 1), project.weight, project.bias)
    assert x.shape == (6, width)
    x = F.elu(first(x))
    seen = [(x.shape[1], x.shape[-1])]
    for layer in middle:
        x = F.elu(F.conv_transpose2d(x, layer.weight, layer.bias, stride=2))
        seen.append((x.shape[1], x.shape[-1]))
    assert seen == sizes
    expected = last(x).view(2, 3, *shape)
    torch.testing.assert_close(decoder(feat), expected)


@pytest.mark.parametrize("shape", [(1, 48, 48), (1, 64, 32), (3, 128, 128)])
def test_images_of_other_sizes_are_refused(shape, generator):
    for network in (Encoder, Decoder):
        with pytest.raises(ValueError, match=r"squares of 64, 32, 16 pixels, not \d+x\d+"):
            network(Observation(shape), agent_config("micro"), generator)


def test_vectors_are_encoded_by_linear_layers_with_elu_after_each(generator, perturb):
    config = agent_config("micro", units=7, layers=2)
    encoder = perturb(Encoder(Observation((5,)), config, generator))
    first, second = encoder.layers
    x = noise(4, 5)
    hidden = F.elu(F.linear(x, first.weight, first.bias))
    hidden = F.elu(F.linear(hidden, second.weight, second.bias))
    assert encoder.outputs == 7
    torch.testing.assert_close(encoder(x), hidden)


def test_vectors_are_decoded_by_linear_layers_with_elu_after_all_but_the_last(generator, perturb):
    config = agent_config("micro", units=7, layers=2, stoch=1, classes=2, deter=7)
    decoder = perturb(Decoder(Observation((5,)), config, generator))
    first, second, last = decoder.layers
    feat = noise(2, 3, 9)
    hidden = F.elu(F.linear(feat, first.weight, first.bias))
    hidden = F.elu(F.linear(hidden, second.weight, second.bias))
    torch.testing.assert_close(decoder(feat), F.linear(hidden, last.weight, last.bias))
    assert decoder(feat).shape == (2, 3, 5)


def test_the_mlp_has_elu_after_every_layer_but_the_last(generator, perturb):
    mlp = perturb(MLP(5, 3, units=7, layers=2, generator=generator))
    x = noise(4, 6, 5)
    first, second, last = mlp.layers
    hidden = F.elu(F.linear(x, first.weight, first.bias))
    hidden = F.elu(F.linear(hidden, second.weight, second.bias))
    torch.testing.assert_close(mlp(x), F.linear(hidden, last.weight, last.bias))
    assert [tuple(layer.weight.shape) for layer in mlp.layers] == [(7, 5), (7, 7), (3, 7)]


def gru_by_hand(cell, x, h):
    parts = torch.cat([x, h], -1) @ cell.parts.weight.T + cell.parts.bias
    mean = parts.mean(-1, keepdim=True)
    variance = (parts - mean).square().mean(-1, keepdim=True)
    parts = (parts - mean) / (variance + 1e-3).sqrt() * cell.norm.weight + cell.norm.bias
    size = h.shape[-1]
    reset, candidate, update = parts[:, :size], parts[:, size : 2 * size], parts[:, 2 * size :]
    reset = 1 / (1 + (-reset).exp())
    update = 1 / (1 + (1 - update).exp())  # sigmoid(update - 1)
    candidate = (reset * candidate).tanh()
    return update * candidate + (1 - update) * h


def test_the_recurrent_cell_is_the_written_formula(generator, perturb):
    cell = perturb(GRUCell(4, 6, generator)).double()
    x, h = noise(5, 4).double(), noise(5, 6).double().tanh()
    torch.testing.assert_close(cell(x, h), gru_by_hand(cell, x, h))


def test_the_norm_of_the_recurrent_cell_has_keras_epsilon(generator):
    assert GRU_NORM_EPS == 1e-3
    cell = GRUCell(4, 6, generator).double()
    x, h = 0.01 * noise(5, 4).double(), 0.01 * noise(5, 6).double()  # variance below epsilon
    torch.testing.assert_close(cell(x, h), gru_by_hand(cell, x, h))


def test_a_fresh_cell_of_zeros_keeps_three_quarters_of_its_state(generator):
    cell = GRUCell(4, 6, generator)
    with torch.no_grad():
        cell.parts.weight.zero_()
    # all parts are 0: the candidate is 0 and the update sigmoid(-1)
    h = noise(5, 6)
    torch.testing.assert_close(cell(torch.zeros(5, 4), h), (1 - 0.2689414) * h)


def test_weights_come_from_the_given_generator_alone():
    def build(seed):
        generator, config = torch.Generator().manual_seed(seed), agent_config("micro")
        images = [Decoder(ATARI, config, generator), Encoder(ATARI, config, generator)]
        five = Observation((5,))
        vectors = [Decoder(five, config, generator), Encoder(five, config, generator)]
        return [*images, *vectors, GRUCell(4, 6, generator)]

    before = torch.get_rng_state()
    modules = [build(1), build(1), build(2)]
    assert torch.equal(torch.get_rng_state(), before)
    first, again, other = (
        [p for module in group for p in module.parameters() if p.ndim > 1] for group in modules
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
