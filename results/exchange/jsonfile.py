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
        return json.loads(text)
    except (OSError, EOFError, zlib.error) as error:
        raise ExchangeError(f"{path} cannot be unpacked: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise ExchangeError(f"{path} is no JSON: {error}.") from error


def dump(path: Path, value: object) -> bytes:
    """What a JSON file of this name holds; equal values give equal bytes."""
    text = (json.dumps(value, allow_nan=False, ensure_ascii=False, indent=1) + "\n").encode()
    return gzip.compress(text, mtime=0) if path.name.endswith(".gz") else text
