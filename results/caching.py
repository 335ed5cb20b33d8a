"""The user's folder of caches: small files of what took long to compute.

They may be deleted at any time. One that cannot be read or written costs nothing but the time to
compute it again.
"""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

VARIABLE = "ABLATE_CACHE"
DAY_S = 86_400.0


def folder() -> Path:
    """Where the files lie: ABLATE_CACHE, else `ablate` in the user's folder of caches.

    Raises:
        RuntimeError: If the user has no home.
    """
    if own := os.environ.get(VARIABLE):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablate"


def read(name: str, *, days: float | None = None) -> str | None:
    """What is kept under a name, or None.

    Args:
        name: Of the file, without its suffix.
        days: What is older is not there.
    """
    with suppress(OSError, RuntimeError, UnicodeDecodeError):
        path = _path(name)
        if days is None or abs(time.time() - path.stat().st_mtime) < days * DAY_S:
            return path.read_text(encoding="utf-8")
    return None


def keep(name: str, text: str) -> None:
    """Writes a file whole or not at all, in the place of one that had the name before."""
    with suppress(OSError, RuntimeError):
        path = _path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(beside).replace(path)
        except OSError:
            Path(beside).unlink(missing_ok=True)


def _path(name: str) -> Path:
    return folder() / f"{name}.json"
