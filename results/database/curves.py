"""Chunks of curves: the codec, appending, and compaction."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import delete, func, insert, select
from sqlalchemy.dialects.sqlite import insert as insert_or_ignore
from sqlalchemy.orm import Session

from results.database.errors import DatabaseError
from results.database.schema import CurveChunk, Metric

CODEC = "delta-shuffle-zlib"
"""Differences of the env frames, and the values, as little-endian numbers of eight bytes: the
first bytes of all, the second ones of all, and so on, compressed. Regular env frames then take
next to nothing, and values of single precision, as losses are, less than half of their bytes."""
FIRST_CODEC = "int64-float64-zlib"
"""What earlier versions wrote: both arrays little-endian, each compressed by itself."""


@dataclass(frozen=True, eq=False)
class Points:
    """A stretch of a curve.

    Attributes:
        env_frames: [N], where the points lie.
        values: [N], any float, NaN included.
    """

    env_frames: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, env_frames: ArrayLike, values: ArrayLike) -> Points:
        """Points from anything that numpy takes for an array."""
        points = cls(np.asarray(env_frames, np.int64), np.asarray(values, np.float64))
        if points.env_frames.ndim != 1 or points.env_frames.shape != points.values.shape:
            raise ValueError(
                f"{points.env_frames.shape} env frames and {points.values.shape} values"
            )
        return points


def encode(points: Points) -> tuple[bytes, bytes]:
    """The compressed env frames and values of a stretch."""
    steps = np.diff(points.env_frames, prepend=np.int64(0))
    return (
        zlib.compress(_shuffled(steps.astype("<i8"))),
        zlib.compress(_shuffled(points.values.astype("<f8"))),
    )


def decode(codec: str, points: int, env_frames_data: bytes, values_data: bytes) -> Points:
    """The stretch that `encode` compressed, bit for bit.

    Raises:
        DatabaseError: If the codec is unknown or the data are damaged.
    """
    if codec not in (CODEC, FIRST_CODEC):
        raise DatabaseError(
            f"A curve is stored in the codec {codec!r}, and this ablate knows {CODEC!r}: a newer "
            "ablate wrote it. Upgrade ablate."
        )
    try:
        first, second = zlib.decompress(env_frames_data), zlib.decompress(values_data)
        if codec == CODEC:
            first, second = _in_order(first), _in_order(second)
        env_frames = np.frombuffer(first, "<i8").astype(np.int64)
        values = np.frombuffer(second, "<f8").astype(np.float64)
    except (zlib.error, ValueError) as error:
        raise DatabaseError(_DAMAGED) from error
    if len(env_frames) != points or len(values) != points:
        raise DatabaseError(_DAMAGED)
    return Points(np.cumsum(env_frames) if codec == CODEC else env_frames, values)


def _shuffled(numbers: NDArray[Any]) -> bytes:
    """The bytes of numbers of eight bytes: the first of each, then the second of each, ..."""
    return numbers.view(np.uint8).reshape(-1, 8).T.tobytes()


def _in_order(shuffled: bytes) -> bytes:
    """The bytes that `_shuffled` took apart."""
    return np.frombuffer(shuffled, np.uint8).reshape(8, -1).T.tobytes()


_DAMAGED = (
    "A curve in the database is damaged: its points cannot be unpacked. Take the file from a "
    "backup, or check it with `sqlite3 FILE 'PRAGMA integrity_check'`."
)


def append(session: Session, attempt_id: int, curves: Mapping[str, Points]) -> None:
    """Adds one chunk per curve behind those that the attempt has."""
    if not curves:
        return
    metric_ids = _metric_ids(session, curves)
    last = dict(
        session.execute(
            select(CurveChunk.metric_id, func.max(CurveChunk.seq))
            .where(CurveChunk.attempt_id == attempt_id)
            .group_by(CurveChunk.metric_id)
        ).all()
    )
    for name, points in curves.items():
        metric_id = metric_ids[name]
        _insert(session, attempt_id, metric_id, last.get(metric_id, -1) + 1, points)


def compact(session: Session, attempt_id: int) -> None:
    """Joins the chunks of every curve of an attempt into one; no point is lost or moved."""
    several = (
        select(CurveChunk.metric_id)
        .where(CurveChunk.attempt_id == attempt_id)
        .group_by(CurveChunk.metric_id)
        .having(func.count() > 1)
    )
    for metric_id in session.scalars(several).all():
        here = (CurveChunk.attempt_id == attempt_id, CurveChunk.metric_id == metric_id)
        chunks = session.execute(
            select(
                CurveChunk.codec,
                CurveChunk.points,
                CurveChunk.env_frames_data,
                CurveChunk.values_data,
            )
            .where(*here)
            .order_by(CurveChunk.seq)
        )
        whole = join(decode(*chunk) for chunk in chunks)
        session.execute(delete(CurveChunk).where(*here))
        _insert(session, attempt_id, metric_id, 0, whole)


def join(stretches: Iterable[Points]) -> Points:
    """One stretch made of several, in their order."""
    parts = list(stretches)
    return Points(
        np.concatenate([np.empty(0, np.int64), *(part.env_frames for part in parts)]),
        np.concatenate([np.empty(0, np.float64), *(part.values for part in parts)]),
    )


def _metric_ids(session: Session, names: Iterable[str]) -> dict[str, int]:
    wanted = list(names)
    session.execute(
        insert_or_ignore(Metric).on_conflict_do_nothing(), [{"name": name} for name in wanted]
    )
    query = select(Metric.name, Metric.id).where(Metric.name.in_(wanted))
    return dict(session.execute(query).all())


def _insert(session: Session, attempt_id: int, metric_id: int, seq: int, points: Points) -> None:
    env_frames_data, values_data = encode(points)
    session.execute(
        insert(CurveChunk).values(
            attempt_id=attempt_id,
            metric_id=metric_id,
            seq=seq,
            codec=CODEC,
            points=len(points.env_frames),
            first_env_frames=int(points.env_frames.min()),
            last_env_frames=int(points.env_frames.max()),
            env_frames_data=env_frames_data,
            values_data=values_data,
        )
    )
