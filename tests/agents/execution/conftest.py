"""A device of the tests' own, which records operations and replays them as a CUDA graph does."""

from collections import Counter
from functools import partial
from unittest import mock

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from agents.assemble import assemble
from agents.config import agent_config
from agents.dreamer.agent import Agent
from agents.execution.executor import REHEARSALS
from agents.observation import ATARI
from agents.parts import Parts
from agents.streams import Streams
from agents.training.learner import Learner
from agents.training.replay import Replay

ACTIONS = 5
ROUNDS = REHEARSALS + 2

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


@pytest.fixture
def make_device():
    return PretendedDevice


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


@pytest.fixture
def parts_of():
    """Those of the micro agent with one modification, as in one of its examples.

    At its settings, or with the other value of the field that the example is about.
    """
    return _parts_of


def _parts_of(modification, example=0, *, other=False):
    if modification is None:
        return Parts(agent_config("micro"))
    example = modification.examples[example]
    settings = dict(example.settings) | ({example.field: example.other} if other else {})
    split = {"validation_fraction": 0.25} if modification.requires_validation else {}
    config = agent_config("micro", **modification.requires, **split, **example.base)
    return assemble(config, [modification.model_validate(settings)])


class Pupil:
    """An agent that learns, and looks around in between."""

    def __init__(self, parts, replay, execute, streams, where, precision):
        self.agent = Agent(parts, ATARI, ACTIONS, streams, where, precision, execute)
        self.where = where
        self.replay, self.learner = replay, Learner(self.agent, replay)
        self.state, self.rng = self.agent.begin(1), np.random.default_rng(3)
        self.told = []
        replay.begin(self.image()[0])

    def image(self, count=1):
        return self.rng.integers(0, 256, (count, 1, 64, 64), dtype=np.uint8)

    def update(self):
        metrics = self.learner.train_world_model() | self.learner.train_behaviour()
        self.told.append({name: value.clone() for name, value in metrics.items()})

    def act(self, env_frames, ended=False):
        image = self.image()
        self.state = self.agent.act(
            torch.from_numpy(image).to(self.where),
            torch.zeros(1, device=self.where),
            self.state,
            stream="acting",
            explore_at=env_frames,
        )
        action = int(self.state.action)
        self.told.append(action)
        self.replay.add(action, image[0], float(action), terminated=False, ended=ended)
        if ended:
            self.replay.begin(self.image()[0])

    def evaluate(self):
        image, state = torch.from_numpy(self.image(3)).to(self.where), self.agent.begin(3)
        running = torch.zeros(3, device=self.where)
        for _ in range(2):
            state = self.agent.act(image, running, state, stream="evaluation", argmax=True)
        self.told.append(state.action.clone())

    def live(self, rounds=ROUNDS):
        for moment in range(rounds):
            self.update()
            self.act(40 + 4 * moment, ended=moment % 2 == 1)
            self.evaluate()

    def outcome(self, digest):
        return digest([self.told, self.agent.state_dict(), self.learner.state_dict()])


class StreamsOfTheHost(Streams):
    """Draws the numbers of the CPU, whatever the device, and sends them there."""

    def __init__(self, seed, device):
        super().__init__(seed)
        self._there = device

    def uniforms(self, owner, *shape):
        return super().uniforms(owner, *shape).to(self._there)


@pytest.fixture
def make_pupil(filled_replay):
    """An agent on a replay of noise, the same one wherever it lives."""

    def make_pupil(parts, execute, *, where="cpu", precision="fp32"):
        replay = Replay(400, ATARI, parts.config, Streams(0), where)
        replay.load_state_dict(filled_replay(parts.config).state_dict())
        return Pupil(parts, replay, execute, StreamsOfTheHost(0, where), where, precision)

    return make_pupil
