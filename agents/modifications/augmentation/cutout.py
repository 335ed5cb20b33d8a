"""Cutout: the encoder sees images with a square of mid gray in them.

DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout"
(arXiv:1708.04552): a square of zeros, of fixed size, whose centre is any pixel, so that part of
it may lie outside. Their 16 on 32 pixels hides a quarter of the image; ours hides a sixteenth of
64x64, because a score or a ball that is gone cannot be reconstructed.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from agents.augmentation import Augmentation
from agents.config import IMAGE_SIZE, AgentConfig
from agents.modification import Example


class Cutout(Augmentation):
    """Hides a square of `size` pixels in training frames."""

    name: ClassVar[str] = "cutout"
    summary: ClassVar[str] = "frames with a random square hidden before encoding"
    paper: ClassVar[str] = "arXiv:1708.04552"
    draws: ClassVar[int] = 2  # vertical, horizontal
    examples: ClassVar[tuple[Example, ...]] = (
        Example({"size": 16}, "size", 8),
        Example({"size": 16}, "per", "frame"),
        Example({"size": 16}, "target", "augmented"),
        Example({"size": 16}, "probability", 0.5),
    )

    size: int = Field(16, ge=0, le=IMAGE_SIZE)  # pixels, of a side

    @classmethod
    def null(cls, config: AgentConfig) -> "Cutout":
        return cls(size=0)

    @property
    def is_identity(self) -> bool:
        return self.size == 0

    def transform(
        self, images: Float[Tensor, "B T C size size"], uniforms: Float[Tensor, "B T 2"]
    ) -> Float[Tensor, "B T C size size"]:
        """Centres are uniform over the pixels; of an even square the one below the middle."""
        size = images.shape[-1]
        first = (size * uniforms).long() - self.size // 2
        places = torch.arange(size, device=images.device)
        inside = (places >= first[..., None]) & (places < first[..., None] + self.size)
        hidden = inside[..., 0, :, None] & inside[..., 1, None, :]
        return images.masked_fill(hidden[:, :, None], 0.0)
