"""Benchmarks: measurements in processes of their own, side by side or one after the other."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

from ablate.processes import worker_environment
from agents.benchmark import READY, Cost, Workload
from agents.config import agent_config

SWEPT = ("batch", "length", "deter", "horizon")
"""The settings whose cost a sweep shows."""

FACTORS = (0.25, 0.5, 1.0, 2.0)
SMALLEST = 2  # of any of them


class BenchError(Exception):
    """A measurement that could not be made."""


@dataclass(frozen=True)
class SweptCost:
    """The cost of an agent at one value of one setting.

    Attributes:
        setting: A name of `SWEPT`.
        value: What it is; the other settings are the base's.
        cost: What was measured.
        is_base: Whether this is the base's own value.
    """

    setting: str
    value: int
    cost: Cost
    is_base: bool


def side_by_side(workload: Workload, runs: int) -> list[Cost]:
    """Measures the same workload in so many processes at the same time.

    Raises:
        BenchError: If one of them fails.
    """
    with ExitStack() as stack:
        processes = [stack.enter_context(_started(workload)) for _ in range(runs)]
        for process in processes:
            _heard(process, READY)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return [Cost(**json.loads(_heard(process, "{"))) for process in processes]


def sweep(workload: Workload) -> Iterator[SweptCost]:
    """Measures with a quarter, a half and twice each setting, and the base once.

    Raises:
        BenchError: If a measurement fails.
    """
    config = agent_config(workload.size, **workload.settings).model_dump()
    (base,) = side_by_side(workload, 1)
    for setting in SWEPT:
        values = [max(SMALLEST, round(config[setting] * factor)) for factor in FACTORS]
        for value in sorted(set(values)):
            cost, is_base = base, value == config[setting]
            if not is_base:
                changed = {**workload.settings, setting: value}
                (cost,) = side_by_side(replace(workload, settings=changed), 1)
            yield SweptCost(setting, value, cost, is_base)


def summary(costs: Sequence[Cost]) -> dict[str, Any]:
    """The mean of runs that were measured side by side, and what they do together."""
    fields: Mapping[str, Any] = asdict(costs[0])
    means = {
        name: sum(getattr(cost, name) for cost in costs) / len(costs)
        for name, value in fields.items()
        if not isinstance(value, str)
    }
    together = sum(1 / cost.wall_seconds_per_update for cost in costs)
    return {
        **fields,
        **means,
        "runs": len(costs),
        "updates_per_second_together": together,
        "peak_memory_bytes_together": sum(cost.peak_memory_bytes for cost in costs),
    }


def _started(workload: Workload) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "agents.benchmark", json.dumps(asdict(workload))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=worker_environment(os.environ),
    )


def _heard(process: "subprocess.Popen[str]", start: str) -> str:
    """The next line of a process, which begins as it should."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith(start):
        process.kill()
        raise BenchError(
            "a measurement ended before it had a result; its last words are above. Is there "
            "memory for it? A smaller --size, --batch or --length needs less."
        )
    return line
