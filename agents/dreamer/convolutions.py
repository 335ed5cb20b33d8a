"""Convolutions in the form, and over the layout, in which they are fast and exact.

With a stride of 2 one halves the resolution of an image, its transpose doubles it, and each is
what the other does on the way back. On a CPU three passes are made otherwise than oneDNN
makes them (milliseconds of one thread, 800 images, in bf16 unless said):

- Doubling by phases, in bf16. Output pixel 2 q + a receives the inputs q − m through the taps
  2 m + a, so the four phases of the output are plain convolutions at the input's resolution, with
  kernels of half the size: 55 instead of 80 (96 channels of 13 x 13 to 48 of 30 x 30).
- The gradient of a kernel where the smaller image has few pixels, as products with patches of the
  larger one: 50 instead of 105 (192 channels of 5 x 5, 96 of 13 x 13), in fp32 170 for 250.
- The gradient of a transposed convolution's bias, as a sum of its own: oneDNN, which adds it up
  number by number, takes 330 more with it than without it, in fp32 310 and the sum 22.

A convolution next to the pixels learns from a sum over every pixel of every image, 769,000 terms
and more at the paper's size, most of which cancel. Added up one after another in fp32, as
libraries do, they were 1.5e-5 off (relative L2); summed in groups of images first, half of it.
"""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from agents.dreamer import products
from agents.precision import product_dtype

IMAGES_PER_SUM = 64
"""Whose share of a gradient is one sum: of fewer terms, and patches of all would take 0.2 GB."""
FEW_PIXELS = 6
"""Across the smaller image: up to there a product with patches is faster."""


def channels_last(image: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C h w"]:
    """The same image with its channels innermost in memory, and with strides that say so.

    A single channel is innermost in either layout. But a convolution takes the layout of its
    output from the strides, and every layer after it would pay for the wrong one.
    """
    _, C, h, w = image.shape
    image = image.contiguous(memory_format=torch.channels_last)
    return image.as_strided(image.shape, (C * h * w, 1, C * w, C))


def next_to_pixels(
    x: Float[Tensor, "N inputs h w"],
    weight: Float[Tensor, "outputs inputs k k"],
    bias: Float[Tensor, " outputs"] | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
) -> Float[Tensor, "N outputs H W"]:
    """A convolution whose weights, in fp32, learn from sums over groups of images."""
    if product_dtype(weight) == torch.float32:
        return _learning_in_groups(x, weight, bias, stride, padding)
    return F.conv2d(x, weight, bias, stride, padding)


class _LearningInGroups(torch.autograd.Function):
    """Forward as ever; on the way back, the sum of what the groups of images say."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.moves = {"stride": stride, "padding": padding}
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), gradient = ctx.saved_tensors, channels_last(gradient)
        learns, has_bias = ctx.needs_input_grad[0], ctx.needs_input_grad[2]
        to_x = conv2d_input(x.shape, weight, gradient, **ctx.moves) if learns else None
        groups = zip(x.split(IMAGES_PER_SUM), gradient.split(IMAGES_PER_SUM), strict=True)
        to_weight = torch.stack(
            [conv2d_weight(images, weight.shape, group, **ctx.moves) for images, group in groups]
        ).sum(0)
        return to_x, to_weight, gradient.sum((0, 2, 3)) if has_bias else None, None, None


_learning_in_groups: Callable[..., Tensor] = _LearningInGroups.apply


def halved(
    x: Float[Tensor, "N inputs h w"],
    weight: Float[Tensor, "outputs inputs k k"],
    bias: Float[Tensor, " outputs"],
) -> Float[Tensor, "N outputs H W"]:
    """A convolution of stride 2, H = (h − k) // 2 + 1, over channels-last memory."""
    if not _in_bf16(weight):
        return F.conv2d(x, weight, bias, stride=2)
    return _halved(x.to(torch.bfloat16), weight, bias)


def doubled(
    x: Float[Tensor, "N inputs h w"],
    weight: Float[Tensor, "inputs outputs k k"],
    bias: Float[Tensor, " outputs"],
) -> Float[Tensor, "N outputs H W"]:
    """A transposed convolution of stride 2, H = 2 (h − 1) + k, over channels-last memory."""
    dtype = product_dtype(weight)
    if weight.device.type != "cpu" or dtype == torch.float64:
        return F.conv_transpose2d(x, weight, bias, stride=2)
    return _doubled(x.to(dtype), weight, bias)


def doubled_by_phases(
    x: Float[Tensor, "N inputs h w"],
    weight: Float[Tensor, "phases inputs half half"],
    bias: Float[Tensor, " outputs"],
) -> Float[Tensor, "N outputs H W"]:
    """A transposed convolution of stride 2 and k = 2 half, given the kernels of its phases.

    Args:
        x: Images in channels-last memory.
        weight: Four phases of each output, the fastest index last: output, row, column.
        bias: Of each output, whatever its phase.
    """
    if not _in_bf16(weight):
        phases = next_to_pixels(x, weight, padding=weight.shape[-1] - 1)
        return F.pixel_shuffle(phases, 2) + bias.to(phases.dtype)[:, None, None]
    return doubled(x, as_transposed(weight), bias)


def as_transposed(
    weight: Float[Tensor, "phases inputs half half"],
) -> Float[Tensor, "inputs outputs k k"]:
    """The kernel of the transposed convolution: its tap 2 m + a is tap half − 1 − m of phase a."""
    phases, inputs, half, _ = weight.shape
    taps = weight.view(phases // 4, 2, 2, inputs, half, half).flip(-1, -2)
    return taps.permute(3, 0, 4, 1, 5, 2).reshape(inputs, phases // 4, 2 * half, 2 * half)


def _in_bf16(weight: Tensor) -> bool:
    return product_dtype(weight) == torch.bfloat16 and products.by_onednn(weight.device)


class _Halved(torch.autograd.Function):
    """In the numbers of x; weight and bias, which are fp32, learn in fp32. Back, images double."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), stride=2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        (x, weight), gradient = ctx.saved_tensors, channels_last(gradient)
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = _interleaved(_phases(gradient, weight.to(x.dtype)), x.shape[-1])
        return to_x, _to_kernel(x, gradient, weight), _to_bias(gradient, weight)


_halved: Callable[..., Tensor] = _Halved.apply


class _Doubled(torch.autograd.Function):
    """The transpose of `_Halved`; x may be fp32 too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        weight, bias = weight.to(x.dtype), bias.to(x.dtype)
        if x.dtype != torch.bfloat16:
            return F.conv_transpose2d(x, weight, bias, stride=2)
        size = 2 * (x.shape[-1] - 1) + weight.shape[-1]
        return _interleaved(_phases(x, weight, bias), size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (x, weight), gradient = ctx.saved_tensors, channels_last(gradient)
        to_x = F.conv2d(gradient, weight.to(x.dtype), stride=2)
        return to_x, _to_kernel(gradient, x, weight), _to_bias(gradient, weight)


_doubled: Callable[..., Tensor] = _Doubled.apply


def _phases(
    x: Float[Tensor, "N inputs h w"],
    weight: Float[Tensor, "inputs outputs k k"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "N phases h1 w1"]:
    """The four phases of the doubled image: row, column, output, the fastest index last.

    h1 = h − 1 + half. The kernel has as many taps for each phase; of an odd one the last are 0.
    """
    inputs, outputs, k, _ = weight.shape
    half = (k + 1) // 2
    taps = F.pad(weight, (0, k % 2, 0, k % 2)).reshape(inputs, outputs, half, 2, half, 2)
    kernels = taps.flip(2, 4).permute(3, 5, 1, 0, 2, 4).reshape(4 * outputs, inputs, half, half)
    kernels = kernels.contiguous(memory_format=torch.channels_last)
    return F.conv2d(x, kernels, None if bias is None else bias.repeat(4), padding=half - 1)


def _interleaved(phases: Float[Tensor, "N phases h w"], size: int) -> Float[Tensor, "N C H H"]:
    """Puts the phases between each other; what they do not reach is 0, the excess is cut off."""
    N, phased, h, w = phases.shape
    shape = N, phased // 4, max(size, 2 * h), max(size, 2 * w)
    image = torch.empty(shape, dtype=phases.dtype, memory_format=torch.channels_last)
    pixels = image.permute(0, 2, 3, 1)
    reached = pixels[:, : 2 * h, : 2 * w].unflatten(2, (w, 2)).unflatten(1, (h, 2))
    reached.copy_(phases.permute(0, 2, 3, 1).unflatten(-1, (2, 2, -1)).transpose(2, 3))
    pixels[:, 2 * h :].zero_()
    pixels[:, :, 2 * w :].zero_()
    if image.shape[-1] > size:
        image = image[:, :, :size, :size].contiguous(memory_format=torch.channels_last)
    return image


def _to_kernel(
    large: Float[Tensor, "N outputs h w"],
    small: Float[Tensor, "N inputs H W"],
    weight: Float[Tensor, "inputs outputs k k"],
) -> Float[Tensor, "inputs outputs k k"]:
    """The gradient of the kernel between two images: each tap by what it joins."""
    inputs, outputs, k, _ = weight.shape
    to_kernel: Tensor
    if small.shape[-1] > FEW_PIXELS:
        to_kernel = conv2d_weight(large, weight.shape, small, stride=2)
    else:
        groups = zip(large.split(IMAGES_PER_SUM), small.split(IMAGES_PER_SUM), strict=True)
        taps = torch.stack([_from_patches(*group, k) for group in groups])
        taps = taps.sum(0, dtype=weight.dtype)
        to_kernel = taps.view(inputs, k, k, outputs).permute(0, 3, 1, 2)
    return to_kernel.to(weight.dtype)


def _to_bias(
    gradient: Float[Tensor, "N outputs h w"], weight: Float[Tensor, "..."]
) -> Float[Tensor, " outputs"]:
    return products.sum_of_rows(_rows(gradient)).to(weight.dtype)


def _from_patches(
    large: Float[Tensor, "N outputs h w"], small: Float[Tensor, "N inputs H W"], k: int
) -> Float[Tensor, "inputs taps"]:
    """Σ over all pixels of the smaller image: the pixel times the patch that it sees or makes."""
    seen = patches(large, k, small.shape[-1]).flatten(3).flatten(0, 2)
    return _rows(small).t().contiguous() @ seen


def patches(x: Float[Tensor, "N C h w"], k: int, size: int) -> Float[Tensor, "N H H k kC"]:
    """What each of H x H pixels of a convolution of stride 2 sees: k rows of k pixels."""
    return _patches(x, k, size)


class _Patches(torch.autograd.Function):
    """On the way back, what overlaps is added up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, k: int, size: int) -> Tensor:
        ctx.shape = N, C, *_ = x.shape
        x = channels_last(x)
        image, _, row, pixel = x.stride()
        across = (image, 2 * row, 2 * pixel, row, 1)
        return x.as_strided((N, size, size, k, k * C), across).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        N, C, h, w = ctx.shape
        k, size = gradient.shape[3], gradient.shape[1]
        image, seen = gradient.new_zeros(N, h, w, C), gradient.unflatten(-1, (k, C))
        for i, j in itertools.product(reversed(range(size)), repeat=2):
            image[:, 2 * i : 2 * i + k, 2 * j : 2 * j + k] += seen[:, i, j]
        return image.permute(0, 3, 1, 2), None, None


_patches: Callable[[Tensor, int, int], Tensor] = _Patches.apply


def _rows(image: Float[Tensor, "N C h w"]) -> Float[Tensor, "pixels C"]:
    return image.permute(0, 2, 3, 1).flatten(0, 2)
