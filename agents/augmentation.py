"""Augmentation: what the modifications that transform training images have in common (seam V).

Each says how one image is transformed by uniforms in [0, 1). What they
share is said here: one draw per sequence, so that the motion within it stays as it was, or one
per frame; with which probability; and whether the decoder is asked for the clean image or for
the transformed one.

A transform that is drawn anew for every frame, and reconstructed, is a nuisance that the latent
state has to carry and that the prior cannot predict: it costs its entropy in nats at every step.
The defaults draw once per sequence and reconstruct the clean image.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agents.config import AgentConfig, Budget
from agents.modification import Modification, Proof
from agents.parts import Parts
from agents.settings import added_later
from agents.training.recipe import first_update
from agents.views import View


class Augmentation(Modification):
    """A modification that transforms images before they are encoded."""

    family: ClassVar[str] = "augmentation"
    seam: ClassVar[str] = "V views"
    requires_image: ClassVar[bool] = True
    draws: ClassVar[int]  # uniforms that `transform` takes for an image

    per: Literal["sequence", "frame"] = "sequence"  # what shares one draw
    target: Literal["clean", "augmented"] = "clean"  # what the decoder reconstructs
    probability: float = added_later(1.0, gt=0, le=1)  # that a sequence, or frame, is transformed

    @property
    @abstractmethod
    def is_identity(self) -> bool:
        """Whether it leaves every image as it is."""

    @abstractmethod
    def transform(
        self, images: Float[Tensor, "B T C size size"], uniforms: Float[Tensor, "B T draws"]
    ) -> Float[Tensor, "B T C size size"]:
        """Transforms every image, in [-0.5, 0.5], by its own uniforms in [0, 1)."""

    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        """The env_frames of the first update."""
        return first_update(config, budget)

    def install(self, parts: Parts) -> Parts:
        """Appends the transform to the chain of views, unless it is the identity."""
        return parts if self.is_identity else parts.with_view(AugmentedViews(self))

    def proof(self, config: AgentConfig) -> Proof:
        """The share of the encoder's inputs that it changed."""
        return Proof(f"{self.name}/inputs_changed")


@dataclass(frozen=True)
class AugmentedViews:
    """The link that an augmentation adds to the chain of views."""

    settings: Augmentation

    @property
    def name(self) -> str:
        """The owner."""
        return self.settings.name

    def describe(self) -> dict[str, object]:
        """The settings."""
        return self.settings.determinants()

    def uniforms_shape(self, batch: int, length: int) -> tuple[int, ...]:
        """The transform's draws per sequence or per frame, and one more for the probability."""
        whether = 1 if self.settings.probability < 1 else 0
        owners = length if self.settings.per == "frame" else 1
        return (batch, owners, self.settings.draws + whether)

    def __call__(self, views: list[View], uniforms: Float[Tensor, "B S draws"]) -> list[View]:
        """Transforms every view by the same draws."""
        settings = self.settings
        uniforms = uniforms.expand(-1, views[0].obs_in.shape[1], -1)
        draws, whether = uniforms[..., : settings.draws], uniforms[..., settings.draws :]

        def augmented(images: Tensor) -> Tensor:
            changed = settings.transform(images, draws)
            if settings.probability == 1:
                return changed
            chosen = (whether < settings.probability)[..., None, None]
            return torch.where(chosen, changed, images)

        clean = settings.target == "clean"
        return [
            View(
                obs_in=augmented(view.obs_in),
                obs_target=view.obs_target if clean else augmented(view.obs_target),
            )
            for view in views
        ]


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
