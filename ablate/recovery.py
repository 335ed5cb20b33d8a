"""Recovery: puts the runs of workers that are gone back into the queue."""

from sqlalchemy import Engine

from results.database import queue
from results.database.records import Released


class Recovery:
    """Remembers how workers ended until the database knows, which may have to wait.

    Args:
        engine: The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._blameless: dict[int, str] = {}  # by process id: why its run is handed back
        self._deaths: dict[int, str] = {}  # by process id: how it died, and its last words

    def is_to_hand_back(self, pid: int, reason: str) -> None:
        """The run of a process that has ended is handed back: it is not to blame."""
        self._blameless[pid] = reason

    def has_died(self, pid: int, how: str) -> None:
        """A process died; that becomes the error of the attempt that it leaves."""
        self._deaths[pid] = how

    def recover(self) -> list[Released]:
        """Queues the runs again of all processes that are gone; tells of those that were lost.

        Raises:
            DatabaseError: If the database cannot be read or written: then another call does it.
        """
        for pid, reason in list(self._blameless.items()):
            queue.release_killed(self._engine, pid, reason)
            del self._blameless[pid]
        released = queue.release_dead(self._engine, how_died=self._deaths)
        self._deaths.clear()
        return released
