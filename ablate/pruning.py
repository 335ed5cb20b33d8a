"""Pruning: the rule by which old checkpoints are deleted, so that they do not fill the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine

from results.database import checkpoints
from results.database.clock import Clock, utc_now
from results.database.engine import write
from results.database.location import checkpoint_directory
from results.database.records import RunState

KEPT_DAYS = 7.0
"""For how long the checkpoints of a cancelled run stay: until then a retry goes on from them."""


@dataclass(frozen=True)
class Refused:
    """A folder that is left alone, for the operating system does not let us look into it."""

    folder: Path
    reason: str

    def __str__(self) -> str:
        return (
            f"Old checkpoints in {self.folder} are not deleted: {self.reason}. Ask its owner, or "
            "mend its permissions."
        )


@dataclass(frozen=True)
class Pruned:
    """What was deleted, and which folders may not be looked into."""

    files: int
    size: int
    refused: tuple[Refused, ...] = ()


def prune(engine: Engine, *, days: float = KEPT_DAYS, clock: Clock = utc_now) -> Pruned:
    """Deletes the checkpoints that no run will go on from.

    Those are the files of runs that were cancelled so long ago, whatever a killed worker has left
    of a finished run, and what lies beside the checkpoints that the database names. Nothing of a
    run that a worker has in hand is touched, and no folder that is no run's. Meanwhile no run can
    be claimed.

    Args:
        engine: The database.
        days: For how long the files of cancelled runs stay.
        clock: What tells the time.

    Raises:
        DatabaseError: If the database cannot be written.
    """
    root = checkpoint_directory(engine)
    sizes: list[int] = []
    refused: list[Refused] = []

    def listed(folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except FileNotFoundError:  # its worker has deleted it meanwhile
            return []
        except OSError as error:
            refused.append(Refused(folder, error.strerror or str(error)))
            return []

    if not root.is_dir():
        return Pruned(0, 0)
    with write(engine) as session:
        checkpoints.forget_cancelled(session, clock() - timedelta(days=days))
        kept = {root / path for path in checkpoints.named(session)}
        states = checkpoints.states_by_folder(session)
        for folder in listed(root):
            if states.get(folder.name, RunState.RUNNING) is not RunState.RUNNING:
                sizes += _cleared(folder, [path for path in listed(folder) if path not in kept])
    with suppress(OSError):  # of other runs there are files
        root.rmdir()
    return Pruned(len(sizes), sum(sizes), tuple(refused))


def _cleared(folder: Path, files: Iterable[Path]) -> Iterator[int]:
    """Deletes these files of a folder, and the folder if it is empty then; yields their sizes."""
    for path in files:
        with suppress(OSError):  # a file that stays costs room, never results
            size = path.stat().st_size
            path.unlink()
            yield size
    with suppress(OSError):
        folder.rmdir()
