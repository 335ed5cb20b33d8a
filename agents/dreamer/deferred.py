"""Linear layers of a recurrent scan whose weights learn once per sequence, not once per step.

For y_t = W x_t + c_t, t = 1..T, with the gradients g_t of y_t, dL/dW = Σ_t g_t x_tᵀ. Backward
through time, automatic differentiation makes T small products of it and adds them up, each of
them as large as W. Here the steps pass on the gradient of x_t alone, and the sum is one product
over all steps at the end: equal, but for rounding.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from agents.precision import product_dtype


class DeferredLinear:
    """One layer for the steps of one scan.

    Args:
        weight: [out, in].
        offset: [T, N, out], c_t: a bias, or what other inputs than x_t make of y_t.
    """

    def __init__(self, weight: Float[Tensor, "out in"], offset: Float[Tensor, "T N out"]) -> None:
        dtype = product_dtype(weight)
        self._weight = weight.detach().to(dtype)
        self._inputs: list[Tensor] = []
        joined = _with_weight(offset.to(dtype), weight, self._inputs)
        self._offsets = joined.unbind(0)

    def __call__(self, x: Float[Tensor, "N in"]) -> Float[Tensor, "N out"]:
        """Returns y_t for the x_t of the next step."""
        step, x = len(self._inputs), x.to(self._weight.dtype)
        self._inputs.append(x.detach())
        return torch.addmm(self._offsets[step], x, self._weight.t())


class _WithWeight(torch.autograd.Function):
    """Hands c_t through; on the way back, where all g_t come together, it makes dL/dW of them."""

    @staticmethod
    def forward(ctx: Any, offset: Tensor, weight: Tensor, inputs: list[Tensor]) -> Tensor:
        ctx.inputs = inputs  # the steps fill it
        return offset.view_as(offset)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        inputs = torch.stack(ctx.inputs).flatten(0, 1)
        return gradient, gradient.flatten(0, 1).t() @ inputs, None


_with_weight: Callable[[Tensor, Tensor, list[Tensor]], Tensor] = _WithWeight.apply
