"""Names of methods as names of files, and back."""

from __future__ import annotations

from urllib.parse import quote, unquote


def to_file_name(name: str) -> str:
    """A name without what file systems refuse; `from_file_name` gives it back."""
    quoted = quote(name, safe="+ _-=,()")
    return quoted.replace(".", "%2E") if set(name) == {"."} else quoted


def from_file_name(name: str) -> str:
    """The name that `to_file_name` wrote; of other people's files, what stands there."""
    return unquote(name)
