"""The recipe: a training run as a sequence of events (seam R).

Algorithm 1 of the project's source: gather P frames with random actions, then one update of the
world model and one of the behaviour every E frames, until T frames have been seen.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agents.config import FRAMES_PER_AGENT_STEP, AgentConfig, Budget, Protocol


@dataclass(frozen=True)
class Collect:
    """Take one agent step in the training environment."""

    policy: Literal["random", "behaviour"]


@dataclass(frozen=True)
class TrainWorldModel:
    """Update the world model on one batch of replay."""


@dataclass(frozen=True)
class TrainBehaviour:
    """Update actor and critic on dreams that start from the last batch."""


@dataclass(frozen=True)
class Evaluate:
    """Play evaluation episodes."""

    episodes: int
    final: bool


Event = Collect | TrainWorldModel | TrainBehaviour | Evaluate


@dataclass
class Clock:
    """How far a run has come; the loop moves it, the recipe reads it."""

    env_frames: int = 0
    updates: int = 0
    episodes: int = 0  # complete episodes that can be replayed

    @property
    def phase(self) -> Literal["prefill", "train"]:
        """What the run is doing between evaluations."""
        return "train" if self.updates else "prefill"


class BudgetTooSmallError(Exception):
    """The frames were spent before a complete episode was there to learn from."""


def dreamer_recipe(
    config: AgentConfig, budget: Budget, protocol: Protocol, clock: Clock
) -> Iterator[Event]:
    """Yields what to do next, until the budget is spent.

    The prefill lasts at least `budget.prefill_frames` and until one episode can be replayed.
    Update k is due when k E frames have passed since then, so fractions accumulate and E below 4
    means several updates per agent step.

    Raises:
        BudgetTooSmallError: If the budget ends before the first complete episode does.
    """
    every = evaluation_interval(protocol, budget)
    while clock.env_frames < budget.prefill_frames or not clock.episodes:
        if clock.env_frames >= budget.env_frames:
            raise BudgetTooSmallError(
                f"no complete episode within the budget of {budget.env_frames} env_frames: "
                "nothing can be learned; raise env_frames or cap episodes in the protocol"
            )
        yield Collect("random")
    prefilled, trained = clock.env_frames, 0
    evaluated = prefilled // every
    for _ in range(config.pretrain_updates):
        yield TrainWorldModel()
        yield TrainBehaviour()
    while clock.env_frames < budget.env_frames:
        yield Collect("behaviour")
        due = updates_due(config, clock.env_frames - prefilled)
        for _ in range(due - trained):
            yield TrainWorldModel()
            yield TrainBehaviour()
        trained = due
        reached = clock.env_frames // every
        if reached > evaluated and clock.env_frames < budget.env_frames:
            evaluated = reached
            yield Evaluate(protocol.evaluation_episodes, final=False)
    yield Evaluate(protocol.final_evaluation_episodes, final=True)


def evaluation_interval(protocol: Protocol, budget: Budget) -> int:
    """The env_frames between evaluations: a tenth of the budget unless the protocol says."""
    if protocol.evaluate_every is not None:
        return protocol.evaluate_every
    return max(1, budget.env_frames // 10)


def updates_due(config: AgentConfig, frames: int) -> int:
    """How many updates have fallen due this many env_frames after the prefill."""
    return math.floor(frames / config.env_frames_per_update)


def first_update(config: AgentConfig, budget: Budget) -> float:
    """The env_frames at the first update, at the earliest; infinity if there is none."""
    if config.pretrain_updates:
        return float(budget.prefill_frames)
    never = config.model_copy(update={"env_frames_per_update": math.inf})
    return first_difference(never, config, budget)


def first_difference(one: AgentConfig, other: AgentConfig, budget: Budget) -> float:
    """The env_frames at which two agents have made unequally many updates, at the earliest.

    Infinity if their ratios differ too little for the budget.
    """
    learning = budget.env_frames - budget.prefill_frames
    sooner = min(one.env_frames_per_update, other.env_frames_per_update)
    for update in range(1, math.floor(learning / sooner) + 1):
        agent_steps = math.ceil(update * sooner / FRAMES_PER_AGENT_STEP)
        frames = agent_steps * FRAMES_PER_AGENT_STEP
        if frames <= learning and updates_due(one, frames) != updates_due(other, frames):
            return float(budget.prefill_frames + frames)
    return math.inf


def planned_updates(config: AgentConfig, budget: Budget) -> int:
    """How many updates a run makes if its prefill is not extended."""
    learning = budget.env_frames - budget.prefill_frames
    return config.pretrain_updates + updates_due(config, learning)
