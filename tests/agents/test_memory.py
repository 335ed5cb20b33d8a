"""The memory that a plan states is what a run takes, within 15%: short runs, a process each.

`pytest -m slow -s tests/agents/test_memory.py` prints what agents/README.md records.
"""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

RUN = """
import json, sys, tempfile
from pathlib import Path
import ablate.worker  # all that a worker imports
from agents.config import Budget, Protocol, agent_config
from agents.assemble import assemble
from agents.cost import memory_bytes
from agents.modifications import REGISTRY
from agents.training import loop
from agents.training.checkpoint import Checkpoints
from agents.training.process import peak_memory_bytes, set_up_process
import torch

set_up_process(threads=1)
size, settings, names, precision = json.loads(sys.argv[1])
parts = assemble(agent_config(size, **settings), [REGISTRY[name]() for name in names])
budget = Budget(env_frames=4_000, prefill_frames=2_000)
protocol = Protocol(
    evaluation_episodes=1,
    final_evaluation_episodes=1,
    evaluate_every=3_200,
    max_env_frames_per_episode=2_000,
)
with tempfile.TemporaryDirectory() as folder:
    saved = Checkpoints(Path(folder), "run", every_seconds=2.0)
    how = {"game": "Breakout", "seed": 0, "protocol": protocol, "budget": budget}
    how["precision"] = precision
    for _ in loop.train(parts, checkpoints=saved, **how):
        pass
print(memory_bytes(parts, budget), peak_memory_bytes(torch.device("cpu")))
"""


@pytest.mark.parametrize(
    ("size", "settings", "names", "precision"),
    [
        ("micro", {}, [], "fp32"),
        ("tiny", {}, [], "fp32"),
        ("small", {}, [], "fp32"),
        ("small", {"length": 50}, [], "fp32"),
        ("small", {"depth": 24}, [], "fp32"),
        ("small", {"horizon": 40}, [], "fp32"),
        ("small", {}, ["dynamics_gradients"], "fp32"),
        ("small", {}, ["self_predictive"], "fp32"),
        ("small", {}, ["plan2explore"], "fp32"),
        ("atari", {"env_frames_per_update": 400}, [], "fp32"),
        ("atari", {"env_frames_per_update": 400}, ["dynamics_gradients"], "fp32"),
        ("atari", {"env_frames_per_update": 400}, ["self_predictive"], "fp32"),
        ("small", {"length": 50}, [], "bf16"),
        ("atari", {"env_frames_per_update": 400}, [], "bf16"),
        ("atari", {"env_frames_per_update": 400}, ["self_predictive"], "bf16"),
    ],
    ids=lambda value: "+".join(map(str, value)) if isinstance(value, dict | list) else value,
)
def test_a_run_takes_the_memory_that_was_stated(size, settings, names, precision):
    run = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([size, settings, names, precision])],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    stated, taken = map(int, run.stdout.split())
    told = f"stated {stated / 1e6:.0f} MB, taken {taken / 1e6:.0f} MB"
    print(f"\n{size} {settings} {names} {precision}: {told}")  # noqa: T201
    assert stated == pytest.approx(taken, rel=0.15)
