"""Pre-training: updates between the prefill and the first step of the agent, costing no frame.

The official DreamerV2 code makes one such update on Atari and 100 on the control suite; Ha and
Schmidhuber's "World Models" (arXiv:1803.10122) trains its model on random play alone. Whether
it helps is open: it fits early data hard, which is the heavy priming of Nikishin et al.
(arXiv:2205.07802), and an actor that trains with it does so on dreams of random play.

The number of updates is fixed, or what the validation loss asks for: with `patience`, they end
when so many validations in a row have not been better than the best before them. They come
beside those that fall due later and take none of these away.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from agents.config import AgentConfig, Budget
from agents.modification import Example, Modification, Proof
from agents.parts import AssemblyError, Parts
from agents.training.recipe import (
    Clock,
    Event,
    Recipe,
    TrainBehaviour,
    model_update,
    preceded,
    validation_loss,
)

UPDATES, BEHAVIOUR = "pretraining/updates", "pretraining/behaviour_updates"
BEST, WAITED = "pretraining/best_loss", "pretraining/validations_without_better"
MEASURED, DONE = "pretraining/validations", "pretraining/done"
VALIDATED = {"validation_fraction": 0.25}
PATIENT = {"updates": 12, "patience": 1, "validate_every": 1, "batches": 1}


class Pretraining(Modification):
    """Trains the world model, and the behaviour if asked to, before the agent takes a step."""

    name: ClassVar[str] = "pretraining"
    summary: ClassVar[str] = "updates before the agent's first step, costing no frame"
    paper: ClassVar[str] = "arXiv:1803.10122 (World Models); arXiv:2010.02193"
    family: ClassVar[str] = "replay ratio"
    seam: ClassVar[str] = "R recipe"
    examples: ClassVar[tuple[Example, ...]] = (
        Example({"updates": 3}, "updates", 5),
        Example({"updates": 4}, "behaviour_per_update", 0.5),
        Example(PATIENT, "patience", 3, VALIDATED),
        Example(PATIENT, "validate_every", 4, VALIDATED),
        Example(PATIENT, "batches", 3, VALIDATED),
    )

    updates: int = Field(1_000, ge=0)  # of the world model; with patience at most
    behaviour_per_update: float = Field(0.0, ge=0, le=1)  # updates of actor and critic for each
    patience: int | None = Field(None, ge=1)  # validations; None: all updates are made
    validate_every: int = Field(100, ge=1)  # updates, with patience
    batches: int = Field(4, ge=1)  # of validation sequences, for one validation

    @classmethod
    def null(cls, config: AgentConfig) -> "Pretraining":
        return cls(updates=0)

    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        return float(budget.prefill_frames)

    def install(self, parts: Parts) -> Parts:
        if self.patience is not None and not parts.config.validation_fraction:
            raise AssemblyError(
                f"{self.name} with patience needs validation episodes: set validation_fraction, "
                "0.15 say, in [agent], or leave patience out"
            )
        return parts.with_recipe_wrap(PretrainingRecipe(self)) if self.updates else parts

    def proof(self, config: AgentConfig) -> Proof:
        return Proof("recipe/extra_updates")


@dataclass(frozen=True)
class PretrainingRecipe:
    """The wrap around the recipe."""

    settings: Pretraining

    @property
    def name(self) -> str:
        """The owner."""
        return self.settings.name

    def describe(self) -> dict[str, object]:
        """The settings; how to validate only where something depends on it."""
        values = self.settings.determinants()
        if self.settings.patience is None:
            del values["validate_every"], values["batches"]
        return values

    def __call__(
        self, recipe: Recipe, config: AgentConfig, budget: Budget, clock: Clock
    ) -> Recipe:
        """Puts everything before the first event after the prefill."""

        def pretrain(event: Event) -> Recipe:
            if clock.prefilled is not None and not clock.counters.get(DONE, 0):
                yield from self._pretrain(config, clock)
                clock.counters[DONE] = 1

        yield from preceded(recipe, pretrain)

    def _pretrain(self, config: AgentConfig, clock: Clock) -> Recipe:
        settings, counters = self.settings, clock.counters
        while True:
            updates, behaviour = counters.get(UPDATES, 0), counters.get(BEHAVIOUR, 0)
            if behaviour < math.floor(updates * settings.behaviour_per_update):
                yield TrainBehaviour()
                counters[BEHAVIOUR] = behaviour + 1
                clock.extra_behaviour_updates += 1
                continue
            yield from self._validate(clock)
            if updates >= settings.updates or counters.get(WAITED, 0) == settings.patience:
                return
            yield from model_update(config, clock)
            counters[UPDATES] = updates + 1
            clock.extra_updates += 1

    def _validate(self, clock: Clock) -> Recipe:
        """Measures after every `validate_every` updates, once, and counts what is no better."""
        settings, counters = self.settings, clock.counters
        reached = counters.get(UPDATES, 0) // settings.validate_every
        if settings.patience is None or reached <= counters.get(MEASURED, 0):
            return
        loss = yield from validation_loss(settings.batches)
        better = loss < counters.get(BEST, math.inf)
        counters[WAITED] = 0 if better else counters.get(WAITED, 0) + 1
        counters[BEST] = min(loss, counters.get(BEST, math.inf))
        counters[MEASURED] = reached
