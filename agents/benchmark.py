"""Benchmark: what the parts of a run cost on this machine, beside what its products could do.

A process of its own per measurement: it says `ready` when its first update is done, waits for a
line, measures, and prints one line of JSON. So several can start at the same moment.

An update reads, multiplies and writes; the limit is the rate of a large matrix product alone, in
the same arithmetic, measured before and after every update. Ratios are taken round by round and
their median is told, so a machine whose speed drifts, or which does other work, moves both sides.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import torch

from agents.config import Protocol, agent_config
from agents.cost import update_flops
from agents.dreamer.agent import Agent
from agents.execution.devices import executor_on
from agents.execution.executor import REHEARSALS
from agents.observation import ATARI
from agents.parts import Parts
from agents.precision import PRECISIONS
from agents.streams import Streams
from agents.training.environments import make_environments
from agents.training.learner import Learner
from agents.training.process import peak_memory_bytes, set_up_gpu, set_up_process
from agents.training.replay import Replay

GAME = "Breakout"
ACTIONS = 18
ROWS = 1_000  # of the replay that is sampled, at least

PRODUCT_SIZES = {"cpu": 1024, "cuda": 8192}
UPDATES_IN_A_ROW = {"cpu": 1, "cuda": 20}  # of a round: a GPU is asked for the next one meanwhile
PRODUCT_SECONDS = 0.3
POLICY_STEPS = 50
ENV_STEPS = 500

READY = "ready"


@dataclass(frozen=True)
class Workload:
    """What is measured.

    Attributes:
        size: A name of `agents.config.SIZES`.
        settings: Fields of the configuration that differ from the size's.
        precision: In which arithmetic the networks compute.
        device: "cpu" or "cuda".
        threads: Of this process.
        rounds: That are measured, of one update, or on a GPU of 20 in a row.
    """

    size: str = "atari"
    settings: dict[str, int] = field(default_factory=dict)
    precision: str = "fp32"
    device: str = "cpu"
    threads: int = 1
    rounds: int = 5


@dataclass(frozen=True)
class Cost:
    """What it costs; medians over the rounds.

    Attributes:
        clock: "cpu" where seconds are those of the processor: with one thread, which other
            processes then hardly disturb; else "wall".
        seconds_per_update: Of world model and behaviour, the sampling of their batch included.
        seconds_per_world_model_update: The first part of it.
        seconds_per_behaviour_update: The second.
        wall_seconds_per_update: By the clock on the wall, other processes included.
        updates_per_second: By `clock`.
        flop_per_update: Multiplications and additions of all products that an update needs.
        flop_per_second: What the update reached.
        limit_flop_per_second: What one large product reached.
        fraction_of_limit: The one by the other.
        peak_memory_bytes: Of the process; on a GPU, what it set aside for tensors there.
        seconds_per_policy_step: One observation filtered and one action chosen.
        env_steps_per_second: Agent steps of one Atari environment, random actions.
        load: Processes that wanted this machine's processors, mean of the last minute.
    """

    clock: str
    seconds_per_update: float
    seconds_per_world_model_update: float
    seconds_per_behaviour_update: float
    wall_seconds_per_update: float
    updates_per_second: float
    flop_per_update: float
    flop_per_second: float
    limit_flop_per_second: float
    fraction_of_limit: float
    peak_memory_bytes: int
    seconds_per_policy_step: float
    env_steps_per_second: float
    load: float


class Bench:
    """One agent with something to learn from, and the clock that suits where it runs."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.device = torch.device(workload.device)
        self.config = agent_config(workload.size, **workload.settings)
        streams, precision = Streams(0, self.device), PRECISIONS[workload.precision]
        parts = Parts(self.config)
        execute = executor_on(self.device)
        self.agent = Agent(parts, ATARI, ACTIONS, streams, self.device, precision, execute)
        self.learner = Learner(self.agent, self._replay(streams))
        self.by_processor = workload.device == "cpu" and workload.threads == 1

    def _replay(self, streams: Streams) -> Replay:
        """Four episodes of noise: never zeros, which some products take faster."""
        rng, steps = np.random.default_rng(0), max(ROWS // 4, self.config.length)
        replay = Replay(4 * steps + 4, ATARI, self.config, streams, self.device)
        for _ in range(4):
            replay.begin(rng.integers(0, 256, ATARI.shape, dtype=np.uint8))
            for step in range(steps):
                replay.add(
                    int(rng.integers(ACTIONS)),
                    rng.integers(0, 256, ATARI.shape, dtype=np.uint8),
                    float(rng.standard_normal()),
                    terminated=step == steps - 1,
                    ended=step == steps - 1,
                )
        return replay

    def now(self) -> float:
        """Seconds by the clock; what has been asked of an accelerator is done by then."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.process_time() if self.by_processor else time.perf_counter()

    def seconds(self, work: Callable[[], object]) -> float:
        """How long some work takes."""
        started = self.now()
        work()
        return self.now() - started

    def product_rate(self) -> float:
        """Floating-point operations per second of one large product of random numbers."""
        n = PRODUCT_SIZES[self.device.type]
        dtype = torch.bfloat16 if self.workload.precision == "bf16" else torch.float32
        generator = torch.Generator(self.device).manual_seed(0)
        a, b = (
            torch.randn(n, n, generator=generator, device=self.device).to(dtype) for _ in range(2)
        )
        out = torch.mm(a, b)
        started, products = self.now(), 0
        while self.now() - started < PRODUCT_SECONDS:
            torch.mm(a, b, out=out)
            products += 1
        return products * 2.0 * n**3 / (self.now() - started)

    def warm_up(self) -> None:
        """Makes the updates after which a GPU has its graphs."""
        for _ in range(1 if self.device.type == "cpu" else REHEARSALS + 1):
            self.learner.train_world_model()
            self.learner.train_behaviour()

    def update(self) -> tuple[float, float, float]:
        """Seconds of one update: world model, behaviour, and both by the clock on the wall."""
        updates = UPDATES_IN_A_ROW[self.device.type]
        clock = EventClock() if self.device.type == "cuda" else CallClock(self.now)
        self.now()
        wall = time.perf_counter()
        clock.mark()
        for _ in range(updates):
            self.learner.train_world_model()
            clock.mark()
            self.learner.train_behaviour()
            clock.mark()
        spans = clock.spans()
        wall = time.perf_counter() - wall
        return sum(spans[::2]) / updates, sum(spans[1::2]) / updates, wall / updates

    def policy_step(self) -> float:
        """Seconds of one step of the policy."""
        gray = np.random.default_rng(0).integers(256, size=(1, *ATARI.shape), dtype=np.uint8)
        observation = torch.from_numpy(gray).to(self.device)
        is_first = torch.zeros(1, device=self.device)
        state = self.agent.begin(1)

        def steps() -> None:
            nonlocal state
            for _ in range(POLICY_STEPS):
                state = self.agent.act(observation, is_first, state, stream="acting")
                int(state.action)  # an environment wants to know it

        steps()  # a GPU records its graph
        return self.seconds(steps) / POLICY_STEPS

    def env_rate(self) -> float:
        """Agent steps per second of one environment."""
        environments = make_environments(GAME, 1, Protocol())
        rng = np.random.default_rng(0)

        def play() -> None:
            for step in range(ENV_STEPS):
                if step % 100 == 0:
                    environments.reset({0: step})
                environments.step(rng.integers(environments.actions, size=1))

        try:
            return ENV_STEPS / self.seconds(play)
        finally:
            environments.close()

    def measure(self) -> Cost:
        """Measures every part, updates and products in turn."""
        flop = update_flops(self.config, ACTIONS)
        updates, limits, fractions = [], [self.product_rate()], []
        for _ in range(self.workload.rounds):
            updates.append(self.update())
            limits.append(self.product_rate())
            limit = (limits[-2] + limits[-1]) / 2
            fractions.append(flop / (updates[-1][0] + updates[-1][1]) / limit)
        seconds = median(model + behaviour for model, behaviour, _ in updates)
        return Cost(
            clock="cpu" if self.by_processor else "wall",
            seconds_per_update=seconds,
            seconds_per_world_model_update=median(model for model, _, _ in updates),
            seconds_per_behaviour_update=median(behaviour for _, behaviour, _ in updates),
            wall_seconds_per_update=median(wall for _, _, wall in updates),
            updates_per_second=1 / seconds,
            flop_per_update=flop,
            flop_per_second=flop / seconds,
            limit_flop_per_second=median(limits),
            fraction_of_limit=median(fractions),
            peak_memory_bytes=peak_memory_bytes(self.device),
            seconds_per_policy_step=self.policy_step(),
            env_steps_per_second=self.env_rate(),
            load=os.getloadavg()[0],
        )


class CallClock:
    """Times what is done when the call returns.

    Args:
        now: Tells the seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._marks: list[float] = []

    def mark(self) -> None:
        """Ends a span, and begins the next."""
        self._marks.append(self._now())

    def spans(self) -> list[float]:
        """Seconds between the marks."""
        return [after - before for before, after in pairwise(self._marks)]


class EventClock:
    """Times what a GPU does, by marks in its queue: nothing waits for them until they are read."""

    def __init__(self) -> None:
        self._marks: list[torch.cuda.Event] = []

    def mark(self) -> None:
        """Ends a span, and begins the next."""
        self._marks.append(torch.cuda.Event(enable_timing=True))
        self._marks[-1].record()

    def spans(self) -> list[float]:
        """Seconds between the marks, once all of it is done."""
        torch.cuda.synchronize()
        milliseconds = (before.elapsed_time(after) for before, after in pairwise(self._marks))
        return [each / 1e3 for each in milliseconds]


def main(arguments: list[str]) -> None:
    """Measures the workload that the first argument describes in JSON."""
    values: dict[str, Any] = json.loads(arguments[0])
    workload = Workload(**values)
    set_up_process(workload.threads)
    if workload.device == "cuda":
        set_up_gpu()
    bench = Bench(workload)
    bench.warm_up()
    print(READY, flush=True)  # noqa: T201  (the process that started this one reads it)
    sys.stdin.readline()
    print(json.dumps(asdict(bench.measure())), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
