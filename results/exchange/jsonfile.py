"""JSON files, compressed or not."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from results.exchange.errors import ExchangeError

PATTERNS = ("*.json", "*.json.gz")


def load(path: Path) -> Any:
    """The contents of a JSON file; one that ends in `.gz` is unpacked.

    Raises:
        ExchangeError: If it cannot be read as JSON.
    """
    raw = path.read_bytes()
    try:
        text = gzip.decompress(raw) if path.name.endswith(".gz") else raw
        return json.loads(text, object_pairs_hook=_table)
    except (OSError, EOFError, zlib.error) as error:
        raise ExchangeError(f"{path} cannot be unpacked: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise ExchangeError(f"{path} cannot be read as JSON: {error}.") from error


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A table of JSON, in which no key may stand twice: the last would win in silence.

    Raises:
        ValueError: If one does.
    """
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} stands twice")
    return table


def dump(path: Path, value: object) -> bytes:
    """What a JSON file of this name holds; equal values give equal bytes."""
    text = (json.dumps(value, allow_nan=False, ensure_ascii=False, indent=1) + "\n").encode()
    return gzip.compress(text, mtime=0) if path.name.endswith(".gz") else text
