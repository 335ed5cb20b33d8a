"""Views: the looks at a batch of sequences that the world model learns from (seam V)."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class View:
    """One look at a batch of sequences: what is encoded and what is to be reconstructed."""

    obs_in: Float[Tensor, "B T *obs"]
    obs_target: Float[Tensor, "B T *obs"]


@runtime_checkable
class ViewTransform(Protocol):
    """One link of the chain of views (seam V).

    Pure and of fixed shape: the uniforms that it needs are drawn beforehand, from the stream that
    bears its name.
    """

    @property
    def name(self) -> str:
        """The modification that owns it, and its random stream."""

    def uniforms_shape(self, batch: int, length: int) -> tuple[int, ...]:
        """How many uniforms one batch of `batch` sequences of `length` steps takes."""

    def __call__(self, views: list[View], uniforms: Tensor) -> list[View]:
        """Returns the transformed views."""

    def describe(self) -> dict[str, object]:
        """Its settings, for the run's identity."""
