"""Auxiliary losses: what the modifications that add a loss to the world model's have in common.

Each says how its term is computed from a batch; what they share is said here: how much the term
counts (seam L). The image loss of DreamerV2 is a sum over thousands of pixels, in the hundreds,
beside which a published coefficient of another agent's loss vanishes. So by default the weight is
a ratio of gradients: how long the term's is, beside that of the rest, in the networks that it
reaches. That takes one more pass backward, and never lets the term fade as it is learned.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from agents.config import AgentConfig, Budget
from agents.dreamer.loss_terms import AuxiliaryLoss, Scale
from agents.dreamer.world_model import WorldModel
from agents.modification import Modification, Proof
from agents.parts import Parts
from agents.streams import Streams
from agents.training.recipe import first_update


class Auxiliary(Modification):
    """A modification that adds a term to the loss of the world model."""

    family: ClassVar[str] = "auxiliary losses"
    seam: ClassVar[str] = "L loss terms"

    weight: float = Field(0.1, ge=0)  # of the term; the default is this project's guess
    scaling: Literal["gradient_ratio", "coefficient"] = "gradient_ratio"  # what the weight is

    @property
    def scale(self) -> Scale:
        """λ of the term."""
        return Scale(self.weight, self.scaling)

    @abstractmethod
    def build(self, world_model: WorldModel, streams: Streams) -> AuxiliaryLoss:
        """Makes the term's networks, with initial weights from streams that bear its name."""

    @classmethod
    def null(cls, config: AgentConfig) -> "Auxiliary":
        """The term counts nothing, so it is not there."""
        return cls(weight=0.0)

    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        """The env_frames of the first update."""
        return first_update(config, budget)

    def install(self, parts: Parts) -> Parts:
        """Adds the term, unless it counts nothing."""
        return parts if self.weight == 0 else parts.with_loss_term(AuxiliaryTerm(self))

    def proof(self, config: AgentConfig) -> Proof:
        """The gradient of the term's own networks: without negatives, or targets, it is 0."""
        return Proof(f"{self.name}/grad_norm")


@dataclass(frozen=True)
class AuxiliaryTerm:
    """The term that an auxiliary loss adds."""

    settings: Auxiliary

    @property
    def name(self) -> str:
        """The owner."""
        return self.settings.name

    def describe(self) -> dict[str, object]:
        """The settings."""
        return self.settings.determinants()

    def build(self, world_model: WorldModel, streams: Streams) -> AuxiliaryLoss:
        """Makes the networks."""
        return self.settings.build(world_model, streams)
