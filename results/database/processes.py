"""Which process on which machine holds a run, and whether it is still there."""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

_DEAD = frozenset("ZXx")  # proc(5): a zombie has ended and only waits for its parent to look


@dataclass(frozen=True)
class ProcessRecord:
    """A process, told apart from every other one.

    Attributes:
        host: Name of the host, for people.
        machine: One boot of one host, or one container of it: only there means `pid` anything.
        pid: Process id, which the system uses again after a while.
        started_at: Seconds from a moment that is fixed within `machine` to the process's start.
    """

    host: str
    machine: str
    pid: int
    started_at: float


def this_process() -> ProcessRecord:
    """The process that calls."""
    pid = os.getpid()
    started_at = process_started_at(pid)
    assert started_at is not None, "the calling process is alive"
    return ProcessRecord(socket.gethostname(), this_machine(), pid, started_at)


def this_machine() -> str:
    """A short name for this boot of this host, and for this container if there is one."""
    marks = [socket.gethostname()]
    try:
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        marks.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # not Linux
        marks.append(str(round(psutil.boot_time())))
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:16]


def process_started_at(pid: int) -> float | None:
    """When a process of this machine started, or None if it has ended.

    On Linux this counts from the boot: psutil counts from 1970, and its answer moves whenever the
    system's clock is set.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return _started_at_elsewhere(pid)
    fields = stat.rpartition(")")[2].split()  # the name before ")" may hold anything
    return None if fields[0] in _DEAD else int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _started_at_elsewhere(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def process_is_alive(pid: int, started_at: float) -> bool:
    """Whether the process of this machine that started then still runs.

    A process that has taken over the pid of an ended one is another process.
    """
    found = process_started_at(pid)
    return found is not None and abs(found - started_at) < 0.005  # half a tick of the clock
