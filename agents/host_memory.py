"""Memory of this machine, or of the container that this process lives in, whichever is less."""

from pathlib import Path

import psutil

CONTAINER = Path("/sys/fs/cgroup")


def total_bytes() -> int:
    """All that there is."""
    limit = _limit()
    total = int(psutil.virtual_memory().total)
    return total if limit is None else min(total, limit)


def free_bytes() -> int:
    """What a new process could take."""
    limit = _limit()
    available = int(psutil.virtual_memory().available)
    return available if limit is None else min(available, max(0, limit - _taken()))


def _limit() -> int | None:
    """Bytes that the container may take, or None without a limit."""
    try:
        return int((CONTAINER / "memory.max").read_text())
    except (OSError, ValueError):  # no such file, or the word "max"
        return None


def _taken() -> int:
    """Bytes that the container's processes take: files kept in memory make room when asked."""
    try:
        counts = dict(
            line.split() for line in (CONTAINER / "memory.stat").read_text().splitlines()
        )
        files = int(counts["inactive_file"])
    except (OSError, ValueError, KeyError):
        files = 0
    try:
        return int((CONTAINER / "memory.current").read_text()) - files
    except (OSError, ValueError):
        return 0
