"""An update takes as long at the end of a long run as at its beginning: processor seconds.

`pytest -m slow -s tests/agents/test_growth.py` prints what agents/README.md records.
"""

import time

import numpy as np
import pytest
import torch

from agents.config import Budget, Protocol, agent_config
from agents.parts import Parts
from agents.training import loop
from agents.training.learner import Learner
from agents.training.process import set_up_process

pytestmark = pytest.mark.slow

UPDATES = 5_000
PREFILL = 400  # env_frames
BUDGET = Budget(env_frames=PREFILL + 4 * UPDATES, prefill_frames=PREFILL)
PROTOCOL = Protocol(evaluation_episodes=1, final_evaluation_episodes=1)


def timed(update, seconds):
    def timed_update(learner):
        started = time.process_time()
        metrics = update(learner)
        seconds.append(time.process_time() - started)
        return metrics

    return timed_update


def test_an_update_takes_as_long_in_the_last_thousand_as_in_the_first(monkeypatch):
    precision = torch.get_float32_matmul_precision()
    set_up_process(threads=1)
    seconds = {name: [] for name in ("train_world_model", "train_behaviour")}
    for name, spans in seconds.items():
        monkeypatch.setattr(Learner, name, timed(getattr(Learner, name), spans))
    parts = Parts(agent_config("micro", env_frames_per_update=4))  # the replay grows at each one
    for _ in loop.train(parts, game="Catch", seed=0, protocol=PROTOCOL, budget=BUDGET):
        pass
    torch.set_float32_matmul_precision(precision)
    whole = np.sum([spans[-UPDATES:] for spans in seconds.values()], 0)
    assert len(whole) == UPDATES
    first, last = (float(np.median(part)) for part in (whole[:1000], whole[-1000:]))
    between = np.median(whole.reshape(-1, 1000), 1)
    print(f"\nmedians of each thousand updates: {np.round(1e3 * between, 2)} ms")  # noqa: T201
    print(f"last by first thousand: {last / first:.3f}")  # noqa: T201
    assert last == pytest.approx(first, rel=0.05)
