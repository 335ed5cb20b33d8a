"""What the tests of the recipe's modifications share: a run without agent, losses by script."""

import math
from dataclasses import dataclass, field

import pytest

from agents.config import Protocol
from agents.training.recipe import (
    Clock,
    Collect,
    Surgery,
    TrainBehaviour,
    TrainWorldModel,
    Validate,
    following,
)

LETTERS = {TrainWorldModel: "W", TrainBehaviour: "B", Validate: "V", Surgery: "S", Collect: "."}


@dataclass
class Driven:
    """The events with the env_frames since the prefill at which each came, and the ratios."""

    clock: Clock
    events: list = field(default_factory=list)
    ratios: dict = field(default_factory=dict)  # env_frames since the prefill to E, where new

    @property
    def letters(self):
        """Of the events after the prefill."""
        return "".join(
            LETTERS.get(type(event), "") for event in self.events if event != Collect("random")
        )


def _note(driven):
    clock, ratios = driven.clock, driven.ratios
    if clock.schedule is not None:
        ratio = clock.schedule.env_frames_per_update
        if not ratios or ratios[max(ratios)] != ratio:
            ratios[clock.env_frames - clock.prefilled] = ratio


@pytest.fixture
def drive():
    """Carries out a recipe; `losses` gives the loss of the nth validation, `stop` leaves."""

    def drive(parts, budget, losses=None, clock=None, *, stop=math.inf):
        driven = Driven(clock or Clock())
        clock, validations = driven.clock, driven.clock.counters.get("test/validations", 0)
        recipe = parts.recipe(budget, Protocol(), clock)
        event = next(recipe)
        while event is not None:
            resting = isinstance(event, Collect) or (
                isinstance(event, TrainWorldModel) and clock.env_frames == clock.prefilled
            )
            if resting and len(driven.events) >= stop:
                break
            _note(driven)
            driven.events.append(event)
            result = {}
            match event:
                case Collect():
                    clock.env_frames += 4
                    clock.episodes = clock.validation_episodes = clock.env_frames // 40
                case TrainWorldModel():
                    clock.updates += 1
                case TrainBehaviour():
                    clock.behaviour_updates += 1
                case Validate():
                    result = {"validation/loss": losses[min(validations, len(losses) - 1)]}
                    validations += 1
                    clock.counters["test/validations"] = validations
            event = following(recipe, result)
        return driven

    return drive
