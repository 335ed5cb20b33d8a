"""The user's folder of caches: small files of what took long to compute.

They may be deleted at any time. One that cannot be read or written costs nothing but the time to
compute it again.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

VARIABLE = "ABLATE_CACHE"


def folder() -> Path:
    """Where the files lie: ABLATE_CACHE, else `ablate` in the user's folder of caches."""
    if own := os.environ.get(VARIABLE):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablate"


def read(name: str) -> str | None:
    """What is kept under a name, or None."""
    with suppress(OSError, UnicodeDecodeError):
        return _path(name).read_text(encoding="utf-8")
    return None


def keep(name: str, text: str) -> None:
    """Writes a file whole or not at all, in the place of one that had the name before."""
    path = _path(name)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(beside).replace(path)


def _path(name: str) -> Path:
    return folder() / f"{name}.json"
