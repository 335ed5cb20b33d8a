"""Epsilon-greedy: now and then a random action instead of the actor's.

With probability ε an action drawn from all with equal chance: a ~ (1 − ε) π + ε U. Micheli et al.
(arXiv:2209.00588, IRIS) use ε = 0.01 on Atari-100k; Schwarzer et al. (arXiv:2007.05929, SPR) let
it fall linearly from 1 to 0. DreamerV2 itself explores by sampling its policy alone.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from agents.config import AgentConfig, Budget
from agents.modification import Example, Modification, Proof
from agents.parts import Parts

FALLING = {"epsilon": 0.9, "final": 0.1, "falls_until": 140}


class EpsilonGreedy(Modification):
    """Takes a random action with probability `epsilon`, or one that changes over the run."""

    name: ClassVar[str] = "epsilon_greedy"
    summary: ClassVar[str] = "now and then a random action in training"
    paper: ClassVar[str] = "arXiv:2209.00588 (IRIS); arXiv:2007.05929 (SPR)"
    family: ClassVar[str] = "exploration"
    seam: ClassVar[str] = "A act wrappers"
    examples: ClassVar[tuple[Example, ...]] = (
        Example({"epsilon": 0.5}, "epsilon", 1.0),
        Example(FALLING, "final", 0.6),
        Example(FALLING, "falls_until", 60),
    )

    epsilon: float = Field(0.01, ge=0, le=1)  # probability
    final: float | None = Field(None, ge=0, le=1)  # probability; None: it stays at `epsilon`
    falls_until: int | None = Field(None, gt=0)  # env_frames of the run, where `final` is reached

    @model_validator(mode="after")
    def _a_schedule_has_an_end(self) -> "EpsilonGreedy":
        if (self.final is None) != (self.falls_until is None):
            raise ValueError("final and falls_until make a schedule together; give both or none")
        return self

    @classmethod
    def null(cls, config: AgentConfig) -> "EpsilonGreedy":
        return cls(epsilon=0.0)

    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        """The prefill's end, unless ε is 0 from there on: linear, so it is if both ends are."""
        ends = (self.epsilon_at(frames) for frames in (budget.prefill_frames, budget.env_frames))
        return float(budget.prefill_frames) if any(ends) else float("inf")

    def install(self, parts: Parts) -> Parts:
        never = self.epsilon == 0 and not self.final
        return parts if never else parts.with_act_wrapper(EpsilonGreedyActions(self))

    def proof(self, config: AgentConfig) -> Proof:
        return Proof(f"{self.name}/actions_replaced")

    def epsilon_at(self, env_frames: int) -> float:
        """ε after so many env_frames: linear from the run's start to `falls_until`."""
        if self.final is None or self.falls_until is None:
            return self.epsilon
        passed = min(env_frames / self.falls_until, 1.0)
        return self.epsilon + passed * (self.final - self.epsilon)


@dataclass(frozen=True)
class EpsilonGreedyActions:
    """The wrap around the choice of actions."""

    settings: EpsilonGreedy
    draws: ClassVar[int] = 2  # whether, and which

    @property
    def name(self) -> str:
        """The owner."""
        return self.settings.name

    def describe(self) -> dict[str, object]:
        """The settings."""
        return self.settings.determinants()

    def __call__(
        self,
        action: Int[Tensor, " N"],
        actions: int,
        uniforms: Float[Tensor, "N 2"],
        env_frames: int,
    ) -> Int[Tensor, " N"]:
        """The random action may be the one that was chosen."""
        drawn = (uniforms[:, 1] * actions).long()
        return torch.where(uniforms[:, 0] < self.settings.epsilon_at(env_frames), drawn, action)
