"""The base agent is pinned: initial parameters and the losses of three updates.

Uniforms and data come from closed forms, not from a generator. Rewriting the file takes
`pytest --update-golden` and an entry under "Results-affecting" in the changelog.
"""

import json
import math
from pathlib import Path

import pytest
import torch

from agents.config import agent_config
from agents.dreamer.agent import Agent
from agents.dreamer.world_model import Batch
from agents.observation import ATARI
from agents.parts import Parts
from agents.streams import Streams

GOLDEN = Path(__file__).parents[1] / "golden" / "base_agent.json"
ACTIONS, B, T = 6, 2, 4


class ClosedFormStreams(Streams):
    """Initial weights from the seed; every other draw from a sequence written down here."""

    def uniforms(self, owner, *shape):
        first, n = sum(map(ord, owner)), math.prod(shape)
        k = torch.arange(first, first + n, dtype=torch.float64)
        return (
            (torch.sin(k * k + first) * 1e4)
            .remainder(1.0)
            .float()
            .clamp_max(1 - 2**-24)
            .view(shape)
        )


def batch(update):
    rows = torch.arange(B * T, dtype=torch.float64).view(B, T) + 100 * update
    pixels = torch.arange(64 * 64, dtype=torch.float64).view(64, 64)
    image = 127.5 + 127.4 * torch.sin(
        0.01 * (1 + rows[..., None, None] % 7) * pixels + rows[..., None, None]
    )
    is_first = torch.zeros(B, T, dtype=torch.bool)
    is_first[:, 0] = True
    return Batch(
        observation=image[:, :, None].to(torch.uint8),
        action=(rows % ACTIONS).long(),
        reward=(2 * torch.cos(rows)).float(),
        is_first=is_first,
        is_terminal=rows % 5 == 3,
        row=rows.long(),
        episode=rows[:, :1].long().expand(B, T),
    )


def checksums(agent):
    modules = dict(agent.world_model.named_children()) | dict(agent.behaviour.named_children())
    sums = {}
    for name, module in modules.items():
        values = torch.cat([p.detach().double().flatten() for p in module.parameters()])
        sums[f"{name}/sum"] = values.sum().item()
        sums[f"{name}/squares"] = values.square().sum().item()
    return sums


def measured(size):
    agent = Agent(Parts(agent_config(size)), ATARI, ACTIONS, ClosedFormStreams(0))
    initial, losses = checksums(agent), []
    for update in range(3):
        posteriors, metrics = agent.train_world_model(batch(update))
        metrics = metrics | agent.train_behaviour(posteriors)
        losses.append({name: value.item() for name, value in metrics.items()})
    return {"initial_parameters": initial, "updates": losses}


def test_the_base_agent_is_unchanged(request):
    now = {size: measured(size) for size in ("micro", "tiny")}
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(json.dumps(now, indent=2) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert now.keys() == golden.keys()
    for size, pinned in golden.items():
        initial = pytest.approx(pinned["initial_parameters"], rel=1e-5)
        assert now[size]["initial_parameters"] == initial
        assert len(now[size]["updates"]) == len(pinned["updates"]) == 3
        for measured_losses, losses in zip(now[size]["updates"], pinned["updates"], strict=True):
            assert measured_losses == pytest.approx(losses, rel=1e-5, abs=1e-6)
