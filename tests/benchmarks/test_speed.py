"""How long updates and policy steps take, in each precision: medians by pytest-benchmark.

    pytest tests/benchmarks/test_speed.py

Size `tiny`, one thread, random data, seconds on the wall: for a quiet machine, and to lay two
versions of the code side by side (`--benchmark-save`, `--benchmark-compare`). `ablate bench`
measures the paper's size beside the machine's product rate.
"""

import pytest

from agents.benchmark import Bench, Workload
from agents.training.process import set_up_process

ROUNDS = 5


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def bench(request):
    set_up_process(threads=1)
    made = Bench(Workload(size="tiny", precision=request.param))
    made.update()
    return made


def test_a_world_model_update(benchmark, bench):
    benchmark.pedantic(bench.learner.train_world_model, rounds=ROUNDS, warmup_rounds=1)
    assert benchmark.stats["min"] > 0


def test_a_behaviour_update(benchmark, bench):
    benchmark.pedantic(bench.learner.train_behaviour, rounds=ROUNDS, warmup_rounds=1)
    assert benchmark.stats["min"] > 0


def test_fifty_policy_steps(benchmark, bench):
    benchmark.pedantic(bench.policy_step, rounds=ROUNDS, warmup_rounds=1)
    assert benchmark.stats["min"] > 0
