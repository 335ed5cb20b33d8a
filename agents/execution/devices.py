"""Devices: which executor and which queue suit where an agent lives, and the way there."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.execution.cuda import CudaGraphs, SideStream
from agents.execution.executor import Eager, Executor, Graphed


def executor_on(device: str | torch.device) -> Executor:
    """Graphs where the device can record them."""
    device = torch.device(device)
    return Graphed(CudaGraphs(device)) if device.type == "cuda" else Eager()


@runtime_checkable
class Queue(Protocol):
    """Work that a device does beside its other work, and in order within."""

    def __call__(self) -> AbstractContextManager[None]:
        """What is asked for inside waits for nothing outside."""

    def meet(self) -> None:
        """From here on each queue waits for what the other has been asked for so far."""


class OneQueue:
    """That of a device which does everything in order: there is nothing beside it."""

    def __call__(self) -> AbstractContextManager[None]:
        """What is asked for inside is done at once."""
        return nullcontext()

    def meet(self) -> None:
        """All is done already."""


def queue_on(device: str | torch.device) -> Queue:
    """A queue beside that of the updates, where the device has more than one."""
    device = torch.device(device)
    return SideStream(device) if device.type == "cuda" else OneQueue()


def sent(array: NDArray[Any], device: torch.device) -> Tensor:
    """Puts an array on a device; nobody waits until it has arrived."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":  # from pageable memory the copy would wait for all work before it
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
