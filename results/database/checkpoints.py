"""Which files a run can go on from: rows here, files in the database's checkpoint directory."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.orm import Session

from results.database.columns import EventKind
from results.database.location import checkpoint_folder
from results.database.records import CheckpointRow, RunState
from results.database.schema import Attempt, Checkpoint, Event, Run

KEPT = 2  # of a run: the newest, and the one before it in case the newest cannot be read


def of_run(session: Session, run_id: int) -> tuple[CheckpointRow, ...]:
    """The checkpoints that attempts at a run have left, the furthest first."""
    query = (
        select(
            Checkpoint.attempt_id,
            Checkpoint.env_frames,
            Checkpoint.path,
            Checkpoint.sha256,
            Checkpoint.bytes,
            Attempt.number,
        )
        .join_from(Checkpoint, Attempt)
        .where(Attempt.run_id == run_id)
        .order_by(Checkpoint.env_frames.desc(), Checkpoint.id.desc())
    )
    return tuple(CheckpointRow(*row) for row in session.execute(query))


def add(
    session: Session,
    *,
    run_id: int,
    attempt_id: int,
    env_frames: int,
    path: str,
    sha256: str,
    size: int,
    at: datetime,
) -> list[str]:
    """Notes a new file, and forgets all but the latest KEPT of the run, and its losses.

    A run that is saved further on than before makes progress, however often its workers die. One
    that is saved where it was saved already makes none, and may be failing there for ever.

    The latest are those written last: behind a furthest one that cannot be read, newer ones that
    are not as far must not be forgotten.

    Returns:
        The paths that nothing names any more.
    """
    ours = _of_run(run_id)
    furthest = session.scalar(select(func.max(Checkpoint.env_frames)).where(ours))
    same = (Checkpoint.attempt_id == attempt_id) & (Checkpoint.env_frames == env_frames)
    overwritten = delete(Checkpoint).where(ours, same | (Checkpoint.path == path))
    gone = set(session.scalars(overwritten.returning(Checkpoint.path)))
    session.execute(
        insert(Checkpoint).values(
            attempt_id=attempt_id,
            env_frames=env_frames,
            path=path,
            sha256=sha256,
            bytes=size,
            created_at=at,
        )
    )
    if furthest is None or env_frames > furthest:
        session.execute(update(Run).where(Run.id == run_id).values(losses=0))
    latest = select(Checkpoint.id).where(ours).order_by(Checkpoint.id.desc()).limit(KEPT)
    older = delete(Checkpoint).where(ours, Checkpoint.id.not_in(latest))
    gone |= set(session.scalars(older.returning(Checkpoint.path)))
    return sorted(gone - {path})


def forget(session: Session, run_id: int) -> list[str]:
    """Deletes the rows of a run, and returns their paths."""
    ours = delete(Checkpoint).where(_of_run(run_id))
    return sorted(set(session.scalars(ours.returning(Checkpoint.path))))


def forget_cancelled(session: Session, before: datetime) -> None:
    """Deletes the rows of runs that were cancelled before a moment, and still are."""
    cancelled_at = (
        select(func.max(Event.at))
        .where(Event.run_id == Run.id, Event.kind == EventKind.CANCELLED)
        .scalar_subquery()
    )
    long_gone = select(Run.id).where(Run.state == RunState.CANCELLED, cancelled_at <= before)
    theirs = select(Attempt.id).where(Attempt.run_id.in_(long_gone))
    session.execute(
        delete(Checkpoint)
        .where(Checkpoint.attempt_id.in_(theirs))
        .execution_options(synchronize_session=False)
    )


def named(session: Session) -> set[str]:
    """The paths of all checkpoints that a run may go on from."""
    return set(session.scalars(select(Checkpoint.path)))


def states_by_folder(session: Session) -> dict[str, RunState]:
    """Where every run stands, by the name of its folder."""
    rows = session.execute(select(Run.identity, Run.state))
    return {checkpoint_folder(identity): state for identity, state in rows}


def go_on(session: Session, run_id: int, attempt_id: int, parent: CheckpointRow) -> None:
    """Notes that an attempt goes on from a checkpoint.

    Raises:
        ValueError: If the checkpoint is not of an earlier attempt at the same run.
    """
    if session.get_one(Attempt, parent.attempt_id).run_id != run_id:
        raise ValueError(f"attempt {parent.attempt_id} is not one at run {run_id}")
    session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id)
        .values(parent_id=parent.attempt_id, resumed_env_frames=parent.env_frames)
        .execution_options(synchronize_session=False)
    )


def _of_run(run_id: int) -> ColumnElement[bool]:
    return Checkpoint.attempt_id.in_(select(Attempt.id).where(Attempt.run_id == run_id))
