"""Disk: whether there is room to write, and what happens to a queue while there is none."""

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

RESERVE_BYTES = 300_000_000
"""What stays free for the database: no worker is started and no checkpoint written below it."""

FULL_FOR_S = 30.0
"""How long a disk is taken for full after a write has failed, whatever it says of itself."""


@dataclass
class DiskGuard:
    """Watches the file system of a database.

    Attributes:
        path: A directory on it.
        free_bytes: Tells how much is free around a path.
        monotonic: Tells the time.
    """

    path: Path
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    monotonic: Callable[[], float] = time.monotonic
    _full_until: float = field(default=0.0, init=False)

    @classmethod
    def of_database(cls, engine: Engine) -> "DiskGuard":
        """Watches where a database lies."""
        return cls(Path(str(engine.url.database)).resolve().parent)

    def note_full(self) -> None:
        """Remembers that something could not be written."""
        self._full_until = self.monotonic() + FULL_FOR_S

    def problem(self) -> str | None:
        """Why nothing should be written now, in one paragraph with the remedy, or None."""
        free = self.free_bytes(self.path)
        if free >= RESERVE_BYTES and self.monotonic() >= self._full_until:
            return None
        return (
            f"The queue waits: the disk of {self.path} is full "
            f"({free / 1e6:,.0f} MB are free, {RESERVE_BYTES / 1e6:,.0f} MB are kept for the "
            "database). Nothing is lost. Free some space, and it goes on by itself."
        )


def newest_bytes(folder: Path) -> int:
    """The size of the newest checkpoint in a folder: the next one will be about as large."""
    sizes: Iterable[tuple[float, int]] = (
        (found.st_mtime, found.st_size) for found in map(Path.stat, folder.glob("*.pt"))
    )
    return max(sizes, default=(0.0, 0))[1]
