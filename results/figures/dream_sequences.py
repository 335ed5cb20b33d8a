"""Stored sequences and what a world model made of them, as arrays that belong together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from results.statistics.errors import StatisticsError, counted, listed

PICTURES: Final = ("truth", "reconstruction", "open_loop")
NUMBERS: Final = ("reward", "reward_reconstructed", "reward_open_loop", "action")


@dataclass(frozen=True)
class Dreams:
    """Sequences of S times T agent steps.

    Attributes:
        truth: Frames of the game; [S, T, C, H, W], uint8, C is 1 or 3.
        reconstruction: Decoded from states that have seen every frame up to theirs.
        open_loop: The same for steps below `context`; from there on decoded from states that
            know the actions and no further frame.
        reward: What the game paid on entering each step, as tanh; [S, T].
        reward_reconstructed: Predicted from the states of `reconstruction`.
        reward_open_loop: Predicted from the states of `open_loop`.
        action: Taken before each step; [S, T].
        context: How many steps are seen before the dream; at least 1, fewer than T.
    """

    truth: NDArray[np.uint8]
    reconstruction: NDArray[np.uint8]
    open_loop: NDArray[np.uint8]
    reward: NDArray[np.floating[Any]]
    reward_reconstructed: NDArray[np.floating[Any]]
    reward_open_loop: NDArray[np.floating[Any]]
    action: NDArray[np.integer[Any]]
    context: int

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], *, most: int) -> "Dreams":
        """Takes the first sequences of what the database keeps, and checks that all fits.

        Args:
            arrays: The attributes by name.
            most: How many sequences to keep.

        Raises:
            StatisticsError: if an array is missing, or their shapes do not agree.
        """
        missing = [name for name in (*PICTURES, *NUMBERS, "context") if name not in arrays]
        if missing:
            raise StatisticsError(
                f"The stored dreams lack {listed(missing)}: another version wrote them."
            )
        shape = arrays["truth"].shape
        fits = (
            len(shape) == 5
            and shape[2] in (1, 3)
            and all(arrays[name].shape == shape for name in PICTURES)
            and all(arrays[name].shape == shape[:2] for name in NUMBERS)
        )
        if not fits:
            shapes = (f"{name} {arrays[name].shape}" for name in (*PICTURES, *NUMBERS))
            raise StatisticsError(f"The stored dreams do not fit together: {', '.join(shapes)}.")
        context = int(arrays["context"])
        if not 0 < context < shape[1]:
            raise StatisticsError(
                f"The stored dreams of {counted(shape[1], 'step')} cannot begin after {context}."
            )
        kept: dict[str, Any] = {name: arrays[name][:most] for name in (*PICTURES, *NUMBERS)}
        return cls(**kept, context=context)

    @property
    def sequences(self) -> int:
        """How many sequences there are."""
        return len(self.reward)

    @property
    def steps(self) -> int:
        """How many agent steps each has."""
        return len(self.reward[0])

    def error(self, made: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Returns how far pictures are from the truth, 0 to 255 gray levels; [S, T, H, W].

        Of pictures in colour it is the mean over the channels.
        """
        difference = self.truth.astype(np.float64) - made.astype(np.float64)
        mean: NDArray[np.float64] = np.abs(difference).mean(axis=2)
        return mean
