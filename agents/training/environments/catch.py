"""Catch: a game that is learned in minutes, for tests and first studies.

A ball falls from a random column of the top row, one row per step, and a paddle in the bottom row
moves left, stays or moves right. When the ball has come down, the game is over: +1 if it fell on
the paddle, else -1. After "Catch" of bsuite (Osband et al., arXiv:1908.03568).
"""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

ROWS, COLUMNS = 10, 5
SIZE = 32  # pixels
CELL_HEIGHT, CELL_WIDTH = 3, 6  # a board of 30x30 pixels with a margin of one
MARGIN = 1


class Catch(gymnasium.Env[NDArray[np.uint8], np.int64]):
    """The board as an image [32, 32, 1] of two gray levels.

    Class Attributes:
        random_return: -3/5. The paddle ends in some column, of which a ball that was never looked
            at knows nothing: it is caught in one column of five, 1/5 - 4/5.
        reference_return: 1. The paddle starts in the middle and every column is in reach.
    """

    random_return: ClassVar[float] = -0.6
    reference_return: ClassVar[float] = 1.0

    def __init__(self) -> None:
        self.observation_space = Box(0, 255, (SIZE, SIZE, 1), np.uint8)
        self.action_space = Discrete(3)
        self._row = self._ball = self._paddle = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Puts the ball somewhere in the top row and the paddle in the middle."""
        super().reset(seed=seed)
        self._row, self._paddle = 0, COLUMNS // 2
        self._ball = int(self.np_random.integers(COLUMNS))
        return self._board(), {}

    def step(
        self, action: int | np.int64
    ) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Moves the paddle by `action` - 1 columns, within the board, and the ball down."""
        self._paddle = min(max(self._paddle + int(action) - 1, 0), COLUMNS - 1)
        self._row += 1
        down = self._row == ROWS - 1
        reward = 0.0
        if down:
            reward = 1.0 if self._ball == self._paddle else -1.0
        return self._board(), reward, down, False, {}

    def _board(self) -> NDArray[np.uint8]:
        image = np.zeros((SIZE, SIZE, 1), np.uint8)
        for row, column in ((self._row, self._ball), (ROWS - 1, self._paddle)):
            top, left = MARGIN + row * CELL_HEIGHT, MARGIN + column * CELL_WIDTH
            image[top : top + CELL_HEIGHT, left : left + CELL_WIDTH] = 255
        return image
