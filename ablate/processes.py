"""Worker processes: starting one, hearing what it says, and ending it."""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ablate
from ablate.devices import THREAD_VARIABLES, VISIBLE
from ablate.placement import Seat

EXIT_DATABASE = 3
"""Exit code of a worker that cannot use the database: no other worker could."""

MOST_LAST_WORDS = 2_000  # characters


@dataclass(frozen=True)
class Message:
    """What a worker said."""

    number: int
    values: Mapping[str, Any]


class WorkerProcess:
    """One worker process, in a session of its own: a Ctrl-C reaches the scheduler alone.

    Args:
        database: The path or URL that the worker opens.
        study: It works on this study only; None for any.
        number: By which its messages are known.
        seat: The device that it sees, and its slot there.
        inbox: Where its messages go.
        nothing_new_after: The time, in seconds since 1970, after which it begins no new run.
    """

    def __init__(
        self,
        *,
        database: str,
        study: str | None,
        number: int,
        seat: Seat,
        inbox: "queue.Queue[Message]",
        nothing_new_after: float | None = None,
    ) -> None:
        self.number, self.seat = number, seat
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self._process = subprocess.Popen(
            worker_command(
                database=database,
                study=study,
                device=seat.device.name,
                slot=seat.slot,
                room=seat.size,
                nothing_new_after=nothing_new_after,
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=worker_environment(os.environ, visible=seat.device.visible),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(inbox,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """How it ended, or None while it runs; all its messages are in the inbox by then."""
        code = self._process.poll()
        if code is not None:
            self._reader.join(timeout=1.0)
        return code

    def last_words(self) -> str:
        """The end of what it wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()[-MOST_LAST_WORDS:]

    def stop(self) -> None:
        """Asks it to hand its run back and end."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Frees what an ended process leaves."""
        if self._process.stdout is not None:
            self._reader.join(timeout=1.0)
            self._process.stdout.close()
        self._errors.close()

    def _read(self, inbox: "queue.Queue[Message]") -> None:
        if self._process.stdout is None:
            return
        for line in self._process.stdout:
            with suppress(json.JSONDecodeError):  # a line that a killed worker left unfinished
                inbox.put(Message(self.number, json.loads(line)))
        self._process.wait()
        inbox.put(Message(self.number, {"event": "ended"}))  # nobody needs to ask all the time


def worker_command(
    *,
    database: str,
    study: str | None,
    device: str,
    slot: int,
    room: int,
    nothing_new_after: float | None = None,
) -> list[str]:
    """The command line of a worker whose scheduler is this process.

    `-P` keeps the working directory, which may hold a folder `results`, off the import path.
    """
    command = [sys.executable, "-P", "-m", "ablate.worker", "--db", database]
    command += ["--device", device, "--slot", str(slot), "--room", str(room)]
    command += ["--parent", str(os.getpid())]
    if nothing_new_after is not None:
        command += ["--nothing-new-after", repr(nothing_new_after)]
    return command if study is None else [*command, "--study", study]


def worker_environment(environment: Mapping[str, str], *, visible: str = "") -> dict[str, str]:
    """The environment of a worker: one thread, one device, and the code that the scheduler runs.

    Args:
        environment: Of the scheduler.
        visible: What CUDA_VISIBLE_DEVICES says; empty hides every GPU.
    """
    changed = {**environment, **dict.fromkeys(THREAD_VARIABLES, "1")}
    changed[VISIBLE] = visible
    home = str(Path(ablate.__file__).resolve().parents[1])
    if Path(home).name not in ("site-packages", "dist-packages"):
        paths = [home, *filter(None, [environment.get("PYTHONPATH")])]
        changed["PYTHONPATH"] = os.pathsep.join(paths)
    return changed


def death(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
