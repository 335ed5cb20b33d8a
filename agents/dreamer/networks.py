"""The network blocks: linear, convolution, MLP, encoder, decoder and the recurrent cell.

DreamerV2 (arXiv:2010.02193), appendix D, with the official code's details: Glorot-uniform
weights and zero biases throughout, ELU, and no normalisation except inside the recurrent cell.
Convolutions work on channels-last memory. Images of 64 pixels are the paper's; one strided layer
less, at either end, halves that. Vectors are encoded and decoded by linear layers.
"""

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import skip_init

from agents.config import AgentConfig
from agents.dreamer import products
from agents.dreamer.activation import elu
from agents.dreamer.convolutions import (
    channels_last,
    doubled,
    doubled_by_phases,
    halved,
    next_to_pixels,
    patches,
)
from agents.dreamer.products import Linear
from agents.observation import Observation
from agents.precision import at_least_fp32, joined

ENCODER_KERNEL = 4
DECODER_KERNELS: Mapping[int, tuple[int, ...]] = {
    64: (5, 5, 6, 6),  # 1 -> 5 -> 13 -> 30 -> 64 pixels at stride 2
    32: (5, 6, 6),  # 1 -> 5 -> 14 -> 32
    16: (6, 6),  # 1 -> 6 -> 16
}
"""Height and width of an image to the kernels of its decoder; the encoder has as many layers."""

GRU_NORM_EPS = 1e-3  # Keras' default, which the official code inherits


def decoder_kernels(observation: Observation) -> tuple[int, ...]:
    """The kernels that end in an image of this size.

    Raises:
        ValueError: If the image is not a square of one of the sizes of `DECODER_KERNELS`.
    """
    _, height, width = observation.shape
    if height != width or height not in DECODER_KERNELS:
        sizes = ", ".join(map(str, DECODER_KERNELS))
        raise ValueError(f"images must be squares of {sizes} pixels, not {height}x{width}")
    return DECODER_KERNELS[height]


def glorot_(weight: Tensor, fan_in: int, fan_out: int, generator: torch.Generator) -> Tensor:
    """Fills `weight` from U(-l, l) with l = sqrt(6 / (fan_in + fan_out)), Glorot & Bengio 2010."""
    limit = math.sqrt(6.0 / (fan_in + fan_out))
    with torch.no_grad():
        return weight.uniform_(-limit, limit, generator=generator)


def linear(inputs: int, outputs: int, generator: torch.Generator) -> Linear:
    """A Glorot-initialised linear layer; the global generator is not touched."""
    layer: Linear = skip_init(Linear, inputs, outputs)
    glorot_(layer.weight, inputs, outputs, generator)
    nn.init.zeros_(layer.bias)
    return layer


class Convolution(nn.Conv2d):
    """A convolution of stride 2 without padding; what is to be known of it is in `halved`."""

    def forward(self, x: Float[Tensor, "N inputs h w"]) -> Float[Tensor, "N outputs H W"]:
        """Reads images in channels-last memory, and leaves such."""
        assert self.bias is not None
        return halved(x, self.weight, self.bias)


def convolution(inputs: int, outputs: int, kernel: int, generator: torch.Generator) -> Convolution:
    """A Glorot-initialised convolution of stride 2, in channels-last memory."""
    layer: Convolution = skip_init(Convolution, inputs, outputs, kernel, stride=2)
    _initialise(layer, generator)
    return layer


def _initialise(layer: nn.Conv2d | nn.ConvTranspose2d, generator: torch.Generator) -> None:
    first, second, height, width = layer.weight.shape
    glorot_(layer.weight, first * height * width, second * height * width, generator)
    layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


class MLP(nn.Module):
    """Hidden layers with ELU, then a linear layer: heads, actor and critic."""

    def __init__(
        self, inputs: int, outputs: int, *, units: int, layers: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        widths = [inputs, *[units] * layers, outputs]
        self.layers = nn.ModuleList(linear(m, n, generator) for m, n in pairwise(widths))

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Maps features to raw outputs: logits or means."""
        *hidden, last = self.layers
        rows = x.flatten(0, -2)  # what is changed in place is then no view, which costs copies
        for layer in hidden:
            rows = elu(layer(rows), inplace=True)
        return torch.unflatten(at_least_fp32(last(rows)), 0, x.shape[:-1])


class Encoder(nn.Module):
    """Strided convolutions down to 2x2 pixels (64 -> 31 -> 14 -> 6 -> 2), or linear layers.

    ELU follows every layer.

    Attributes:
        outputs: Width of the embedding: 32, 16 or 8 times the depth for images of 64, 32 or 16
            pixels, the units for vectors.
    """

    def __init__(
        self, observation: Observation, config: AgentConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        if observation.is_image:
            blocks = len(decoder_kernels(observation))
            channels = [observation.shape[0], *(config.depth * 2**i for i in range(blocks))]
            first, *halvings, last = pairwise(channels)
            self.layers = nn.ModuleList([FirstConvolution(*first, generator)])
            self.layers.extend(convolution(m, n, ENCODER_KERNEL, generator) for m, n in halvings)
            self.layers.append(LastConvolution(*last, generator))
            self.outputs = channels[-1] * 2 * 2
        else:
            widths = [observation.size, *[config.units] * config.layers]
            self.layers = nn.ModuleList(linear(m, n, generator) for m, n in pairwise(widths))
            self.outputs = config.units

    def forward(self, observation: Float[Tensor, "N ..."]) -> Float[Tensor, "N embed"]:
        """Embeds images in [-0.5, 0.5], channels last, or vectors."""
        x = observation
        if x.ndim == 4:
            x = channels_last(x)
        for layer in self.layers:
            x = elu(layer(x), inplace=True)
        if x.ndim == 4:
            x = x.permute(0, 2, 3, 1)
        return at_least_fp32(x.reshape(len(x), self.outputs))


class FirstConvolution(nn.Module):
    """The convolution that sees pixels, whose gradients are summed in groups of images."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        layer = convolution(inputs, outputs, ENCODER_KERNEL, generator)
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Float[Tensor, "N inputs h w"]) -> Float[Tensor, "N outputs H W"]:
        """Reads images in channels-last memory, and leaves such."""
        return next_to_pixels(x, self.weight, self.bias, stride=2)


class LastConvolution(nn.Module):
    """A convolution of stride 2 that leaves 2x2 pixels, as one matrix product.

    Its four outputs see four overlapping patches. Laid side by side they are a matrix, for
    which products are two to four times as fast as convolutions of so few pixels.
    """

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        layer = convolution(inputs, outputs, ENCODER_KERNEL, generator)
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Float[Tensor, "N inputs h w"]) -> Float[Tensor, "N outputs 2 2"]:
        """Reads images in channels-last memory, and leaves such."""
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        seen = patches(x, ENCODER_KERNEL, 2).flatten(3).flatten(0, 2)
        pixels = products.linear(seen, weight, self.bias)
        return torch.unflatten(pixels, 0, (len(x), 2, 2)).permute(0, 3, 1, 2)


class FirstTransposed(nn.Module):
    """A transposed convolution of a 1x1 image, which is a matrix product."""

    def __init__(self, inputs: int, outputs: int, kernel: int, generator: torch.Generator) -> None:
        super().__init__()
        self.kernel = kernel
        weight = torch.empty(kernel * kernel * outputs, inputs)
        self.weight = nn.Parameter(
            glorot_(weight, inputs * kernel**2, outputs * kernel**2, generator)
        )
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Float[Tensor, "N inputs"]) -> Float[Tensor, "N outputs k k"]:
        """Spreads each vector over a kernel x kernel image, in channels-last memory."""
        flat = products.linear(x, self.weight)
        image = flat.view(len(x), self.kernel, self.kernel, -1).permute(0, 3, 1, 2)
        return image + self.bias.to(flat.dtype)[:, None, None]


class MiddleTransposed(nn.Module):
    """A Glorot-initialised transposed convolution of stride 2, in channels-last memory."""

    def __init__(self, inputs: int, outputs: int, kernel: int, generator: torch.Generator) -> None:
        super().__init__()
        layer: nn.ConvTranspose2d = skip_init(
            nn.ConvTranspose2d, inputs, outputs, kernel, stride=2
        )
        _initialise(layer, generator)
        assert layer.bias is not None
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Float[Tensor, "N inputs h w"]) -> Float[Tensor, "N outputs H W"]:
        """More than doubles the resolution: H = 2 (h - 1) + kernel."""
        return doubled(x, self.weight, self.bias)


class LastTransposed(nn.Module):
    """A transposed convolution of stride 2 and even kernel, as a convolution and a shuffle.

    Output pixel (2 q + a) receives the inputs q - m through the taps 2 m + a, so each of the four
    phases (a, b) is a plain convolution at the input's resolution with a kernel of half the size.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, generator: torch.Generator) -> None:
        super().__init__()
        self.phase = kernel // 2
        weight = torch.empty(4 * outputs, inputs, self.phase, self.phase)
        glorot_(weight, inputs * kernel**2, outputs * kernel**2, generator)
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Float[Tensor, "N inputs h w"]) -> Float[Tensor, "N outputs H W"]:
        """Doubles the resolution: H = 2 (h - 1) + kernel."""
        return doubled_by_phases(x, self.weight, self.bias)


class Decoder(nn.Module):
    """Transposed convolutions from 1x1 pixel to the image, or linear layers; ELU between them.

    The first layer of an image's decoder is a linear one without activation.
    """

    def __init__(
        self, observation: Observation, config: AgentConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.shape = observation.shape
        if observation.is_image:
            self.layers = image_decoder(observation, config, generator)
        else:
            widths = [config.feat, *[config.units] * config.layers, observation.size]
            self.layers = nn.ModuleList(linear(m, n, generator) for m, n in pairwise(widths))

    def forward(self, feat: Float[Tensor, "*batch feat"]) -> Float[Tensor, "..."]:
        """Predicts the mean of each pixel or entry: [*batch, *obs]."""
        *hidden, last = self.layers
        x = feat.flatten(0, -2)
        for layer in hidden:
            x = elu(layer(x), inplace=True)
        observation = at_least_fp32(last(x))
        return observation.view(*feat.shape[:-1], *self.shape)


def image_decoder(
    observation: Observation, config: AgentConfig, generator: torch.Generator
) -> nn.ModuleList:
    """The decoder's layers, as wide as the encoder's in reverse."""
    kernels = decoder_kernels(observation)
    blocks = len(kernels)
    width = config.depth * 2 ** (blocks + 1)
    channels = [config.depth * 2**i for i in reversed(range(blocks - 1))]
    project = linear(config.feat, width, generator)
    spread = FirstTransposed(width, channels[0], kernels[0], generator)
    middle = [
        MiddleTransposed(m, n, kernel, generator)
        for (m, n), kernel in zip(pairwise(channels), kernels[1:-1], strict=True)
    ]
    last = LastTransposed(channels[-1], observation.shape[0], kernels[-1], generator)
    return nn.ModuleList([nn.Sequential(project, spread), *middle, last])


class GRUCell(nn.Module):
    """The recurrent cell with one LayerNorm over its three gates.

    With parts = LN(W [x, h] + b), split in this order into reset, candidate and update:

        r = σ(reset),  c = tanh(r · candidate),  u = σ(update − 1),  h' = u c + (1 − u) h.
    """

    def __init__(self, inputs: int, size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.parts = linear(inputs + size, 3 * size, generator)
        self.norm = nn.LayerNorm(3 * size, eps=GRU_NORM_EPS)

    def forward(
        self, x: Float[Tensor, "N inputs"], h: Float[Tensor, "N size"]
    ) -> Float[Tensor, "N size"]:
        """Returns the next recurrent state."""
        return self.gates(self.parts(joined(x, h)), h)

    def gates(
        self, parts: Float[Tensor, "N parts"], h: Float[Tensor, "N size"]
    ) -> Float[Tensor, "N size"]:
        """Returns the next recurrent state, given W [x, h] + b."""
        reset, candidate, update = self.norm(at_least_fp32(parts)).chunk(3, -1)
        candidate = torch.tanh(torch.sigmoid(reset) * candidate)
        update = torch.sigmoid(update - 1)
        return torch.lerp(h, candidate, update)
