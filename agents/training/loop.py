"""The loop: carries out the recipe's events and reports what happens.

A generator: who records, shows or stops a run does so from outside.
"""

import math
import time
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from agents.config import FRAMES_PER_AGENT_STEP, Budget, Protocol
from agents.dreamer.agent import Agent
from agents.dreamer.world_model import Posteriors
from agents.parts import Parts
from agents.streams import Streams
from agents.training.collector import Collector, EndedEpisode
from agents.training.environments import AtariEnvironments
from agents.training.evaluation import evaluate
from agents.training.recipe import (
    Clock,
    Collect,
    Evaluate,
    TrainBehaviour,
    TrainWorldModel,
    dreamer_recipe,
)
from agents.training.replay import Replay
from agents.training.reports import Episode, EpisodeResult, Evaluation, Metrics, Progress, Report

METRIC_REPORTS = 500
"""Points of a metric's curve over a whole run: each is the mean of the updates in between."""

PROGRESS_SECONDS = 0.25


def set_up_process(threads: int = 1) -> None:
    """Sets what holds for the whole process: threads, and how fp32 products are computed.

    "medium" lets a CPU hand fp32 products to oneDNN. Where that library computes them in fp32,
    as on AVX-512 machines, accuracy stays at about 1e-6; a test compares with float64.
    """
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("medium")


def train(
    parts: Parts,
    *,
    game: str,
    seed: int,
    protocol: Protocol,
    budget: Budget,
    device: str = "cpu",
) -> Iterator[Report]:
    """Trains one agent on one game and yields what happens.

    Args:
        parts: The assembled agent.
        game: A member of `agents.training.environments.GAMES`.
        seed: Every random number of the run follows from it.
        protocol: The game's interface, and when and how to evaluate.
        budget: How many env_frames to see, and how many of them with random actions.
        device: Where to train.

    Raises:
        BudgetTooSmallError: If no episode is complete before the budget is spent.
        DivergedError: If a metric of an update is not finite.
    """
    streams = Streams(seed, device)
    environments = AtariEnvironments(game, 1, protocol)
    try:
        agent = Agent(parts, environments.actions, streams, device)
        agent_steps = -(-budget.env_frames // FRAMES_PER_AGENT_STEP)
        replay = Replay(agent_steps, parts.config.length, device)
        collector = Collector(agent, replay, environments, streams)
        learner = Learner(agent, replay)
        clock, pace = Clock(), Pace(budget)
        for event in dreamer_recipe(parts.config, budget, protocol, clock):
            match event:
                case Collect(policy="random"):
                    ended = collector.random_step()
                    yield from _collected(clock, replay, ended)
                case Collect(policy="behaviour"):
                    ended = collector.behaviour_step()
                    yield from _collected(clock, replay, ended)
                case TrainWorldModel():
                    learner.train_world_model()
                    clock.updates += 1
                case TrainBehaviour():
                    learner.train_behaviour()
                case Evaluate(episodes=episodes, final=final):
                    yield from learner.report(clock)
                    results = []
                    for result in evaluate(
                        agent, game, protocol, env_frames=clock.env_frames, episodes=episodes
                    ):
                        if result is not None:
                            results.append(result)
                        elif pace.progress_due():
                            yield Progress(clock.env_frames, clock.updates, "evaluate")
                    yield _evaluation(clock, final, protocol, results)
            if pace.metrics_due(clock):
                yield from learner.report(clock)
            if pace.progress_due():
                yield Progress(clock.env_frames, clock.updates, clock.phase)
    finally:
        environments.close()


def _collected(clock: Clock, replay: Replay, ended: EndedEpisode | None) -> Iterator[Report]:
    clock.env_frames += FRAMES_PER_AGENT_STEP
    if ended is not None:
        clock.episodes = replay.episodes
        yield Episode(clock.env_frames, ended.episode_return, ended.length, ended.truncated)


def _evaluation(
    clock: Clock, final: bool, protocol: Protocol, results: list[EpisodeResult]
) -> Evaluation:
    in_order = tuple(sorted(results, key=lambda result: result.episode))
    return Evaluation(clock.env_frames, final, protocol.evaluation_policy, in_order)


class DivergedError(Exception):
    """A loss or a gradient became infinite or not a number: the run can teach nothing more."""


class Learner:
    """The agent's updates on its replay, and the means of their metrics."""

    def __init__(self, agent: Agent, replay: Replay) -> None:
        self.agent, self.replay = agent, replay
        self._posteriors: Posteriors | None = None
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def train_world_model(self) -> None:
        """Updates the world model on a batch of replay."""
        draws = self.agent.streams.uniforms("replay", self.agent.config.batch, 2)
        batch = self.replay.sample(draws)
        self._posteriors, metrics = self.agent.train_world_model(batch)
        self._add(metrics)

    def train_behaviour(self) -> None:
        """Updates actor and critic on dreams from the last batch's states.

        Raises:
            RuntimeError: If no world-model update came before.
        """
        if self._posteriors is None:
            raise RuntimeError("a behaviour update needs a world-model update before it")
        self._add(self.agent.train_behaviour(self._posteriors))

    def report(self, clock: Clock) -> Iterator[Metrics]:
        """Yields the means since the last report, if there was an update.

        Raises:
            DivergedError: If one of them is infinite or not a number.
        """
        if self._sums:
            means = {name: float(sum_) / self._counts[name] for name, sum_ in self._sums.items()}
            self._sums.clear()
            self._counts.clear()
            lost = [name for name, mean in means.items() if not math.isfinite(mean)]
            if lost:
                raise DivergedError(
                    f"training diverged: {', '.join(lost)} not finite at update {clock.updates} "
                    f"({clock.env_frames} env_frames)"
                )
            yield Metrics(clock.env_frames, clock.updates, means)

    def _add(self, metrics: Mapping[str, Tensor]) -> None:
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1


class Pace:
    """How often a run speaks: metrics by env_frames, progress by the clock on the wall."""

    def __init__(self, budget: Budget) -> None:
        self._metrics_every = max(1, budget.env_frames // METRIC_REPORTS)
        self._metrics_told = 0
        self._progress_told = time.monotonic()

    def metrics_due(self, clock: Clock) -> bool:
        """Whether another interval of env_frames has passed."""
        reached = clock.env_frames // self._metrics_every
        due, self._metrics_told = reached > self._metrics_told, reached
        return due

    def progress_due(self) -> bool:
        """Whether a quarter of a second has passed."""
        now = time.monotonic()
        if now - self._progress_told < PROGRESS_SECONDS:
            return False
        self._progress_told = now
        return True
