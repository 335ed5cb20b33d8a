"""What a modification adds to the work and the memory of an update, counted on one update of each.

A formula for every modification would be one more thing to keep true. An agent of the arm and one
of the base walk through an update on torch's device "meta", where a tensor has a shape but no
numbers. They have as many rows as the real one, in more and shorter sequences: arithmetic and
memory grow with the rows, but the time that counting takes with the steps of a sequence. Arms that
learn alike are counted once: such an update takes tenths of a second, and a study has many arms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from agents.config import AgentConfig
from agents.dreamer.agent import Agent
from agents.dreamer.world_model import Batch
from agents.observation import Observation
from agents.parts import Parts
from agents.streams import Streams

META = torch.device("meta")
STEPS = 8  # of a sequence that is counted: enough for terms that look ahead
ACTIONS = 18  # of the update; with 3 instead, a ratio differs by some thousandths
CALLS_OF_A_STEP, CALLS_PER_PARAMETER = 21, 2  # of Adam and its clipping, as counted
CLOSE = 1.01  # the peak is found to a hundredth: looking for what is dead takes most of the time


@dataclass(frozen=True)
class Counted:
    """One update.

    Attributes:
        flops: Floating-point operations, by torch's formulas.
        calls: Calls of torch.
        live_bytes: The most that its tensors take at once, in fp32, parameters included.
    """

    flops: float
    calls: int
    live_bytes: int


@dataclass(frozen=True)
class Beside:
    """An arm's update beside the base's.

    Attributes:
        ratio: Its arithmetic by the base's.
        calls: What it asks torch for beyond what the base does.
        live_bytes: What its tensors take beyond those of the base.
    """

    ratio: float = 1.0
    calls: int = 0
    live_bytes: int = 0


def beside_base(parts: Parts, observation: Observation) -> Beside:
    """Counts, if there is anything that the base's update does not have."""
    config = _in_short_sequences(parts.config)
    learners, base = _learners(parts, config), Parts(config)
    if learners == base:
        return Beside()
    arm, plain = counted(learners, observation), counted(base, observation)
    more = max(0, arm.live_bytes - plain.live_bytes)
    return Beside(arm.flops / plain.flops, arm.calls - plain.calls, more)


def _learners(parts: Parts, config: AgentConfig) -> Parts:
    """What decides how much an update computes; views only move pixels."""
    return Parts(
        config,
        loss_terms=parts.loss_terms,
        behaviour=parts.behaviour,
        exploration=parts.exploration,
    )


def _in_short_sequences(config: AgentConfig) -> AgentConfig:
    """The configuration of the counted update, in which nothing says how often there is one."""
    length = min(config.length, STEPS)
    return config.model_copy(
        update={
            "batch": round(config.batch * config.length / length),
            "length": length,
            "env_frames_per_update": 64.0,
            "behaviour_frames_per_update": None,
        }
    )


@cache
def counted(parts: Parts, observation: Observation) -> Counted:
    """Counts one update of world model and behaviour."""
    B, T = parts.config.batch, parts.config.length
    with Counter() as counter:
        agent = Agent(parts, observation, ACTIONS, _Shapes(0), META)
        for optimiser in agent.optimisers:
            step = partial(counter.descend, len(optimiser.parameters))
            optimiser.descend = step  # type: ignore[method-assign]
        rows = torch.zeros(B, T, device=META)
        batch = Batch(
            observation=torch.zeros(
                B, T, *observation.shape, dtype=observation.dtype, device=META
            ),
            action=rows.long(),
            reward=rows,
            is_first=rows.bool(),
            is_terminal=rows.bool(),
            row=rows.long(),
            episode=rows.long(),
        )
        counter.calls, counter.flops = 0, 0
        agent.train_behaviour(agent.train_world_model(batch)[0])
    return Counted(float(counter.flops), counter.calls, counter.peak)


class _Shapes(Streams):
    """Uniforms without numbers."""

    def uniforms(self, owner: str, *shape: int) -> Tensor:
        """Of this shape."""
        return torch.empty(shape, device=META)


Answer = Callable[[tuple[Any, ...]], Any]
"""From the arguments of a call to what it gives."""


class Counter(TorchDispatchMode):
    """Counts what reaches the kernels, and adds up the tensors that somebody still holds.

    Calls and operations are those of torch's own `FlopCounterMode`, without its watch on modules,
    which takes most of its time. What is left is torch working out shapes, so that is asked once
    of every call: the steps of a sequence, and the passes of an optimiser, are alike.

    Class Attributes:
        known: The operations and the answer of every call seen so far, by what decides both.
    """

    known: ClassVar[dict[tuple[Any, ...], tuple[int, Answer]]] = {}

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls, self.flops, self.peak = 0, 0, 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}
        self._now = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        call = (func, _described(args), _described(tuple(kwargs.items())))
        if call in self.known:
            flops, answer = self.known[call]
            result = answer(args)
            self._hold(result)
        else:
            result = func(*args, **kwargs)
            formula = flop_registry.get(func._overloadpacket)
            flops = formula(*args, **kwargs, out_val=result) if formula is not None else 0
            if self._hold(result):
                self.known[call] = flops, _alike(result)
            elif args and result is args[0] and _described(args) == call[1]:
                self.known[call] = flops, _first
        self.calls += 1
        self.flops += flops
        if self._now > CLOSE * self.peak:
            self._drop_the_dead()
            self.peak = max(self.peak, self._now)
        return result

    def descend(self, parameters: int) -> Tensor:
        """Stands in for a step of Adam, which takes many tensors in one call, but not these."""
        self.calls += CALLS_OF_A_STEP + CALLS_PER_PARAMETER * parameters
        return torch.zeros((), device=META)

    def _hold(self, result: Any) -> bool:
        """Adds up what a call gave; whether all of it is new: no view, not written in place."""
        if isinstance(result, list | tuple):
            return all([self._hold(item) for item in result])
        if not isinstance(result, Tensor):
            return result is None
        storage = result.untyped_storage()
        place, size = storage._cdata, storage.nbytes()
        before = self._held.get(place)
        if before is not None:
            if not before[0].expired():
                return False
            self._now -= before[1]
        self._held[place] = StorageWeakRef(storage), size
        self._now += size
        return True

    def _drop_the_dead(self) -> None:
        for place in [place for place, (held, _) in self._held.items() if held.expired()]:
            self._now -= self._held.pop(place)[1]


def _described(value: Any) -> Any:
    """What decides about the shapes that a call gives: equal for arguments that look alike."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, list | tuple):
        return tuple([_described(item) for item in value])
    return type(value), value


def _alike(result: Any) -> Answer:
    """Gives tensors of the same shapes anew, which takes torch far longer to work out."""
    if isinstance(result, list | tuple):
        items, kind = [_alike(item) for item in result], type(result)
        return lambda args: kind([item(args) for item in items])
    if result is None:  # a gradient that nobody asked for
        return lambda args: None
    empty, dtype = partial(torch.empty_strided, result.shape, result.stride()), result.dtype
    return lambda args: empty(dtype=dtype, device=META)


def _first(args: tuple[Any, ...]) -> Any:
    """Gives what was written in place."""
    return args[0]
