"""Convolutions in the form, and over the layout, in which they are fast and exact.

A transposed convolution of stride 2 and even kernel can be computed by phases.
Output pixel 2 q + a receives the inputs q − m through the taps 2 m + a, so the four phases of the
output are plain convolutions at the input's resolution, with kernels of half the size: much faster
than the transposed convolution on the way forward. On the way back in bf16 it is the other way
round: with as few outputs as an image has channels, the transposed convolution's gradients take
48 ms where those of the convolution by phases take 410 (16 x 50 images of 64 x 64, one thread).

Of a transposed convolution's gradients in bf16, that of the bias alone takes 330 ms where the two
others take 130 together (48 images of 30 x 30 pixels made of 96 of 13 x 13, 800 of them): oneDNN
adds it up number by number. It is summed apart, in 18 ms.

A convolution next to the pixels learns from a sum over every pixel of every image, 769,000 terms
and more at the paper's size, most of which cancel. Added up one after another in fp32, as
libraries do, they were 1.5e-5 off (relative L2); summed in groups of images first, half of it.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from agents.precision import product_dtype

IMAGES_PER_SUM = 64


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


def transposed(
    x: Float[Tensor, "N inputs h w"],
    weight: Float[Tensor, "inputs outputs k k"],
    bias: Float[Tensor, " outputs"],
) -> Float[Tensor, "N outputs H W"]:
    """A transposed convolution of stride 2, H = 2 (h − 1) + k, over channels-last memory."""
    dtype = product_dtype(weight)
    if dtype != torch.bfloat16:
        return F.conv_transpose2d(x, weight, bias, stride=2)
    return _with_bias_apart(*(each.to(dtype) for each in (x, weight, bias)))


class _WithBiasApart(torch.autograd.Function):
    """Forward as ever; on the way back, the gradient of the bias is a sum of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv_transpose2d(x, weight, bias, stride=2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (x, weight), gradient = ctx.saved_tensors, channels_last(gradient)
        to_x = F.conv2d(gradient, weight, stride=2)
        return to_x, conv2d_weight(gradient, weight.shape, x, stride=2), gradient.sum((0, 2, 3))


_with_bias_apart: Callable[..., Tensor] = _WithBiasApart.apply


def by_phases(
    x: Float[Tensor, "N inputs h w"], weight: Float[Tensor, "phases inputs half half"]
) -> Float[Tensor, "N outputs H W"]:
    """Doubles the resolution: H = 2 (h − 1) + 2 half.

    Args:
        x: Images in channels-last memory.
        weight: Four phases of each output, the fastest index last: output, row, column.
    """
    if weight.dtype == torch.bfloat16:
        return _learning_as_transposed(x.to(weight.dtype), as_transposed(weight), weight.detach())
    return _shuffled(x, weight)


def _shuffled(x: Tensor, weight: Tensor) -> Tensor:
    return F.pixel_shuffle(next_to_pixels(x, weight, padding=weight.shape[-1] - 1), 2)


def as_transposed(
    weight: Float[Tensor, "phases inputs half half"],
) -> Float[Tensor, "inputs outputs k k"]:
    """The kernel of the transposed convolution: its tap 2 m + a is tap half − 1 − m of phase a."""
    phases, inputs, half, _ = weight.shape
    taps = weight.view(phases // 4, 2, 2, inputs, half, half).flip(-1, -2)
    return taps.permute(3, 0, 4, 1, 5, 2).reshape(inputs, phases // 4, 2 * half, 2 * half)


class _LearningAsTransposed(torch.autograd.Function):
    """Forward by phases, backward through the kernel of the transposed convolution."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return _shuffled(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (x, kernel), gradient = ctx.saved_tensors, channels_last(gradient)
        to_x = F.conv2d(gradient, kernel, stride=2)
        return to_x, conv2d_weight(gradient, kernel.shape, x, stride=2), None


_learning_as_transposed: Callable[[Tensor, Tensor, Tensor], Tensor] = _LearningAsTransposed.apply
