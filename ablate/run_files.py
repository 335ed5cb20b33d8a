"""Run files: where the checkpoints of one run lie, and what becomes of them.

The database knows which files count, by paths relative to its checkpoint directory; every run has
a folder of its own there.
"""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ablate.disk import RESERVE_BYTES, newest_bytes
from agents.training.checkpoint import Checkpoint, Checkpoints, load
from agents.training.reports import Saved
from results.database.location import checkpoint_folder
from results.database.records import CheckpointRow

EVERY_SECONDS = 300.0
"""Between two checkpoints of a run, at least."""


class RunFiles:
    """The checkpoints of one run.

    Args:
        root: The checkpoint directory of the database.
        identity: Of the run.
    """

    def __init__(self, root: Path, identity: str) -> None:
        self._root, self._identity = root, identity
        self._folder = root / checkpoint_folder(identity)

    def checkpoints(self) -> Checkpoints:
        """What saves the run, while the disk has room beside it for the database."""
        return _WithRoom(self._folder, self._identity, EVERY_SECONDS)

    def load(self, row: CheckpointRow) -> Checkpoint:
        """Reads the checkpoint that a row of the database names.

        Raises:
            CheckpointError: If it is missing, damaged, of another format or of another run.
        """
        return load(self._root / row.path, identity=self._identity, sha256=row.sha256)

    def name(self, path: Path) -> str:
        """What the database calls a file."""
        return path.relative_to(self._root).as_posix()

    def clear_drafts(self) -> None:
        """Deletes what a killed worker had begun to write; whole checkpoints stay."""
        for path in self._folder.glob("*.draft"):
            _delete(path)

    def forget(self, names: Iterable[str]) -> None:
        """Deletes files that the database has forgotten."""
        for name in names:
            _delete(self._root / name)

    def clear(self) -> None:
        """Deletes everything: the run is finished. Empty folders go too."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # of other runs there are files
            self._root.rmdir()


class _WithRoom(Checkpoints):
    """Checkpoints that leave the database its room on the disk."""

    def save(self, checkpoint: Checkpoint) -> Saved:
        """Writes a checkpoint.

        Raises:
            OSError: If it cannot be written, or would take the room of the database.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.directory).free
            if free < RESERVE_BYTES + newest_bytes(self.directory):
                raise OSError(f"only {free / 1e6:,.0f} MB are free on the disk")
        except OSError:
            self.put_off()
            raise
        return super().save(checkpoint)


def _delete(path: Path) -> None:
    with suppress(OSError):  # a file that stays costs room, never results
        path.unlink(missing_ok=True)
