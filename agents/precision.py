"""Precision: in which arithmetic the networks compute.

Parameters, their gradients' sums, optimisers, latent states, logits and losses are fp32 in every
case. With "bf16" the products and convolutions take and give bfloat16 numbers, which have the
exponents of fp32 and 8 bits of mantissa, so no loss needs scaling; they sum in fp32.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["fp32", "bf16"]

PRECISIONS: Mapping[str, Precision] = MappingProxyType({"fp32": "fp32", "bf16": "bf16"})


def arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """A context in which networks compute in a precision.

    Weights are cast wherever they are used: a cast that is kept would be stale after a step of an
    optimiser, and one that was made without gradients would hide the weight from a later loss.
    """
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)


_KEPT: ContextVar[dict[int, tuple[Tensor, Tensor]] | None] = ContextVar("kept", default=None)
"""The weights of a rollout with their casts, by what Python calls the weight's identity."""


@contextmanager
def casts_kept() -> Iterator[None]:
    """Within it every weight is cast once: for rollouts, whose steps use the same ones."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(True)
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)
        torch.clear_autocast_cache()
        torch.set_autocast_cache_enabled(before)


def cast_once(weight: Tensor, dtype: torch.dtype, lay_out: Callable[[Tensor], Tensor]) -> Tensor:
    """A weight's numbers in another dtype, without gradient; laid out anew where it is kept.

    Args:
        weight: Stays as it is while casts are kept.
        dtype: Of the cast.
        lay_out: Puts a cast that will be used often in another order in memory.
    """
    kept = _KEPT.get()
    if kept is None:
        return weight.detach().to(dtype)
    if id(weight) not in kept:  # the weight is held too: an identity may be given anew otherwise
        kept[id(weight)] = weight, lay_out(weight.detach().to(dtype))
    return kept[id(weight)][1]


def as_cast_before(device: torch.device) -> AbstractContextManager[object]:
    """A context for backward passes: every product takes the numbers that its layer took.

    An accelerator's backward pass runs in a thread of its own, where a lower precision is on but
    is always fp16 (pytorch issues 105682 and 125186), whose exponents are too short for gradients.
    """
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def product_dtype(weight: Tensor) -> torch.dtype:
    """The numbers that products with this weight take, here and now."""
    kind = weight.device.type
    if weight.dtype != torch.float32 or not torch.amp.is_autocast_available(kind):
        return weight.dtype
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def joined(*parts: Tensor) -> Tensor:
    """Puts features side by side, as products take them here and now: cast first, and once."""
    return torch.cat([part.to(product_dtype(part)) for part in parts], -1)


def at_least_fp32(x: Tensor) -> Tensor:
    """The same numbers, in fp32 if they were of a lower precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
