"""The observer: looks at a run without touching it. Plasticity, dreams, and the time that passed.

What it draws comes from generators that exist for one look only, so a run that is looked at is
bitwise the run that is not.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from agents.config import AgentConfig, Budget
from agents.dreamer.agent import Agent
from agents.training.dreams import dream_pictures
from agents.training.plasticity import initial_parameters, plasticity
from agents.training.recipe import Clock
from agents.training.replay import Replay
from agents.training.reports import Dreams, Metrics, Timing
from agents.training.validation import CONTEXT

PROBES = 50
"""Points of the plasticity curves over a whole run."""

DREAMS = 4
"""Sequences that a picture of dreams shows."""


class Observer:
    """Probes one agent on its own replay.

    Args:
        agent: Before its first update: what it starts from is remembered.
        replay: What it learns from.
    """

    def __init__(self, agent: Agent, replay: Replay) -> None:
        self.agent, self.replay = agent, replay
        self._initial = initial_parameters(agent)

    def plasticity(self, clock: Clock) -> Metrics:
        """Norms, drift, saturation and ranks on a batch of training episodes."""
        size = self.agent.config.batch
        draws = self._uniforms("probes/plasticity", clock.env_frames, size, 2)
        measured = plasticity(self.agent, self._initial, self.replay.sample(draws))
        return Metrics(clock.env_frames, clock.updates, measured)

    def dreams(self, clock: Clock) -> Iterator[Dreams]:
        """Yields pictures of a few sequences, from validation episodes where there are any."""
        if not self.replay.kind.is_image:
            return
        draws = self._uniforms("probes/dreams", clock.env_frames, DREAMS, 2)
        batch = self.replay.sample(draws, validation=self.replay.validation_episodes > 0)
        S, T = batch.reward.shape
        world_model = self.agent.world_model
        latent = world_model.uniforms_shape(S, T)
        uniforms = self._uniforms("probes/latent", clock.env_frames, *latent)
        pictures = dream_pictures(world_model, batch, uniforms, min(CONTEXT, T // 2))
        yield Dreams(clock.env_frames, pictures.arrays())

    def _uniforms(self, owner: str, env_frames: int, *shape: int) -> Tensor:
        generator = torch.Generator()
        generator.manual_seed(self.agent.streams.integer(owner, env_frames))
        return torch.rand(*shape, generator=generator).to(self.replay.device)


def counts(clock: Clock, config: AgentConfig) -> dict[str, float]:
    """What a run has done so far, and the env_frames per update that the recipe goes by."""
    imagined = clock.behaviour_updates * config.batch * config.length * config.horizon
    values = {
        "recipe/updates": float(clock.updates),
        "recipe/behaviour_updates": float(clock.behaviour_updates),
        "recipe/extra_updates": float(clock.extra_updates),
        "recipe/imagined_steps": float(imagined),
    }
    if clock.schedule is not None and clock.behaviour_schedule is not None:
        behaviour = clock.behaviour_schedule.env_frames_per_update
        values["recipe/env_frames_per_update"] = clock.schedule.env_frames_per_update
        values["recipe/behaviour_frames_per_update"] = behaviour
    return values


class Stopwatch:
    """Seconds by phase, and the speed, since they were last told."""

    def __init__(self, clock: Clock) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._since = time.monotonic(), clock.env_frames, clock.updates

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Counts what happens inside for a phase."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._seconds[phase] += time.monotonic() - started

    def report(self, clock: Clock) -> Timing:
        """Tells what has passed and starts anew; no speed where no frame was seen."""
        since, env_frames, updates = self._since
        now = time.monotonic()
        passed = max(now - since, 1e-9)
        values = {f"seconds/{phase}": seconds for phase, seconds in self._seconds.items()}
        if clock.env_frames > env_frames:
            values["env_frames_per_second"] = (clock.env_frames - env_frames) / passed
            values["updates_per_second"] = (clock.updates - updates) / passed
        self._seconds.clear()
        self._since = now, clock.env_frames, clock.updates
        return Timing(clock.env_frames, values)


class Pace:
    """How often a run speaks: by env_frames, and of its progress by the clock on the wall."""

    def __init__(self, budget: Budget, clock: Clock, times: int) -> None:
        self._every = max(1, budget.env_frames // times)
        self._told = clock.env_frames // self._every

    def due(self, clock: Clock) -> bool:
        """Whether another interval of env_frames has passed."""
        reached = clock.env_frames // self._every
        due, self._told = reached > self._told, reached
        return due
