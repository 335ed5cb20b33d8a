"""Provenance: the code that this process runs, what is installed beside it, and its command."""

import hashlib
import io
import platform
import shlex
import subprocess
import tarfile
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import psutil

import ablate
from ablate.devices import Devices
from results.database.provenance import CodeRecord, Origin, PackagesRecord

ROOMS = ("ablate", "agents", "results")

SOURCES = frozenset((".py", ".csv", ".css", ".ini", ".j2", ".js", ".mako"))
"""Files that the program reads when it runs: what is installed, but for recorded results."""


@cache
def code_here() -> CodeRecord:
    """The source files of this program, as they are now on the disk, and where they come from."""
    root = _root()
    commit = _git(root, "rev-parse", "HEAD").decode().strip()
    diff = _git(root, "diff", "HEAD", "--", *ROOMS) if commit else b""
    try:
        number = version("ablate")
    except PackageNotFoundError:
        number = "not installed"
    return CodeRecord(
        sources_sha256=sources_sha256(),
        version=number,
        commit=commit,
        diff_sha256=hashlib.sha256(diff).hexdigest() if diff else "",
        diff=diff,
        archive=lambda: _archive(root, _source_files(root)),
    )


def sources_sha256() -> str:
    """sha256 of the source files of this program, as they are now on the disk."""
    root, digest = _root(), hashlib.sha256()
    for path in _source_files(root):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return digest.hexdigest()


@cache
def packages_here() -> PackagesRecord:
    """Everything that is installed in this environment."""
    found = {one.metadata["Name"]: one.version for one in distributions()}
    lines = "\n".join(f"{name}=={found[name]}" for name in sorted(found, key=str.lower))
    python = platform.python_version()
    sha256 = hashlib.sha256(f"{python}\n{lines}".encode()).hexdigest()
    return PackagesRecord(sha256, python, lines)


def origin_here(device: str, parent: int, devices: Devices) -> Origin:
    """Where the results of this worker come from.

    Args:
        device: What it computes on.
        parent: The process that started it, whose command a user typed.
        devices: Looks at the devices.
    """
    seen = next((one for one in devices.look() if one.name == device), None)
    try:
        command = shlex.join(psutil.Process(parent).cmdline())
    except psutil.Error:
        command = ""
    return Origin(
        code=code_here(),
        packages=packages_here(),
        device_model=device if seen is None else seen.model,
        driver=None if seen is None else seen.driver,
        command=command,
    )


def _root() -> Path:
    return Path(ablate.__file__).resolve().parents[1]


def _source_files(root: Path) -> tuple[Path, ...]:
    found = [path for room in ROOMS for path in sorted((root / room).rglob("*"))]
    return tuple(path for path in found if path.suffix in SOURCES and path.is_file())


@cache
def _archive(root: Path, files: tuple[Path, ...]) -> bytes:
    """The files, packed; the same files always give the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", preset=1) as archive:  # 6 takes seconds
        for path in files:
            content = path.read_bytes()
            entry = tarfile.TarInfo(path.relative_to(root).as_posix())
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _git(root: Path, *words: str) -> bytes:
    """What git says of the checkout that `root` is; nothing where it is none, or git is absent."""
    if not (root / ".git").exists():
        return b""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
