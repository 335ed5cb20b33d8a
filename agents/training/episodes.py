"""Episodes: where those of one split lie in the replay, for the host and for the device.

The host keeps lists. The device keeps the same numbers in tensors that never grow, so that drawing
a sequence is the same operations at the same addresses however many episodes there are:

    starts           first row of episode k
    rows             how many it has
    ends             rows of the episodes 0..k together; so large beyond the last one that no row
    sequence_ends    sequences of the episodes 0..k together;  is ever looked for there

The running episode may be one more, after the last; it is put anew at every step.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from agents.execution.devices import sent

BEYOND = 2**62


class Episodes:
    """The episodes of one split.

    Args:
        most: How many there can be, the running one included.
        length: Rows of a sequence.
        device: Of the tensors.
    """

    def __init__(self, most: int, length: int, device: torch.device) -> None:
        self._length = length
        self.starts: list[int] = []
        self.rows: list[int] = []
        self._ends = (0, 0)  # rows, and sequences, of all but the running one
        self._running = 0  # rows of that one, if it is shown
        self._table = torch.zeros(4, most, dtype=torch.long, device=device)
        self._table[2:] = BEYOND
        self._sums = torch.zeros(3, dtype=torch.long, device=device)

    @property
    def starts_on_device(self) -> Int[Tensor, " most"]:
        """First row of each."""
        return self._table[0]

    @property
    def rows_on_device(self) -> Int[Tensor, " most"]:
        """How many rows each has."""
        return self._table[1]

    @property
    def ends(self) -> Int[Tensor, " most"]:
        """Rows of each and all before it."""
        return self._table[2]

    @property
    def sequence_ends(self) -> Int[Tensor, " most"]:
        """Places where a sequence can start, in each and all before it."""
        return self._table[3]

    @property
    def count(self) -> Int[Tensor, ""]:
        """How many episodes there are to draw from."""
        return self._sums[0]

    @property
    def total(self) -> Int[Tensor, ""]:
        """Rows of all of them."""
        return self._sums[1]

    @property
    def sequences(self) -> Int[Tensor, ""]:
        """Places where a sequence can start, in all of them."""
        return self._sums[2]

    @property
    def lists(self) -> list[list[int]]:
        """First rows, and numbers of rows, without the running one."""
        return [list(self.starts), list(self.rows)]

    @property
    def rows_in_all(self) -> int:
        """Rows of all of them, as the host knows."""
        return self._ends[0] + self._running

    def add(self, start: int, rows: int) -> None:
        """Appends an episode; the running one is none until it is shown again."""
        self._put(start, rows)
        self.starts.append(start)
        self.rows.append(rows)
        self._ends = self._ends[0] + rows, self._ends[1] + self._sequences(rows)
        self._running = 0

    def show_running(self, start: int, rows: int) -> None:
        """Puts the running episode, with so many rows by now, after the others; 0: it is none."""
        if rows:
            self._put(start, rows)
        elif self._running:
            self._sum(len(self.rows), *self._ends)
        self._running = rows

    def load(self, starts: Sequence[int], rows: Sequence[int]) -> None:
        """Holds these episodes and no others."""
        self.starts, self.rows = list(starts), list(rows)
        sequences = [self._sequences(count) for count in rows]
        self._ends, self._running = (sum(rows), sum(sequences)), 0
        known = [starts, rows, np.cumsum(rows), np.cumsum(sequences)]
        self._table[2:] = BEYOND
        self._table[:, : len(starts)] = sent(np.array(known, dtype=np.int64), self._table.device)
        self._sum(len(starts), *self._ends)

    def _sequences(self, rows: int) -> int:
        return rows - self._length + 1

    def _put(self, start: int, rows: int) -> None:
        """Writes the row after the last one."""
        ends = self._ends[0] + rows, self._ends[1] + self._sequences(rows)
        self._table[:, len(self.rows)] = sent(np.array([start, rows, *ends]), self._table.device)
        self._sum(len(self.rows) + 1, *ends)

    def _sum(self, count: int, total: int, sequences: int) -> None:
        self._sums.copy_(sent(np.array([count, total, sequences]), self._sums.device))
