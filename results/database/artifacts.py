"""Artifacts: named arrays that an attempt leaves for pictures, packed into one column."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from results.database.errors import DatabaseError
from results.database.schema import Artifact

CODEC = "npz"  # numpy.savez_compressed


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The compressed arrays, with their names.

    Raises:
        ValueError: If one holds Python objects, which could not be read back safely.
    """
    wrong = [name for name, array in arrays.items() if array.dtype.hasobject]
    if wrong:
        raise ValueError(f"the arrays {', '.join(wrong)} hold Python objects")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack(codec: str, data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays that `pack` compressed, bit for bit; executes nothing that it finds there.

    Raises:
        DatabaseError: If the codec is unknown or the data are damaged.
    """
    if codec != CODEC:
        raise DatabaseError(
            f"Arrays are stored in the codec {codec!r}, and this ablate knows {CODEC!r}: a newer "
            "ablate wrote them. Upgrade ablate."
        )
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return dict(arrays)
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError) as error:
        raise DatabaseError(
            "Arrays in the database are damaged and cannot be unpacked. Take the file from a "
            "backup, or check it with `sqlite3 FILE 'PRAGMA integrity_check'`."
        ) from error


def put(
    session: Session,
    attempt_id: int,
    kind: str,
    env_frames: int,
    arrays: Mapping[str, NDArray[Any]],
    at: datetime,
) -> None:
    """Writes an artifact of an attempt in the place of an older one of its kind."""
    values = {
        "env_frames": env_frames,
        "codec": CODEC,
        "data": pack(arrays),
        "created_at": at,
    }
    session.execute(
        insert(Artifact)
        .values(attempt_id=attempt_id, kind=kind, **values)
        .on_conflict_do_update(index_elements=["attempt_id", "kind"], set_=values)
    )
