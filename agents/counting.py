"""What a modification adds to the work of an update, counted on one small update of each.

A formula for every modification would be one more thing to keep true. An agent of the arm and one
of the base train once on a few rows; the arithmetic of both grows with the rows alike. Arms that
learn alike are counted once: such an update takes up to seconds, and a study has many arms.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from agents.config import AgentConfig
from agents.dreamer.agent import Agent
from agents.dreamer.world_model import Batch
from agents.observation import Observation
from agents.parts import Parts
from agents.streams import Streams

SEQUENCES, ROWS = 2, 8  # of the small update: enough for minibatches, and for steps ahead
ACTIONS = 18  # of the small update; with 3 instead, a ratio differs by some thousandths


@dataclass(frozen=True)
class Beside:
    """An arm's update beside the base's.

    Attributes:
        ratio: Its arithmetic by the base's.
        calls: What it asks torch for beyond what the base does.
    """

    ratio: float = 1.0
    calls: int = 0


def beside_base(parts: Parts, observation: Observation) -> Beside:
    """Counts, if there is anything that the base's update does not have."""
    learners, base = _learners(parts), Parts(_few(parts.config))
    if learners == base:
        return Beside()
    flop, calls = counted(learners, observation, ACTIONS)
    base_flop, base_calls = counted(base, observation, ACTIONS)
    return Beside(flop / base_flop, calls - base_calls)


def _learners(parts: Parts) -> Parts:
    """What decides how much a small update computes; views only move pixels."""
    return Parts(
        _few(parts.config),
        loss_terms=parts.loss_terms,
        behaviour=parts.behaviour,
        exploration=parts.exploration,
    )


def _few(config: AgentConfig) -> AgentConfig:
    """The configuration of the small update, in which nothing says how often there is one."""
    return config.model_copy(
        update={
            "batch": min(config.batch, SEQUENCES),
            "length": min(config.length, ROWS),
            "env_frames_per_update": 64.0,
            "behaviour_frames_per_update": None,
        }
    )


class _Counter(TorchDispatchMode):
    """Counts what reaches the kernels: calls, and floating-point operations by torch's formulas.

    As torch's own `FlopCounterMode` without its watch on modules, which takes most of its time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls, self.flops = 0, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self.calls += 1
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=result)
        return result


@cache
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
    with _Counter() as counter:
        agent.train_behaviour(agent.train_world_model(batch)[0])
    return float(counter.flops), counter.calls
