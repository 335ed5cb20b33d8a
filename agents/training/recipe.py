"""The recipe: a training run as a sequence of events (seam R).

Algorithm 1 of the project's source: gather P frames with random actions, then one update of the
world model and one of the behaviour every E frames, until T frames have been seen.

What comes next follows from the clock alone, so a run that is put back with its clock goes on
where it was.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
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
    """Update actor and critic on dreams that start from replayed states."""


@dataclass(frozen=True)
class Validate:
    """Measure the world model on a batch of episodes that it never trains on."""


@dataclass(frozen=True)
class Evaluate:
    """Play evaluation episodes."""

    episodes: int
    final: bool


Tag = Literal["encoder", "rssm", "decoder", "heads", "actor", "critic"]
"""What a parameter belongs to; every trained one has exactly one tag."""


@dataclass(frozen=True)
class Operation:
    """One rule of surgery and the parts that it is applied to: θ ← shrink θ + perturb θ_fresh.

    Attributes:
        tags: Of the parameters.
        shrink: Factor of what is there.
        perturb: Factor of what is fresh.
        last_layer: Of each network only its last layer; the recurrent model has none.
    """

    tags: tuple[Tag, ...]
    shrink: float = 0.0
    perturb: float = 1.0
    last_layer: bool = False


@dataclass(frozen=True)
class Surgery:
    """Change parameters of the agent in place.

    Attributes:
        owner: The modification that asks for it.
        number: How many it has asked for, this one included.
        operations: What is done to which parts.
    """

    owner: str
    number: int
    operations: tuple[Operation, ...]


Event = Collect | TrainWorldModel | TrainBehaviour | Validate | Evaluate | Surgery


@dataclass
class Clock:
    """How far a run has come. The loop counts what it has done, the recipe what it has asked for.

    Attributes:
        env_frames: Seen in training.
        updates: Of the world model.
        behaviour_updates: Of actor and critic.
        episodes: Complete training episodes that can be replayed.
        validation_episodes: Complete validation episodes that can be replayed.
        prefilled: The env_frames at which the prefill ended; None before that.
        evaluated: Points of the evaluation grid that have been reached.
        counters: What the wraps around the recipe have to remember, by names of their own.
    """

    env_frames: int = 0
    updates: int = 0
    behaviour_updates: int = 0
    episodes: int = 0
    validation_episodes: int = 0
    prefilled: int | None = None
    evaluated: int = 0
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def phase(self) -> Literal["prefill", "train"]:
        """What the run is doing between evaluations."""
        return "prefill" if self.prefilled is None else "train"


class BudgetTooSmallError(Exception):
    """The frames were spent before a complete episode was there to learn from."""


def dreamer_recipe(
    config: AgentConfig, budget: Budget, protocol: Protocol, clock: Clock
) -> Iterator[Event]:
    """Yields what to do next, until the budget is spent.

    The prefill lasts at least `budget.prefill_frames` and until one training episode, and with a
    validation split one validation episode, can be replayed. Then the world model alone makes its
    pre-training updates, then both do. Update k of either is due when k E frames of its own E
    have passed since the prefill, so fractions accumulate and E below 4 means several updates per
    agent step; updates that fall due together come in the order of their due times, the world
    model's first.

    Raises:
        BudgetTooSmallError: If the budget ends before the prefill does, or with it.
    """
    every = evaluation_interval(protocol, budget)
    while clock.prefilled is None:
        if clock.env_frames >= budget.env_frames:
            raise BudgetTooSmallError(_too_small(config, clock, budget))
        if clock.env_frames >= budget.prefill_frames and _can_learn(config, clock):
            clock.prefilled, clock.evaluated = clock.env_frames, clock.env_frames // every
        else:
            yield Collect("random")
    while True:
        yield from _updates(config, clock)
        reached = clock.env_frames // every
        if clock.env_frames >= budget.env_frames:
            break
        if reached > clock.evaluated:
            clock.evaluated = reached
            yield Evaluate(protocol.evaluation_episodes, final=False)
        yield Collect("behaviour")
    yield Evaluate(protocol.final_evaluation_episodes, final=True)


def _can_learn(config: AgentConfig, clock: Clock) -> bool:
    validated = clock.validation_episodes or not config.validation_fraction
    return bool(clock.episodes and validated)


def _too_small(config: AgentConfig, clock: Clock, budget: Budget) -> str:
    within = f"within the budget of {budget.env_frames} env_frames"
    if not clock.episodes:
        kept = (
            "" if config.cross_episodes else f" of at least length = {config.length} agent steps"
        )
        return (
            f"no complete training episode{kept} {within}: nothing can be learned; raise "
            "env_frames, cap long episodes in the protocol, or let sequences cross the ends of "
            "short ones (cross_episodes = true)"
        )
    if not _can_learn(config, clock):
        return (
            f"no complete validation episode {within}: raise env_frames or validation_fraction, "
            'or hold out the second episode for certain (validation_rule = "deterministic")'
        )
    return f"the prefill has taken the whole budget of {budget.env_frames} env_frames; raise it"


def _updates(config: AgentConfig, clock: Clock) -> Iterator[Event]:
    """Yields the updates that are due, those of pre-training first, and their validations."""
    assert clock.prefilled is not None
    frames = clock.env_frames - clock.prefilled
    alone, both = config.pretrain_world_model_updates, config.pretrain_updates
    model_due = alone + both + updates_due(config.env_frames_per_update, frames)
    behaviour_due = both + updates_due(config.behaviour_ratio, frames)
    while clock.updates < model_due or clock.behaviour_updates < behaviour_due:
        model_time = _due_time(clock.updates - alone - both, config.env_frames_per_update)
        behaviour_time = _due_time(clock.behaviour_updates - both, config.behaviour_ratio)
        behaviour_waits = clock.behaviour_updates < behaviour_due
        if clock.updates < model_due and not (behaviour_waits and behaviour_time < model_time):
            yield TrainWorldModel()
            if config.validation_fraction and clock.updates % config.validate_every == 0:
                yield Validate()
        else:
            yield TrainBehaviour()


def _due_time(done: int, env_frames_per_update: float) -> float:
    """When the next update is due, in frames since the prefill; before 0 in pre-training.

    Args:
        done: Updates so far, without those of pre-training; negative during it.
        env_frames_per_update: E.
    """
    return float(done) if done < 0 else (done + 1) * env_frames_per_update


def evaluation_interval(protocol: Protocol, budget: Budget) -> int:
    """The env_frames between evaluations: a tenth of the budget unless the protocol says."""
    if protocol.evaluate_every is not None:
        return protocol.evaluate_every
    return max(1, budget.env_frames // 10)


def updates_due(env_frames_per_update: float, frames: int) -> int:
    """How many updates have fallen due this many env_frames after the prefill."""
    return math.floor(frames / env_frames_per_update)


def first_update(config: AgentConfig, budget: Budget) -> float:
    """The env_frames at the first update, at the earliest; infinity if there is none."""
    if config.pretrain_updates or config.pretrain_world_model_updates:
        return float(budget.prefill_frames)
    never = {"env_frames_per_update": math.inf, "behaviour_frames_per_update": None}
    return first_difference(config.model_copy(update=never), config, budget)


def first_difference(one: AgentConfig, other: AgentConfig, budget: Budget) -> float:
    """The env_frames at which two agents have made unequally many updates, at the earliest.

    Infinity if their ratios differ too little for the budget.
    """
    return min(
        _counts_part(one.env_frames_per_update, other.env_frames_per_update, budget),
        _counts_part(one.behaviour_ratio, other.behaviour_ratio, budget),
    )


def _counts_part(one: float, other: float, budget: Budget) -> float:
    """The env_frames at which two ratios first give unequal counts."""
    learning, sooner = budget.env_frames - budget.prefill_frames, min(one, other)
    if one == other:
        return math.inf
    for update in range(1, math.floor(learning / sooner) + 1):
        agent_steps = math.ceil(update * sooner / FRAMES_PER_AGENT_STEP)
        frames = agent_steps * FRAMES_PER_AGENT_STEP
        if frames <= learning and updates_due(one, frames) != updates_due(other, frames):
            return float(budget.prefill_frames + frames)
    return math.inf


def planned_updates(config: AgentConfig, budget: Budget) -> int:
    """How many updates the world model gets if the prefill is not extended."""
    learning = budget.env_frames - budget.prefill_frames
    pretraining = config.pretrain_world_model_updates + config.pretrain_updates
    return pretraining + updates_due(config.env_frames_per_update, learning)
