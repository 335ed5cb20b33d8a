"""Random shift: the encoder sees images moved by a few pixels.

Kostrikov, Yarats and Fergus, "Image Augmentation Is All You Need" (arXiv:2004.13649, DrQ): pad by
repeating the border, crop at a random offset. Their pad of 4 on 84 pixels is 3 on our 64.

Drawn anew for every frame and reconstructed, a shift costs the prior ln((2 pad + 1)^2) nats per
step (agents/augmentation.py).
"""

from typing import ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from agents.augmentation import Augmentation, shift
from agents.config import IMAGE_SIZE, AgentConfig
from agents.modification import Example


class RandomShift(Augmentation):
    """Shifts training frames by up to `pad` pixels in each direction."""

    name: ClassVar[str] = "random_shift"
    summary: ClassVar[str] = "frames shifted by a few pixels before encoding"
    paper: ClassVar[str] = "arXiv:2004.13649 (DrQ)"
    draws: ClassVar[int] = 2  # vertical, horizontal
    examples: ClassVar[tuple[Example, ...]] = (
        Example({"pad": 3}, "pad", 6),
        Example({"pad": 3}, "per", "frame"),
        Example({"pad": 3}, "target", "augmented"),
        Example({"pad": 3}, "probability", 0.5),
    )

    pad: int = Field(3, ge=0, lt=IMAGE_SIZE)  # pixels

    @classmethod
    def null(cls, config: AgentConfig) -> "RandomShift":
        return cls(pad=0)

    @property
    def is_identity(self) -> bool:
        return self.pad == 0

    def transform(
        self, images: Float[Tensor, "B T C size size"], uniforms: Float[Tensor, "B T 2"]
    ) -> Float[Tensor, "B T C size size"]:
        """Offsets are uniform over the (2 pad + 1)^2 whole pixels."""
        return shift(images, ((2 * self.pad + 1) * uniforms).long() - self.pad)
