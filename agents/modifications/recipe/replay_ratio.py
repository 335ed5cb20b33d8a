"""Replay ratio: how many env_frames are collected per update.

D'Oro et al., "Sample-Efficient Reinforcement Learning by Breaking the Replay Ratio Barrier"
(ICLR 2023), and van Hasselt et al., "When to use parametric models in reinforcement learning?"
(arXiv:1906.05243): on a fixed budget of frames, updating more often buys sample efficiency with
compute, until the agent overfits its early data. World model and behaviour may have a ratio each.
"""

from typing import ClassVar

from pydantic import Field

from agents.config import AgentConfig, Budget
from agents.modification import Example, Modification, Proof
from agents.parts import Parts
from agents.training.recipe import first_difference


class ReplayRatio(Modification):
    """Makes one update every `env_frames_per_update` frames; below 4, several per agent step.

    The behaviour makes one every `behaviour_frames_per_update` frames, if that is given. A
    behaviour update without one of the world model before it dreams from a batch of its own.
    """

    name: ClassVar[str] = "replay_ratio"
    summary: ClassVar[str] = "more, or fewer, updates per environment frame"
    paper: ClassVar[str] = "arXiv:1906.05243; D'Oro et al., ICLR 2023"
    family: ClassVar[str] = "replay ratio"
    seam: ClassVar[str] = "R recipe"
    examples: ClassVar[tuple[Example, ...]] = (
        Example({"env_frames_per_update": 16.0}, "env_frames_per_update", 8.0),
        Example({"env_frames_per_update": 16.0}, "behaviour_frames_per_update", 8.0),
    )

    env_frames_per_update: float = Field(ge=0.01)
    behaviour_frames_per_update: float | None = Field(None, ge=0.01)  # None: the same

    @classmethod
    def null(cls, config: AgentConfig) -> "ReplayRatio":
        return cls(
            env_frames_per_update=config.env_frames_per_update,
            behaviour_frames_per_update=config.behaviour_frames_per_update,
        )

    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        changed = config.model_copy(update=self.model_dump())
        return first_difference(config, changed, budget)

    def install(self, parts: Parts) -> Parts:
        return parts.with_settings(self.name, **self.model_dump())

    def proof(self, config: AgentConfig) -> Proof:
        if self.env_frames_per_update != config.env_frames_per_update:
            return Proof("recipe/env_frames_per_update", config.env_frames_per_update)
        return Proof("recipe/behaviour_frames_per_update", config.behaviour_ratio)
