"""What a modification adds to the work of an update, counted on one small update of each.

A formula for every modification would be one more thing to keep true. An agent of the arm and one
of the base train once on a few rows; the arithmetic of both grows with the rows alike.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from agents.dreamer.agent import Agent
from agents.dreamer.world_model import Batch
from agents.observation import Observation
from agents.parts import Parts
from agents.streams import Streams

SEQUENCES, ROWS = 2, 8  # of the small update: enough for minibatches, and for steps ahead


@dataclass(frozen=True)
class Beside:
    """An arm's update beside the base's.

    Attributes:
        ratio: Its arithmetic by the base's.
        calls: What it asks torch for beyond what the base does.
    """

    ratio: float = 1.0
    calls: int = 0


def beside_base(parts: Parts, observation: Observation, actions: int) -> Beside:
    """Counts, if there is anything that the base's update does not have."""
    config, base = parts.config, Parts(parts.config)
    if _learners(parts) == _learners(base):
        return Beside()
    few = config.model_copy(
        update={"batch": min(config.batch, SEQUENCES), "length": min(config.length, ROWS)}
    )
    (flop, calls), (base_flop, base_calls) = (
        counted(replace(one, config=few), observation, actions) for one in (parts, base)
    )
    return Beside(flop / base_flop, calls - base_calls)


def _learners(parts: Parts) -> tuple[object, ...]:
    """What decides how much an update computes; views only move pixels."""
    return parts.behaviour, parts.loss_terms, parts.exploration


class _Calls(TorchDispatchMode):
    """Counts what reaches the kernels."""

    number = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.number += 1
        return func(*args, **(kwargs or {}))


def counted(parts: Parts, observation: Observation, actions: int) -> tuple[float, int]:
    """Floating-point operations and calls of one update."""
    agent = Agent(parts, observation, actions, Streams(0))
    B, T = parts.config.batch, parts.config.length
    nothing = torch.zeros(B, T)
    is_first = nothing.bool()
    is_first[:, 0] = True
    batch = Batch(
        observation=torch.zeros(B, T, *observation.shape, dtype=observation.dtype),
        action=nothing.long(),
        reward=nothing,
        is_first=is_first,
        is_terminal=nothing.bool(),
    )
    calls = _Calls()  # type: ignore[no-untyped-call]
    with FlopCounterMode(display=False) as flops, calls:
        agent.train_behaviour(agent.train_world_model(batch)[0])
    return float(flops.get_total_flops()), calls.number
