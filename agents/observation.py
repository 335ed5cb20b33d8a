"""Observation: what a task shows, as a shape: an image of gray levels or colours, or a vector."""

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Observation:
    """The shape and kind of one observation.

    Attributes:
        shape: (C, H, W) for an image, stored as uint8; (D,) for a vector, stored as float32.
    """

    shape: tuple[int, ...]

    @property
    def is_image(self) -> bool:
        """Whether it is an image rather than a vector."""
        return len(self.shape) == 3

    @property
    def dtype(self) -> torch.dtype:
        """How the replay stores it."""
        return torch.uint8 if self.is_image else torch.float32

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


ATARI = Observation((1, 64, 64))
"""Atari as DreamerV2 sees it: 64x64 gray levels."""
