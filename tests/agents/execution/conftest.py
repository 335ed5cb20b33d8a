"""A device of the tests' own, which records operations and replays them as a CUDA graph does."""

from collections import Counter
from functools import partial
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

WAITS = {"_local_scalar_dense", "item", "nonzero", "masked_select", "equal", "is_nonzero"}
WAITS |= {"unique_dim", "_unique2", "bincount", "repeat_interleave"}
FROM_THE_HOST = {"lift_fresh", "lift_fresh_copy"}  # a tensor of Python's numbers
RANDOM = {"rand", "rand_like", "randn", "randn_like", "randint", "randperm", "uniform", "normal"}
RANDOM |= {"bernoulli", "multinomial", "native_dropout"}


class RefusedError(RuntimeError):
    """An operation that a graph cannot hold."""


def _tensors(values):
    return [leaf for leaf in tree_flatten(values)[0] if isinstance(leaf, torch.Tensor)]


def _memory(tensor):
    return tensor.untyped_storage().data_ptr()


class Recording(TorchDispatchMode):
    """Writes every operation down with the tensors that it read and wrote.

    A CUDA graph does nothing while it is recorded; here the operations are carried out, so what
    they write over is remembered, and `undo` puts it back. `replay` does them again: on the same
    tensors, whatever Python has put in their place since, and with the numbers that Python gave
    then. It asks for the same addresses.
    """

    def __init__(self):
        super().__init__()
        self.operations, self._before, self._made = [], {}, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        by_mask = name == "index" and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if name in WAITS | FROM_THE_HOST | RANDOM or by_mask:
            raise RefusedError(f"{name} cannot be recorded")
        written = [
            tensor
            for argument, value in self._arguments(func, args, kwargs)
            if argument.alias_info is not None and argument.alias_info.is_write
            for tensor in _tensors(value)
        ]
        for tensor in written:
            if _memory(tensor) not in self._made:
                self._before.setdefault(_memory(tensor), (tensor, tensor.detach().clone()))
        outputs = func(*args, **kwargs)
        given = {_memory(tensor) for tensor in _tensors((args, kwargs))}
        fresh = [tensor for tensor in _tensors(outputs) if _memory(tensor) not in given]
        self._made |= {_memory(tensor) for tensor in fresh}
        self.operations.append((func, args, kwargs, outputs, bool(written), bool(fresh)))
        return outputs

    @staticmethod
    def _arguments(func, args, kwargs):
        known = func._schema.arguments
        return [
            *zip(known, args, strict=False),
            *((argument, kwargs[argument.name]) for argument in known if argument.name in kwargs),
        ]

    @torch.no_grad()
    def undo(self):
        for tensor, before in self._before.values():
            tensor.copy_(before)

    @torch.no_grad()
    def replay(self):
        for func, args, kwargs, outputs, writes, makes in self.operations:
            if not writes and not makes:
                continue  # a view of what is there
            again = func(*args, **kwargs)
            if makes:
                for old, new in zip(_tensors(outputs), _tensors(again), strict=True):
                    if old.numel():
                        old.detach().copy_(new)


class PretendedDevice:
    """Records on the CPU what a GPU would record."""

    def __init__(self):
        self.rehearsed = self.recorded = self.replayed = 0
        self.recordings = []

    def rehearse(self, work):
        self.rehearsed += 1
        return work()

    def record(self, work):
        recording = Recording()
        try:
            with recording:
                outputs = work()
        finally:
            recording.undo()
        self.recorded += 1
        self.recordings.append(recording)
        return partial(self._replay, recording), outputs

    def _replay(self, recording):
        self.replayed += 1
        recording.replay()

    def operations(self):
        """How often each operation was recorded."""
        return Counter(
            operation[0].overloadpacket.__name__
            for recording in self.recordings
            for operation in recording.operations
        )


@pytest.fixture
def device():
    return PretendedDevice()


class CapturableAdamW(torch.optim.AdamW):
    """AdamW as it is on an accelerator: it counts its steps in tensors, and reads none."""

    def __init__(self, parameters, **settings):
        super().__init__(parameters, **{**settings, "capturable": True})

    def step(self, closure=None):
        with mock.patch("torch.compiler.is_compiling", return_value=True):  # torch: not on CPUs
            return super().step(closure)


@pytest.fixture
def adam_of_an_accelerator(monkeypatch):
    """Lets every optimiser that is made from here on be the one that a graph can hold."""
    monkeypatch.setattr(torch.optim, "AdamW", CapturableAdamW)
    return CapturableAdamW
