"""The recipe: a training run as a sequence of events (seam R).

Algorithm 1 of the project's source: gather P frames with random actions, then one update of the
world model and one of the behaviour every E frames, until T frames have been seen.

What comes next follows from the clock and from the results of the events, each of which is sent
back in. Whoever decides by a result keeps in the clock what it has to remember, so a run that is
put back with its clock goes on where it was.
"""

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, SupportsFloat

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

    @property
    def is_identity(self) -> bool:
        """Whether it leaves every parameter as it is."""
        return (self.shrink, self.perturb) == (1.0, 0.0)


@dataclass(frozen=True)
class Surgery:
    """Change parameters of the agent in place.

    Attributes:
        owner: The modification that asks for it.
        number: Grows from one that it asks for to the next; what is fresh follows from it.
        operations: What is done to which parts.
    """

    owner: str
    number: int
    operations: tuple[Operation, ...]


Event = Collect | TrainWorldModel | TrainBehaviour | Validate | Evaluate | Surgery

Result = Mapping[str, SupportsFloat]
"""What carrying out an event has measured, by the names of the metrics; empty if nothing.

The numbers may be on a device, which waits when one is read: let only who decides by it read it.
"""

Recipe = Generator[Event, Result, None]
"""Yields what to do next, and is sent the result."""


@dataclass
class Schedule:
    """When updates fall due: one every so many env_frames.

    Attributes:
        env_frames_per_update: E.
        since: From where on this E holds, in env_frames since the prefill.
        due: Updates that had fallen due until then.
    """

    env_frames_per_update: float
    since: float = 0.0
    due: int = 0

    def due_at(self, frames: int) -> int:
        """How many updates have fallen due this many env_frames after the prefill."""
        return self.due + math.floor((frames - self.since) / self.env_frames_per_update)

    def time_of(self, update: int) -> float:
        """When an update falls due, in env_frames since the prefill; the first is number 1."""
        return self.since + (update - self.due) * self.env_frames_per_update

    def changed(self, env_frames_per_update: float, frames: int) -> "Schedule":
        """Another E from here on; the part of an update that has accumulated is kept."""
        due = self.due_at(frames)
        part = (frames - self.since) / self.env_frames_per_update - (due - self.due)
        return Schedule(env_frames_per_update, frames - part * env_frames_per_update, due)


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
        extra_updates: Of the world model, made beside those that fall due.
        extra_behaviour_updates: Of actor and critic, made beside those that fall due.
        schedule: Of the world model; None before the prefill has ended.
        behaviour_schedule: Of actor and critic.
    """

    env_frames: int = 0
    updates: int = 0
    behaviour_updates: int = 0
    episodes: int = 0
    validation_episodes: int = 0
    prefilled: int | None = None
    evaluated: int = 0
    counters: dict[str, int | float] = field(default_factory=dict)
    extra_updates: int = 0
    extra_behaviour_updates: int = 0
    schedule: Schedule | None = None
    behaviour_schedule: Schedule | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Clock":
        """The clock that `dataclasses.asdict` took apart."""
        schedules = {
            name: Schedule(**values[name])
            for name in ("schedule", "behaviour_schedule")
            if values.get(name) is not None
        }
        return cls(**{**values, **schedules})

    @property
    def phase(self) -> Literal["prefill", "train"]:
        """What the run is doing between evaluations."""
        return "prefill" if self.prefilled is None else "train"


class BudgetTooSmallError(Exception):
    """The frames were spent before a complete episode was there to learn from."""


def dreamer_recipe(
    config: AgentConfig, budget: Budget, protocol: Protocol, clock: Clock
) -> Recipe:
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
    if clock.schedule is None or clock.behaviour_schedule is None:
        clock.schedule = Schedule(config.env_frames_per_update)
        clock.behaviour_schedule = Schedule(config.behaviour_ratio)
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


def _updates(config: AgentConfig, clock: Clock) -> Recipe:
    """Yields the updates that are due, those of pre-training first, and their validations."""
    assert clock.prefilled is not None
    frames = clock.env_frames - clock.prefilled
    alone, both = config.pretrain_world_model_updates, config.pretrain_updates
    while True:
        assert clock.schedule is not None
        assert clock.behaviour_schedule is not None
        model = clock.updates - clock.extra_updates - alone - both
        behaviour = clock.behaviour_updates - clock.extra_behaviour_updates - both
        model_waits = model < clock.schedule.due_at(frames)
        behaviour_waits = behaviour < clock.behaviour_schedule.due_at(frames)
        if not (model_waits or behaviour_waits):
            return
        model_time = _due_time(clock.schedule, model)
        behaviour_time = _due_time(clock.behaviour_schedule, behaviour)
        if model_waits and not (behaviour_waits and behaviour_time < model_time):
            yield from model_update(config, clock)
        else:
            yield TrainBehaviour()


def model_update(config: AgentConfig, clock: Clock) -> Recipe:
    """Yields an update of the world model, and the validation that is due after it."""
    validates = validation_due(config, clock.updates + 1)
    yield TrainWorldModel()
    if validates:
        yield Validate()


def validation_due(config: AgentConfig, updates: int) -> bool:
    """Whether the last of so many updates of the world model is followed by a validation."""
    return bool(config.validation_fraction) and updates % config.validate_every == 0


def _due_time(schedule: Schedule, done: int) -> float:
    """When the next update is due, in frames since the prefill; before 0 in pre-training.

    Args:
        schedule: Of its kind.
        done: Updates so far, without those of pre-training; negative during it.
    """
    return float(done) if done < 0 else schedule.time_of(done + 1)


def following(recipe: Recipe, result: Result) -> Event | None:
    """The event after the one with this result; None at the end."""
    try:
        return recipe.send(result)
    except StopIteration:
        return None


def preceded(recipe: Recipe, before: Callable[[Event], Recipe]) -> Recipe:
    """Lets a recipe through; what `before` makes of an event comes before it."""
    event = next(recipe, None)
    while event is not None:
        yield from before(event)
        event = following(recipe, (yield event))


def followed(recipe: Recipe, after: Callable[[Event], Recipe]) -> Recipe:
    """Lets a recipe through; what `after` makes of an event comes after it."""
    event = next(recipe, None)
    while event is not None:
        result = yield event
        yield from after(event)
        event = following(recipe, result)


def validation_loss(batches: int) -> Generator[Event, Result, float]:
    """Validates on some batches; returns the mean loss of the world model."""
    losses = 0.0
    for _ in range(batches):
        result = yield Validate()
        losses += float(result["validation/loss"])
    return losses / batches


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


def first_behaviour_update(config: AgentConfig, budget: Budget) -> float:
    """The env_frames at the first update of the behaviour; infinity if there is none."""
    if config.pretrain_updates:
        return float(budget.prefill_frames)
    return _counts_part(config.behaviour_ratio, math.inf, budget)


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
    before = config.pretrain_world_model_updates + config.pretrain_updates
    return before + updates_due(config.env_frames_per_update, learning)


def expected_updates(config: AgentConfig, budget: Budget, clock: Clock) -> int:
    """How many updates the world model will have got in the end, if E stays what it is now.

    As `planned_updates`, once the prefill has ended; updates beside those that fall due are not
    counted.
    """
    assert clock.prefilled is not None
    assert clock.schedule is not None
    before = config.pretrain_world_model_updates + config.pretrain_updates
    return before + clock.schedule.due_at(budget.env_frames - clock.prefilled)
