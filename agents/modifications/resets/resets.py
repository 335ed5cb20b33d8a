"""Resets: parts of the agent lose what they have learned, or some of it, at intervals.

Nikishin et al., "The Primacy Bias in Deep Reinforcement Learning" (arXiv:2205.07802): networks
overfit their first data, and resetting their last layers lets them learn again. D'Oro et al.
(ICLR 2023) shrink and perturb the deeper layers instead: θ ← shrink θ + perturb θ_fresh. For world
models, Qiao, Lyu and Li (arXiv:2310.15017) find that resetting the model helps and resetting the
agent hurts; the defaults follow them, but their numbers are this project's guess: published
intervals, about 40,000 updates, are longer than a run of 400,000 env_frames at E = 16.

A reset of encoder or recurrent model changes the features that everything else reads. Updates of
the world model alone follow for recovery; they are taken from those to come, so that the number
of updates stays that of the base.

How many updates a run makes is known when its prefill has ended, and where their ratio adapts only
at its end: the interval is a share of what the run comes to if the ratio stays what it is.
"""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

from pydantic import Field, model_validator

from agents.config import FRAMES_PER_AGENT_STEP, AgentConfig, Budget
from agents.modification import Example, Modification, Proof
from agents.parts import Parts
from agents.training.recipe import (
    Clock,
    Event,
    Operation,
    Recipe,
    Surgery,
    Tag,
    TrainWorldModel,
    Validate,
    expected_updates,
    followed,
    model_update,
    planned_updates,
    updates_due,
    validation_due,
)

OFTEN = {"every_updates": 1}
RESETS, RECOVERY = "resets", "resets/recovery"


class Resets(Modification):
    """Resets parts of the agent, or shrinks and perturbs them, every so many updates."""

    name: ClassVar[str] = "resets"
    summary: ClassVar[str] = "parts of the agent reset, or shrunk and perturbed, at intervals"
    paper: ClassVar[str] = "arXiv:2205.07802; D'Oro et al., ICLR 2023; arXiv:2310.15017"
    family: ClassVar[str] = "resets"
    seam: ClassVar[str] = "R recipe, X surgeon"
    examples: ClassVar[tuple[Example, ...]] = (
        Example(OFTEN, "shrink_and_perturb", ("rssm",)),
        Example(OFTEN, "full", ("heads", "actor")),
        Example(OFTEN, "last_layers", ("critic",)),
        Example(OFTEN, "shrink", 0.5),
        Example(OFTEN, "perturb", 0.5),
        Example(OFTEN, "every_updates", 2),
        Example({}, "every_fraction", 0.5),
        Example(OFTEN, "until_fraction", 0.3),
        Example(OFTEN, "recovery_fraction", 1.0),
    )

    shrink_and_perturb: tuple[Tag, ...] = ("encoder", "rssm")
    full: tuple[Tag, ...] = ("decoder", "heads")
    last_layers: tuple[Tag, ...] = ()  # a full reset of the last layer of each network
    shrink: float = Field(0.8, ge=0, le=1)  # factor of what was learned
    perturb: float = Field(0.2, ge=0, le=1)  # factor of fresh parameters
    every_updates: int | None = Field(None, ge=1)  # of the world model; None: `every_fraction`
    every_fraction: float = Field(0.25, gt=0, lt=1)  # of the updates that the run comes to
    until_fraction: float = Field(0.8, gt=0, le=1)  # of those, and of the frames; none afterwards
    recovery_fraction: float = Field(0.05, ge=0, le=1)  # of the interval

    @model_validator(mode="after")
    def _each_part_has_one_rule(self) -> "Resets":
        rules = {
            "shrink_and_perturb": self.shrink_and_perturb,
            "full": self.full,
            "last_layers": self.last_layers,
        }
        for (one, left), (other, right) in combinations(rules.items(), 2):
            if twice := sorted(set(left) & set(right)):
                raise ValueError(f"{one} and {other} both name {twice[0]}; give it one rule")
        if "rssm" in self.last_layers:
            raise ValueError("the recurrent model has no last layer; reset it in full, or shrink")
        return self

    def determinants(self) -> dict[str, Any]:
        """As `Settings.determinants`; equal for equal agents, however the settings spell them."""
        values = super().determinants() | self._tags()
        if not values["shrink_and_perturb"]:
            del values["shrink"], values["perturb"]
        if self.every_updates is not None:
            del values["every_fraction"]
        return values

    @classmethod
    def null(cls, config: AgentConfig) -> "Resets":
        return cls(shrink_and_perturb=(), full=(), last_layers=(), recovery_fraction=0.0)

    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        interval, last = self.schedule(planned_updates(config, budget))
        if interval > last or not self.operations:
            return float("inf")
        pretraining = config.pretrain_world_model_updates + config.pretrain_updates
        agent_steps = bisect_left(
            range(budget.env_frames),
            interval - pretraining,
            key=lambda step: updates_due(
                config.env_frames_per_update, FRAMES_PER_AGENT_STEP * step
            ),
        )
        return float(budget.prefill_frames + FRAMES_PER_AGENT_STEP * agent_steps)

    def install(self, parts: Parts) -> Parts:
        return parts.with_recipe_wrap(ResettingRecipe(self)) if self.operations else parts

    def proof(self, config: AgentConfig) -> Proof:
        return Proof(f"{self.name}/parameters_touched")

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What one reset does; empty if it would leave everything as it is."""
        tags = self._tags()
        candidates = (
            Operation(tags["shrink_and_perturb"], self.shrink, self.perturb),
            Operation(tags["full"]),
            Operation(tags["last_layers"], last_layer=True),
        )
        return tuple(operation for operation in candidates if operation.tags)

    def _tags(self) -> dict[str, tuple[Tag, ...]]:
        """The parts by what is done to them, in one order; shrink 0 and perturb 1 is in full."""
        gently, full = self.shrink_and_perturb, self.full
        if Operation(gently, self.shrink, self.perturb).is_identity:
            gently = ()
        if (self.shrink, self.perturb) == (0.0, 1.0):
            gently, full = (), full + gently
        rules = {"shrink_and_perturb": gently, "full": full, "last_layers": self.last_layers}
        return {rule: tuple(sorted(tags)) for rule, tags in rules.items()}

    def schedule(self, updates: int) -> tuple[int, int]:
        """The interval, and the last update after which a reset may come, of so many in all."""
        interval = self.every_updates or max(1, round(self.every_fraction * updates))
        return interval, int(self.until_fraction * updates)

    def in_time(self, budget: Budget, clock: Clock) -> bool:
        """Whether the frames have not passed the share of them in which resets may come.

        The agent step that reaches it is in time: its updates fell due before its end.
        """
        assert clock.prefilled is not None
        gone, all_ = clock.env_frames - clock.prefilled, budget.env_frames - clock.prefilled
        return gone < self.until_fraction * all_ + FRAMES_PER_AGENT_STEP


@dataclass(frozen=True)
class ResettingRecipe:
    """The wrap around the recipe."""

    settings: Resets

    @property
    def name(self) -> str:
        """The owner."""
        return self.settings.name

    def describe(self) -> dict[str, object]:
        """The settings."""
        return self.settings.determinants()

    def __call__(
        self, recipe: Recipe, config: AgentConfig, budget: Budget, clock: Clock
    ) -> Recipe:
        """Lets a reset and its recovery follow the update with which an interval is full.

        The update's own validation comes before them.
        """
        settings, counters = self.settings, clock.counters
        interval = due = 0  # as of the last update

        def reset(event: Event) -> Recipe:
            nonlocal interval, due
            if isinstance(event, TrainWorldModel) and settings.in_time(budget, clock):
                interval, last = settings.schedule(expected_updates(config, budget, clock))
                due = min(clock.updates - clock.extra_updates, last) // interval
            ends = Validate if validation_due(config, clock.updates) else TrainWorldModel
            if isinstance(event, ends) and due > counters.get(RESETS, 0):
                counters[RESETS] = due
                counters[RECOVERY] = round(settings.recovery_fraction * interval)
                yield Surgery(self.name, due, settings.operations)
                yield from _recovered(config, clock)

        yield from _recovered(config, clock)  # of a run that was left in the middle of it
        yield from followed(recipe, reset)


def _recovered(config: AgentConfig, clock: Clock) -> Recipe:
    while clock.counters.get(RECOVERY, 0):
        yield from model_update(config, clock)
        clock.counters[RECOVERY] -= 1
