"""An agent in bf16 learns as one in fp32 does: Catch, three seeds in each, minutes of one thread.

`pytest -m slow -s tests/agents/test_learning_in_bf16.py` prints what agents/README.md records.
"""

import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.config import Budget, Protocol, agent_config
from agents.parts import Parts
from agents.training import loop
from agents.training.process import set_up_process
from agents.training.reports import Episode, Evaluation

pytestmark = pytest.mark.slow

STUDY = tomllib.loads((Path(__file__).parents[2] / "studies" / "catch.toml").read_text())
BUDGET = Budget(env_frames=STUDY["env_frames"], prefill_frames=STUDY["prefill_frames"])
PROTOCOL = Protocol(evaluation_episodes=1, final_evaluation_episodes=200)
SEEDS = range(3)


@pytest.fixture(scope="module", autouse=True)
def _as_in_a_worker():
    precision = torch.get_float32_matmul_precision()
    set_up_process(threads=1)
    yield
    torch.set_float32_matmul_precision(precision)


def returns(seed, precision):
    """The mean return of training episodes after the prefill, and of the last evaluation."""
    started, parts = time.process_time(), Parts(agent_config(**STUDY["agent"]))
    how = {"protocol": PROTOCOL, "budget": BUDGET, "precision": precision}
    reports = list(loop.train(parts, game="Catch", seed=seed, **how))
    trained = [
        report.episode_return
        for report in reports
        if isinstance(report, Episode) and report.env_frames > BUDGET.prefill_frames
    ]
    (last,) = (report for report in reports if isinstance(report, Evaluation) and report.final)
    final = np.mean([episode.episode_return for episode in last.episodes])
    seconds = time.process_time() - started
    found = {"training": np.mean(trained), "argmax": final}
    print(f"\nseed {seed}, {precision}: {found}, {seconds:.0f} s")  # noqa: T201
    return found


def test_catch_is_learned_in_bf16_as_in_fp32():
    found = {
        precision: [returns(seed, precision) for seed in SEEDS] for precision in ("fp32", "bf16")
    }
    for name in ("training", "argmax"):
        single, half = (np.array([one[name] for one in found[p]]) for p in ("fp32", "bf16"))
        difference, spread = half.mean() - single.mean(), single.max() - single.min()
        print(f"{name}: bf16 - fp32 {difference:+.3f}, fp32 between seeds {spread:.3f}")  # noqa: T201
    assert all(one["argmax"] >= 0.9 for one in found["bf16"])
