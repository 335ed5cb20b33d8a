"""Checkpoints: a run on the disk, so that another process can go on with it.

A file is written under another name, forced to the disk and renamed, so it is there whole or not
at all. It names its format and the run that it belongs to. Reading executes nothing.
"""

import hashlib
import os
import pickle
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from agents.training.reports import Saved

FORMAT = 2
SHARE = 0.02  # of the run's time that saving may take


class CheckpointError(Exception):
    """A file that is no checkpoint of this run; the message says why."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything from which a run goes on.

    Attributes:
        env_frames: Where it was taken.
        state: Nested mappings and lists of tensors and plain values.
    """

    env_frames: int
    state: Mapping[str, Any]


class Checkpoints:
    """Where and how often one run is saved.

    Args:
        directory: For this run alone; made when needed.
        identity: Of the run; a checkpoint of another one is refused.
        every_seconds: Between two of them, at least; more where saving is slow.
    """

    def __init__(self, directory: Path, identity: str, every_seconds: float = 300.0) -> None:
        self.directory, self.identity = directory, identity
        self._every_seconds = every_seconds
        self._next = time.monotonic() + every_seconds
        self._requested = False

    def request(self) -> None:
        """Asks for one at the next occasion, whatever the time."""
        self._requested = True

    def due(self) -> bool:
        """Whether it is time for one, or somebody has asked."""
        return self._requested or time.monotonic() >= self._next

    def put_off(self, seconds: float = 0.0) -> None:
        """Waits with the next one: the usual time, or these seconds if they are more."""
        self._requested = False
        self._next = time.monotonic() + max(self._every_seconds, seconds)

    def save(self, checkpoint: Checkpoint) -> Saved:
        """Writes a checkpoint; on the disk, whole, when this returns.

        Raises:
            OSError: If it cannot be written; nothing of it is left behind then.
        """
        started = time.monotonic()
        draft = self.directory / f"{os.getpid()}.draft"
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with draft.open("w+b") as file:
                torch.save(
                    {
                        "format": FORMAT,
                        "identity": self.identity,
                        "env_frames": checkpoint.env_frames,
                        "state": checkpoint.state,
                    },
                    file,
                )
                file.flush()
                os.fsync(file.fileno())
                file.seek(0)
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.seek(0, os.SEEK_END)
            path = self.directory / f"{checkpoint.env_frames}-{sha256[:16]}.pt"
            draft.replace(path)
            _sync_directory(self.directory)
        except RuntimeError as error:  # torch's way of saying that the disk is full
            raise OSError(f"the checkpoint could not be written: {error}") from error
        finally:
            with suppress(OSError):
                draft.unlink()
            self.put_off((time.monotonic() - started) / SHARE)
        return Saved(checkpoint.env_frames, path, sha256, size)


def load(path: Path, *, identity: str, sha256: str | None = None) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        path: Of the file.
        identity: Of the run that wants to go on.
        sha256: Of the file's bytes, where it is known.

    Raises:
        CheckpointError: If the file is missing, damaged, of another format or of another run.
    """
    try:
        with path.open("rb") as file:
            if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise CheckpointError(f"{path} is damaged: its bytes are not those once written")
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {error}") from error
    if not isinstance(content, dict) or "format" not in content:
        raise CheckpointError(f"{path} is no checkpoint")
    if content["format"] != FORMAT:
        raise CheckpointError(f"{path} has format {content['format']}; this code reads {FORMAT}")
    if not {"identity", "env_frames", "state"} <= content.keys():
        raise CheckpointError(f"{path} is no whole checkpoint")
    if content["identity"] != identity:
        raise CheckpointError(
            f"{path} belongs to the run {content['identity'][:12]}, not to {identity[:12]}"
        )
    return Checkpoint(content["env_frames"], content["state"])


def _sync_directory(directory: Path) -> None:
    """Puts the renaming itself on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
