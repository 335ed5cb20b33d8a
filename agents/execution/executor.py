"""Executors: a program is carried out operation by operation, or as one graph of a device.

A program is a function of named tensors of fixed shapes that asks a device for the same operations
whatever the numbers are, and waits for none of them. It may change parameters in place. What the
host decides (which program, whether the target is copied) is decided between programs.

A graph holds addresses, so its inputs are copied to where they were when it was recorded, and its
outputs lie where they lay then: the next call of the same program writes over them. Parameters,
moments and whatever else a program reaches must stay where they are; who puts others in their
place calls `forget`.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

T = TypeVar("T")

Inputs = Mapping[str, Tensor]

REHEARSALS = 2
"""Calls that are carried out as they are: libraries set themselves up, moments come into being."""


@runtime_checkable
class Executor(Protocol):
    """Carries out programs."""

    def __call__(self, name: str, program: Callable[[Inputs], T], inputs: Inputs) -> T:
        """Carries out one.

        Args:
            name: Programs of one name and equal shapes of inputs are one program.
            program: Returns tensors in whatever it likes to put them into.
            inputs: By name.

        Returns:
            What the program returns; to be used before the next call of the same program.
        """

    def forget(self) -> None:
        """Is told that programs now reach other tensors than before."""


class Eager:
    """Operation by operation."""

    def __call__(self, name: str, program: Callable[[Inputs], T], inputs: Inputs) -> T:
        """Calls the program."""
        return program(inputs)

    def forget(self) -> None:
        """Nothing was remembered."""


@runtime_checkable
class Recorder(Protocol):
    """A device that can write down what it is asked for, and do it again."""

    def rehearse(self, work: Callable[[], T]) -> T:
        """Does the work as it will be recorded, without writing it down."""

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """Writes the work down, and does not do it.

        Returns:
            What does it, and where its results will lie then.

        Raises:
            RuntimeError: If the work waits for a number, or the device cannot write it down.
        """


@dataclass
class _Plan:
    """One program at one set of shapes."""

    inputs: dict[str, Tensor]
    rehearsals: int = 0
    refused: bool = False
    replay: Callable[[], None] | None = None
    outputs: Any = field(default=None)


class Graphed:
    """As graphs: the first calls as they are, the next one recorded, all later ones replayed.

    A program that cannot be recorded is carried out operation by operation, and one warning
    names the first one and why.

    Args:
        recorder: Of the device.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._plans: dict[tuple[object, ...], _Plan] = {}
        self._warned = False

    def __call__(self, name: str, program: Callable[[Inputs], T], inputs: Inputs) -> T:
        """Replays the program, or prepares to."""
        key = (name, *((owner, x.shape, x.dtype) for owner, x in inputs.items()))
        plan = self._plans.get(key)
        if plan is None:
            held = {owner: torch.empty_like(x) for owner, x in inputs.items()}
            plan = self._plans[key] = _Plan(held)
        for owner, x in inputs.items():
            plan.inputs[owner].copy_(x)
        if plan.replay is None and plan.rehearsals >= REHEARSALS and not plan.refused:
            self._record(name, plan, program)
        if plan.replay is None:
            plan.rehearsals += 1
            return self._recorder.rehearse(partial(program, plan.inputs))
        plan.replay()
        outputs: T = plan.outputs
        return outputs

    def forget(self) -> None:
        """Drops all graphs; each program is rehearsed and recorded anew."""
        self._plans.clear()

    def _record(self, name: str, plan: _Plan, program: Callable[[Inputs], object]) -> None:
        try:
            plan.replay, plan.outputs = self._recorder.record(partial(program, plan.inputs))
        except RuntimeError as error:
            plan.refused = True
            if not self._warned:
                warnings.warn(
                    f"{name} cannot be recorded as a graph of the device, so it is carried out "
                    "operation by operation, which is slower and computes the same. Why: "
                    f"{_first(error)}",
                    RuntimeWarning,
                    stacklevel=2,
                )
            self._warned = True


def _first(error: BaseException) -> BaseException:
    """What went wrong first: ending a recording that is broken raises an error of its own."""
    while error.__context__ is not None:
        error = error.__context__
    return error
