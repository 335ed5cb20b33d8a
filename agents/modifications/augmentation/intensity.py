"""Intensity: the encoder sees images made darker or brighter.

Kostrikov, Yarats and Fergus (arXiv:2004.13649, DrQ) on Atari, and Schwarzer et al.,
"Data-Efficient Reinforcement Learning with Self-Predictive Representations" (arXiv:2007.05929):
gray levels in [0, 1] times 1 + scale · clip(r, −2, 2), r ~ N(0, 1), scale 0.05.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from agents.augmentation import Augmentation
from agents.config import AgentConfig
from agents.modification import Example

LARGEST = 2.0  # standard deviations


class Intensity(Augmentation):
    """Multiplies the gray levels of training frames by a random factor near 1."""

    name: ClassVar[str] = "intensity"
    summary: ClassVar[str] = "frames darkened or brightened before encoding"
    paper: ClassVar[str] = "arXiv:2004.13649 (DrQ); arXiv:2007.05929 (SPR)"
    draws: ClassVar[int] = 1
    examples: ClassVar[tuple[Example, ...]] = (
        Example({"scale": 0.05}, "scale", 0.2),
        Example({"scale": 0.05}, "per", "frame"),
        Example({"scale": 0.05}, "target", "augmented"),
        Example({"scale": 0.05}, "probability", 0.5),
    )

    scale: float = Field(0.05, ge=0, lt=0.5)  # below 1 / 2, so that no factor is negative

    @classmethod
    def null(cls, config: AgentConfig) -> "Intensity":
        return cls(scale=0.0)

    @property
    def is_identity(self) -> bool:
        return self.scale == 0

    def transform(
        self, images: Float[Tensor, "B T C size size"], uniforms: Float[Tensor, "B T 1"]
    ) -> Float[Tensor, "B T C size size"]:
        """The normal number is the one that the uniform is the probability of."""
        normal: Tensor = torch.special.ndtri(uniforms)
        factor = 1.0 + self.scale * normal.clamp(-LARGEST, LARGEST)
        return (images + 0.5) * factor[..., None, None] - 0.5
