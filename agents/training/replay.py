"""The replay: whole episodes in one block of memory, sampled as DreamerV2 does.

A row holds an image, the reward that arrived with it, whether the game is over, and the action
that led there; an episode of n agent steps has n + 1 rows. Only complete episodes of at least
`length` steps can be sampled, each with equal probability; shorter ones are dropped.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from agents.config import IMAGE_SIZE
from agents.dreamer.world_model import Batch


class Replay:
    """Stores everything that one run sees; nothing is ever evicted.

    Args:
        agent_steps: How many steps the run will take.
        length: Rows of a sampled sequence.
        device: Where the block lies.
    """

    def __init__(self, agent_steps: int, length: int, device: str | torch.device = "cpu") -> None:
        self.length = length
        # every kept episode has at least `length` steps and one row more than steps; the running
        # one may add one more row before it is dropped or kept
        rows = agent_steps + agent_steps // length + 2
        self.image = torch.empty(rows, IMAGE_SIZE**2, dtype=torch.uint8, device=device)
        self.action = torch.zeros(rows, dtype=torch.long, device=device)
        self.reward = torch.zeros(rows, device=device)
        self.is_terminal = torch.zeros(rows, dtype=torch.bool, device=device)
        self.starts: list[int] = []
        self.rows: list[int] = []
        self._episode_start = 0
        self._next = 0

    @property
    def episodes(self) -> int:
        """How many episodes can be sampled."""
        return len(self.starts)

    def begin(self, image: NDArray[np.uint8]) -> None:
        """Opens an episode with its first image, [1, 64, 64]."""
        self._next = self._episode_start
        self._write(image, action=0, reward=0.0, terminal=False)

    def add(
        self,
        action: int,
        image: NDArray[np.uint8],
        reward: float,
        *,
        terminated: bool,
        ended: bool,
    ) -> None:
        """Adds the row to which `action` led; `ended` closes the episode.

        A closed episode shorter than `length` steps is dropped.
        """
        self._write(image, action=action, reward=reward, terminal=terminated)
        rows = self._next - self._episode_start
        if ended and rows > self.length:
            self.starts.append(self._episode_start)
            self.rows.append(rows)
            self._episode_start = self._next

    def sample(self, uniforms: Float[Tensor, "B 2"]) -> Batch:
        """Draws B sequences.

        The episode is uniform over the episodes, whatever their lengths. The start is uniform
        over 0..rows, then clipped to the last one that leaves a whole sequence, so the ends of
        episodes are seen more often: P(last start) = (length + 1) / (rows + 1).

        Args:
            uniforms: [B, 2], in [0, 1): one for the episode, one for the start.
        """
        return self._gather(self.sequence_starts(uniforms))

    def sequence_starts(self, uniforms: Float[Tensor, "B 2"]) -> Int[Tensor, " B"]:
        """The first row of each sequence, by the law of `sample`."""
        if not self.starts:
            raise RuntimeError("the replay holds no complete episode yet")
        device = self.image.device
        starts = torch.tensor(self.starts, device=device)
        rows = torch.tensor(self.rows, device=device)
        episode = (uniforms[:, 0].double() * self.episodes).long()
        offset = (uniforms[:, 1].double() * (rows[episode] + 1)).long()
        return starts[episode] + torch.minimum(offset, rows[episode] - self.length)

    def _gather(self, starts: Int[Tensor, " B"]) -> Batch:
        B, T = len(starts), self.length
        index = (starts[:, None] + torch.arange(T, device=starts.device)).flatten()
        is_first = torch.zeros(B, T, dtype=torch.bool, device=starts.device)
        is_first[:, 0] = True  # a sequence starts from the zero state wherever it lies
        image = self.image.index_select(0, index)
        return Batch(
            image=image.view(B, T, 1, IMAGE_SIZE, IMAGE_SIZE),
            action=self.action.index_select(0, index).view(B, T),
            reward=self.reward.index_select(0, index).view(B, T),
            is_first=is_first,
            is_terminal=self.is_terminal.index_select(0, index).view(B, T),
        )

    def _write(
        self, image: NDArray[np.uint8], *, action: int, reward: float, terminal: bool
    ) -> None:
        row = self._next
        self.image[row] = torch.from_numpy(image).flatten()
        self.action[row] = action
        self.reward[row] = reward
        self.is_terminal[row] = terminal
        self._next += 1
