"""Health: whether workers get anywhere, or starting more of them is no use."""

MOST_DEATHS = 10
"""Workers per slot that may die in a row without any run having come further."""

MOST_BARREN = 3
"""Workers per slot that may end in a row without a claim although runs wait for them."""


class Health:
    """Counts workers that ended for nothing. A run that was saved, or ended, came further.

    Args:
        slots: How many workers there may be at a time.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._deaths = self._barren = 0
        self._claimed: set[int] = set()  # the workers that have claimed something
        self._useful: set[int] = set()  # and those of which a run came further

    def claimed(self, worker: int) -> None:
        """A worker has claimed a run."""
        self._claimed.add(worker)
        self._barren = 0

    def came_further(self, worker: int) -> None:
        """A run of a worker was saved, or has ended."""
        self._useful.add(worker)
        self._deaths = 0

    def ended(self, worker: int, *, died: bool, runs_waited: bool) -> None:
        """A worker has ended.

        Args:
            worker: Its number.
            died: Whether of something else than having nothing to do.
            runs_waited: Whether there were runs that it could have claimed.
        """
        if died and worker not in self._useful:
            self._deaths += 1
        if runs_waited and worker not in self._claimed:
            self._barren += 1

    @property
    def is_hopeless(self) -> bool:
        """Whether something is wrong with them all."""
        return (
            self._deaths >= MOST_DEATHS * self._slots or self._barren >= MOST_BARREN * self._slots
        )
