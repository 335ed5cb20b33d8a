"""Adaptive ratio: the validation loss decides how many env_frames are collected per update.

Dorka, Welschehold and Burgard, "Dynamic Update-to-Data Ratio: Minimizing World Model Overfitting"
(ICLR 2023, arXiv:2303.10144). Every so many env_frames the world model is judged on episodes that
it never trains on. If its loss has risen since the last time it overfits, and E is multiplied by
a factor; if not it underfits, and E is divided by it:

    E ← clip(E · factor^(±1), lowest, highest).

The loss is measured at one moment, on batches drawn for it. The paper adapts the ratio of the
world model; here the behaviour's changes in proportion unless `applies_to` says otherwise.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from agents.config import AgentConfig, Budget
from agents.modification import Example, Modification, Proof
from agents.parts import AssemblyError, Parts
from agents.training.recipe import (
    Clock,
    Collect,
    Event,
    Recipe,
    first_difference,
    preceded,
    validation_loss,
)

MEASURED, LOSS = "adaptive_ratio/measured", "adaptive_ratio/loss"
QUICK = {"start": 16.0, "factor": 2.0, "interval": 16, "batches": 1}
BOUNDED = {**QUICK, "lowest": 16.0, "highest": 16.5}


class AdaptiveRatio(Modification):
    """Updates less often after the validation loss has risen, more often after it has not."""

    name: ClassVar[str] = "adaptive_ratio"
    summary: ClassVar[str] = "the validation loss decides how often there is an update"
    paper: ClassVar[str] = "Dorka et al., ICLR 2023 (DUTD)"
    family: ClassVar[str] = "replay ratio"
    seam: ClassVar[str] = "R recipe"
    requires_validation: ClassVar[bool] = True
    excludes: ClassVar[frozenset[str]] = frozenset({"replay_ratio"})
    examples: ClassVar[tuple[Example, ...]] = (
        Example(QUICK, "start", 8.0),
        Example(QUICK, "factor", 1.3),
        Example(QUICK, "interval", 32),
        Example(QUICK, "batches", 2),
        Example(QUICK, "applies_to", "world_model"),
        Example(BOUNDED, "lowest", 1.0),
        Example({**BOUNDED, "lowest": 15.5, "highest": 16.0}, "highest", 128.0),
    )

    start: float | None = Field(None, ge=0.01)  # env_frames per update; None: the base's
    factor: float = Field(1.3, ge=1)  # of E, at every decision
    lowest: float = Field(1.0, ge=0.01)  # E, in env_frames per update
    highest: float = Field(128.0, ge=0.01)  # E, in env_frames per update
    interval: int = Field(2_000, ge=4)  # env_frames between decisions
    batches: int = Field(4, ge=1)  # of validation sequences, for one measurement
    applies_to: Literal["both", "world_model"] = "both"  # whose updates

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> "AdaptiveRatio":
        if self.lowest > self.highest:
            raise ValueError(f"lowest = {self.lowest} is above highest = {self.highest}")
        return self

    @classmethod
    def null(cls, config: AgentConfig) -> "AdaptiveRatio":
        return cls(factor=1.0)

    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        """With the start where that is another; never, if nothing can be decided afterwards.

        The second measurement is the first that can be compared.
        """
        decision = budget.prefill_frames + 2 * self.interval
        fixed = self.factor == 1 or self.lowest == self.highest
        if fixed or decision >= budget.env_frames:
            return float("inf")
        changed = config.model_copy(update=self._start(config))
        return min(float(decision), first_difference(config, changed, budget))

    def install(self, parts: Parts) -> Parts:
        config = parts.config
        start = config.env_frames_per_update if self.start is None else self.start
        if self.factor > 1 and not self.lowest <= start <= self.highest:
            raise AssemblyError(
                f"{self.name} starts at E = {start:g}, which is not between lowest = "
                f"{self.lowest:g} and highest = {self.highest:g}"
            )
        if self.start is not None:
            parts = parts.with_settings(self.name, **self._start(config))
        return parts.with_recipe_wrap(AdaptiveRecipe(self)) if self.factor > 1 else parts

    def proof(self, config: AgentConfig) -> Proof:
        return Proof("recipe/env_frames_per_update", config.env_frames_per_update)

    def _start(self, config: AgentConfig) -> dict[str, float | None]:
        if self.start is None:
            return {}
        behaviour = config.behaviour_ratio if self.applies_to == "world_model" else self.start
        return {
            "env_frames_per_update": self.start,
            "behaviour_frames_per_update": None if behaviour == self.start else behaviour,
        }


@dataclass(frozen=True)
class AdaptiveRecipe:
    """The wrap around the recipe."""

    settings: AdaptiveRatio

    @property
    def name(self) -> str:
        """The owner."""
        return self.settings.name

    def describe(self) -> dict[str, object]:
        """The settings, but for where E starts, which the configuration says."""
        values = self.settings.determinants()
        del values["start"]
        return values

    def __call__(
        self, recipe: Recipe, config: AgentConfig, budget: Budget, clock: Clock
    ) -> Recipe:
        """Measures and decides before the agent step with which an interval begins."""
        settings, counters = self.settings, clock.counters

        def decide(event: Event) -> Recipe:
            if clock.prefilled is None or not isinstance(event, Collect):
                return
            reached = (clock.env_frames - clock.prefilled) // settings.interval
            if reached <= counters.get(MEASURED, 0):
                return
            loss = yield from validation_loss(settings.batches)
            if LOSS in counters:
                self._change(clock, risen=loss > counters[LOSS])
            counters[MEASURED], counters[LOSS] = reached, loss

        yield from preceded(recipe, decide)

    def _change(self, clock: Clock, *, risen: bool) -> None:
        settings = self.settings
        assert clock.prefilled is not None
        assert clock.schedule is not None
        frames = clock.env_frames - clock.prefilled
        ratio = clock.schedule.env_frames_per_update
        wanted = ratio * settings.factor if risen else ratio / settings.factor
        changed = min(max(wanted, settings.lowest), settings.highest)
        clock.schedule = clock.schedule.changed(changed, frames)
        if settings.applies_to == "both":
            assert clock.behaviour_schedule is not None
            behaviour = clock.behaviour_schedule.env_frames_per_update * changed / ratio
            clock.behaviour_schedule = clock.behaviour_schedule.changed(behaviour, frames)
