"""Doctor: what could keep runs from being trained here, each with its remedy."""

import os
import platform
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from sqlalchemy import text

from ablate.devices import CPU, VISIBLE, Devices, default_slots, hides_all
from ablate.disk import RESERVE_BYTES
from ablate.progress import amount, counted
from results.database.engine import open_database, read
from results.database.errors import DatabaseError
from results.database.location import database_path, refuse_network_file_system
from results.database.processes import this_machine
from results.database.reservations import taken

CLOCK_SLACK_S = 5.0
"""By which a clock may be behind what was written before it is taken to have been set back."""


@dataclass(frozen=True)
class Finding:
    """What was found about one thing.

    Attributes:
        what: The thing.
        is_well: Whether runs can be trained as far as it goes.
        words: How it is.
        remedy: What to do; empty where nothing needs to be done.
    """

    what: str
    is_well: bool
    words: str
    remedy: str = ""


def examine(url: str, devices: Devices) -> list[Finding]:
    """Looks at everything.

    Args:
        url: The database, which need not exist yet.
        devices: Looks at the devices.
    """
    path = database_path(url)
    return [
        *versions(),
        *about_devices(devices),
        about_torch(devices),
        about_roms(),
        about_disk(path, lambda place: shutil.disk_usage(place).free),
        about_file_system(path),
        *(about_database(url) if path.exists() else [_no_database(path)]),
    ]


def versions() -> Iterator[Finding]:
    """Python, and the libraries that are not the ones that are asked for."""
    yield Finding("Python", True, f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    pinned = [one for one in requires("ablate") or [] if "==" in one and "extra" not in one]
    wrong = []
    for line in pinned:
        name, _, wanted = line.partition("==")
        try:
            found = version(name.strip()).partition("+")[0]
        except PackageNotFoundError:
            found = "nothing"
        if found != wanted.strip():
            wrong.append(f"{name.strip()} {found} instead of {wanted.strip()}")
    remedy = "Install again: pip install . (in the project's folder)." if wrong else ""
    words = ", ".join(wrong) or f"{counted(len(pinned), 'pinned library')} as asked for"
    yield Finding("libraries", not wrong, words.replace("librarys", "libraries"), remedy)


def about_devices(devices: Devices) -> Iterator[Finding]:
    """The devices that workers would be started on."""
    found = devices.look()
    allowed = os.environ.get(VISIBLE)
    if not found:
        remedy = "Give what `nvidia-smi -L` shows, or unset it."
        yield Finding("GPU", False, f"{VISIBLE}={allowed} names none that is here", remedy)
    if [one.name for one in found] == [CPU]:
        cores = default_slots()
        remedy = (
            f"{VISIBLE}={allowed} hides any GPU: unset it to use them."
            if hides_all(allowed)
            else "If there is an NVIDIA GPU, install its driver until `nvidia-smi` lists it."
        )
        yield Finding(
            CPU,
            True,
            f"{found[0].model}, {counted(cores, 'core')} to use, {amount(found[0].free_bytes)} of "
            f"{amount(found[0].total_bytes)} free; no GPU is seen, so runs are trained here",
            remedy,
        )
        return
    for one in found:
        yield Finding(
            one.name,
            True,
            f"{one.model}, driver {one.driver}, {amount(one.free_bytes)} of "
            f"{amount(one.total_bytes)} free, {counted(len(one.used_bytes), 'process')}".replace(
                "processs", "processes"
            ),
        )


def about_torch(devices: Devices) -> Finding:
    """Whether torch can use what the driver shows."""
    try:
        import torch
    except ImportError as error:
        remedy = "Install it: pip install . (in the project's folder)."
        return Finding("torch", False, f"cannot be imported: {error}", remedy)
    words = f"{torch.__version__}, CUDA {torch.version.cuda or 'not built in'}"
    has_gpu = any(one.name != CPU for one in devices.look())
    if has_gpu and not torch.cuda.is_available():
        return Finding(
            "torch",
            False,
            f"{words}: it cannot use the GPUs that the driver shows",
            "Install the CUDA build of torch, or a driver that is new enough for it.",
        )
    return Finding("torch", True, words)


def about_roms() -> Finding:
    """Whether the games are there."""
    try:
        import ale_py.roms as roms

        path = Path(str(roms.get_rom_path("pong")))
    except (ImportError, AttributeError, OSError) as error:
        return Finding("ROMs", False, f"cannot be looked up: {error}", _ROM_REMEDY)
    if not path.is_file():
        return Finding("ROMs", False, f"{path} is not there", _ROM_REMEDY)
    return Finding("ROMs", True, f"{len(list(path.parent.glob('*.bin')))} games")


_ROM_REMEDY = "They come with ale-py: pip install --force-reinstall ale-py==0.12.1."


def about_disk(database: Path, free_bytes: Callable[[Path], int]) -> Finding:
    """Whether the disk has room."""
    place = next(parent for parent in database.parents if parent.exists())
    free = free_bytes(place)
    if free < RESERVE_BYTES:
        words = f"{amount(free)} are free on the disk of {place}"
        return Finding("disk", False, words, "Free some space: the queue waits until then.")
    return Finding("disk", True, f"{amount(free)} free on the disk of {place}")


def about_file_system(database: Path) -> Finding:
    """Whether SQLite's locks hold where the database lies."""
    try:
        refuse_network_file_system(database)
    except DatabaseError as error:
        return Finding("file system", False, str(error), "Name a place on a disk of this machine.")
    return Finding("file system", True, "local, where SQLite's locks hold")


def about_database(url: str) -> Iterator[Finding]:
    """Whether the database is whole, and its clock ours."""
    try:
        engine = open_database(url)
        with read(engine) as session:
            report = list(session.scalars(text("PRAGMA quick_check")))
            newest = session.scalar(text("SELECT max(at) FROM event"))
        held = taken(engine, this_machine())
    except DatabaseError as error:
        yield Finding("database", False, str(error), "As it says.")
        return
    whole = report == ["ok"]
    remedy = "" if whole else "Stop all workers, copy the file, and run `sqlite3 FILE .recover`."
    yield Finding("database", whole, "whole" if whole else "; ".join(report[:3]), remedy)
    yield about_clock(None if newest is None else datetime.fromisoformat(newest))
    yield Finding(
        "slots",
        True,
        ", ".join(f"{device}/{slot} by process {pid}" for device, slot, pid, _ in held)
        or "none is taken",
    )


def about_clock(newest: datetime | None, now: datetime | None = None) -> Finding:
    """Whether the clock was set back since something was written last (a moment in UTC)."""
    present = now if now is not None else datetime.now(UTC).replace(tzinfo=None)
    behind = 0.0 if newest is None else (newest - present).total_seconds()
    if behind > CLOCK_SLACK_S:
        return Finding(
            "clock",
            False,
            f"{behind:,.0f} s behind the newest entry of the database: it was set back",
            "Set it right (`timedatectl set-ntp true`); no result is wrong, but times look odd.",
        )
    return Finding("clock", True, f"{present:%Y-%m-%d %H:%M:%S} UTC")


def _no_database(path: Path) -> Finding:
    return Finding("database", True, f"there is none yet at {path}: `ablate submit` makes it")
