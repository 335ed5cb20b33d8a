"""Devices: how many worker processes this machine can run side by side."""

import os
from pathlib import Path

import psutil

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "<microseconds> <period>" or "max <period>"

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""What the numerical libraries read: a worker gets one thread, since there is one per core."""


def default_slots() -> int:
    """One slot per physical core that this process may use."""
    cores = [psutil.cpu_count(logical=False), _allowed_cores(), quota_cores(CPU_QUOTA)]
    return max(1, min(count for count in cores if count is not None))


def quota_cores(path: Path) -> int | None:
    """The whole cores that a container's quota leaves, or None without a quota."""
    try:
        allowed, period = path.read_text().split()
    except (OSError, ValueError):
        return None
    return None if allowed == "max" else max(1, int(allowed) // int(period))


def _allowed_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
