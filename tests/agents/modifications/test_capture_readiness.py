"""Every update can be captured in a graph: fixed shapes, no host reads, the same operations.

A graph of an accelerator replays the operations of one update on other numbers. So an update may
not look at a number to decide what to do, nor wait for one. What Adam counts is left out: torch
keeps its steps on the device where `capturable` says so.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from agents.assemble import assemble
from agents.config import agent_config
from agents.dreamer.agent import Agent
from agents.dreamer.imagination import Imagination
from agents.modifications import REGISTRY
from agents.observation import ATARI
from agents.parts import Parts
from agents.streams import Streams

ACTIONS = 5
HOST_READS = {"_local_scalar_dense", "item", "nonzero", "masked_select", "equal", "is_nonzero"}
HOST_READS |= {"unique_dim", "_unique2", "bincount", "repeat_interleave"}


class HostReadError(Exception):
    """An operation that waits for a number, or whose result has a shape that depends on one."""


class Captured(TorchDispatchMode):
    """Writes down every operation with its shapes; refuses those that a graph cannot hold."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name == "index" and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if name in HOST_READS or by_mask:
            raise HostReadError(name)
        result = func(*args, **(kwargs or {}))
        shape = tuple(result.shape) if isinstance(result, torch.Tensor) else None
        self.operations.append((name, shape))
        return result


def parts_of(modification):
    if modification is None:
        return Parts(agent_config("micro"))
    split = {"validation_fraction": 0.25} if modification.requires_validation else {}
    config = agent_config("micro", **modification.requires, **split)
    settings = modification.model_validate(dict(modification.examples[0].settings))
    return assemble(config, [settings])


def operations(agent, batch, monkeypatch):
    """Those of an update of the world model and one of the behaviour, Adam's own left out."""
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: None)
    with Captured() as captured:
        start, _ = agent.train_world_model(batch)
        shapes = agent.behaviour.uniforms_shapes(len(start.is_terminal))
        draws = {owner: agent.streams.uniforms(owner, *shape) for owner, shape in shapes.items()}
        agent.behaviour.update(Imagination(agent.world_model, start), draws)
    return captured.operations


@pytest.mark.parametrize("modification", [None, *REGISTRY.values()], ids=lambda m: m and m.name)
def test_an_update_reads_nothing_and_does_the_same_whatever_the_numbers(
    modification, random_batch, monkeypatch
):
    parts = parts_of(modification)
    agent = Agent(parts, ATARI, ACTIONS, Streams(0))
    B, T = parts.config.batch, parts.config.length
    first, second = (
        operations(agent, random_batch(B, T, seed=seed), monkeypatch) for seed in (0, 1)
    )
    assert len(first) > 100
    assert first == second


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        torch.nonzero,
        lambda x: torch.masked_select(x, x > 0),
    ],
)
def test_what_a_graph_cannot_hold_is_refused(read):
    with pytest.raises(HostReadError), Captured():
        read(torch.randn(4))
