"""Random shift: the encoder sees frames moved by a few pixels.

Kostrikov, Yarats and Fergus, "Image Augmentation Is All You Need" (arXiv:2004.13649, DrQ): pad by
repeating the border, crop at a random offset. Their pad of 4 on 84 pixels is 3 on our 64.

A shift drawn anew for every frame is a nuisance that the latent state would have to carry and
the prior cannot predict: ln((2 pad + 1)^2) nats per step if the shifted frame is the target. The
default therefore draws once per sequence and reconstructs the clean frame.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from agents.config import IMAGE_SIZE, AgentConfig, Budget
from agents.modification import Example, Modification
from agents.parts import Parts, View
from agents.training.recipe import first_update


class RandomShift(Modification):
    """Shifts training frames by up to `pad` pixels in each direction."""

    name: ClassVar[str] = "random_shift"
    summary: ClassVar[str] = "frames shifted by a few pixels before encoding"
    paper: ClassVar[str] = "arXiv:2004.13649 (DrQ)"
    family: ClassVar[str] = "augmentation"
    seam: ClassVar[str] = "V views"
    requires_image: ClassVar[bool] = True
    examples: ClassVar[tuple[Example, ...]] = (
        Example({"pad": 3}, "pad", 6),
        Example({"pad": 3}, "per", "frame"),
        Example({"pad": 3}, "target", "shifted"),
    )

    pad: int = Field(3, ge=0, lt=IMAGE_SIZE)  # pixels
    per: Literal["sequence", "frame"] = "sequence"  # what shares one draw
    target: Literal["clean", "shifted"] = "clean"  # what the decoder reconstructs

    @classmethod
    def null(cls, config: AgentConfig) -> "RandomShift":
        return cls(pad=0)

    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        return first_update(config, budget)

    def install(self, parts: Parts) -> Parts:
        return parts.with_view(ShiftedViews(self)) if self.pad else parts


@dataclass(frozen=True)
class ShiftedViews:
    """The link in the chain of views."""

    settings: RandomShift

    @property
    def name(self) -> str:
        """The owner."""
        return self.settings.name

    def describe(self) -> dict[str, object]:
        """The settings."""
        return self.settings.model_dump()

    def uniforms_shape(self, batch: int, length: int) -> tuple[int, ...]:
        """A vertical and a horizontal draw per sequence, or per frame."""
        return (batch, length if self.settings.per == "frame" else 1, 2)

    def __call__(self, views: list[View], uniforms: Float[Tensor, "B S 2"]) -> list[View]:
        """Shifts every view by the same draw."""
        pad = self.settings.pad
        length = views[0].obs_in.shape[1]
        offsets = ((2 * pad + 1) * uniforms).long() - pad
        offsets = offsets.expand(-1, length, -1)
        shifted = []
        for view in views:
            moved = shift(view.obs_in, offsets)
            clean = self.settings.target == "clean"
            target = view.obs_target if clean else shift(view.obs_target, offsets)
            shifted.append(View(obs_in=moved, obs_target=target))
        return shifted


def shift(
    images: Float[Tensor, "B T C size size"], offsets: Int[Tensor, "B T 2"]
) -> Float[Tensor, "B T C size size"]:
    """Moves each image by its offset, repeating the border.

    out[i, j] = image[clip(i + dy), clip(j + dx)], which is the crop at (dy + pad, dx + pad) of
    the image padded by replication.

    Args:
        images: [B, T, C, size, size].
        offsets: [B, T, 2], (dy, dx) in pixels.
    """
    B, T, C, size, _ = images.shape
    places = torch.arange(size, device=images.device)
    rows = (places + offsets[..., 0, None]).clamp(0, size - 1)
    columns = (places + offsets[..., 1, None]).clamp(0, size - 1)
    index = (rows[..., :, None] * size + columns[..., None, :]).reshape(B, T, 1, size * size)
    flat = images.reshape(B, T, C, size * size)
    return flat.gather(-1, index.expand(-1, -1, C, -1)).reshape(images.shape)
