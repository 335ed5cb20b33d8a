"""Linear layers in the form in which they are fast.

In bf16 on a CPU, y = x Wᵀ + b goes to oneDNN's own linear layer. torch's way writes b into every
row of y first and has the product added to it, which for 12,800 rows of 400 takes as long again
as the product. On the way back dL/dW = gᵀ x reads g against the grain; where x has many columns
it pays to turn g first, and Σ g is a product with ones. Equal to torch's, but for rounding.

A rollout multiplies by the same weights at every step: within `casts_kept` they are cast, and laid
out as oneDNN likes them, once.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from agents.precision import cast_once, product_dtype

MANY_COLUMNS = 1000
"""Of x: from there on, turning g takes less time than it saves."""


class Linear(nn.Linear):
    """A linear layer; what is to be known of it is in `linear`."""

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Maps rows of inputs to rows of outputs."""
        return linear(x, self.weight, self.bias)


def linear(
    x: Float[Tensor, "*batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "*batch outputs"]:
    """Computes x Wᵀ + b, in the arithmetic that holds here and now."""
    dtype = product_dtype(weight)
    if dtype != torch.bfloat16 or not by_onednn(weight.device):
        return F.linear(x, weight, bias)
    rows = x.to(dtype).flatten(0, -2)
    cast = cast_once(weight, dtype, lambda cast: _laid_out(cast, len(rows)))
    y = _linear(rows, weight, bias, cast)
    return y if x.ndim == 2 else y.unflatten(0, x.shape[:-1])


def by_onednn(device: torch.device) -> bool:
    """Whether oneDNN multiplies bf16 numbers there."""
    return device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def sum_of_rows(x: Float[Tensor, "N width"]) -> Float[Tensor, " width"]:
    """Adds up rows. In bf16 a product with ones is faster, unless it has a single column."""
    if x.dtype != torch.bfloat16 or x.shape[1] == 1:
        return x.sum(0)
    return (x.new_ones(1, len(x)) @ x)[0]


def _laid_out(weight: Tensor, rows: int) -> Tensor:
    laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    return laid_out


class _Linear(torch.autograd.Function):
    """Takes fp32 weights, and gives their gradients in fp32; multiplies in the dtype of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, cast: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        bias = None if bias is None else bias.to(x.dtype)
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, cast, bias, "none", [], "")
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = None, None, None
        if ctx.needs_input_grad[0]:
            to_x = g @ weight.to(g.dtype)
        if ctx.needs_input_grad[1]:
            turned = g.t().contiguous() if x.shape[1] >= MANY_COLUMNS else g.t()
            to_weight = (turned @ x).to(weight.dtype)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            to_bias = sum_of_rows(g).to(weight.dtype)
        return to_x, to_weight, to_bias, None


_linear: Callable[[Tensor, Tensor, Tensor | None, Tensor], Tensor] = _Linear.apply
