"""Every change of state of a run: taken by a worker, and given up in one of four ways."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import case, func, insert, select, update
from sqlalchemy.orm import Session

from results.database.columns import EventKind
from results.database.errors import LeaseLost
from results.database.records import AttemptState, RunState
from results.database.schema import MOST_LOSSES, Attempt, Event, Run, StudyRun

_EVENT = {
    AttemptState.FINISHED: EventKind.FINISHED,
    AttemptState.FAILED: EventKind.FAILED,
    AttemptState.LOST: EventKind.LOST,
    AttemptState.RELEASED: EventKind.RELEASED,
}
_RUN_AFTER = {
    AttemptState.FINISHED: RunState.FINISHED,
    AttemptState.FAILED: RunState.FAILED,
    AttemptState.RELEASED: RunState.QUEUED,
}


def take_next_run(session: Session, study_id: int | None) -> int | None:
    """Marks the first queued run as running, in one statement, and returns its row."""
    first = select(Run.id).where(Run.state == RunState.QUEUED)
    if study_id is not None:
        held = select(StudyRun.run_id).where(StudyRun.study_id == study_id)
        first = first.where(Run.id.in_(held))
    first = first.order_by(Run.priority.desc(), Run.position, Run.id).limit(1)
    return session.scalar(
        update(Run)
        .where(Run.id == first.scalar_subquery())
        .values(state=RunState.RUNNING)
        .returning(Run.id)
        .execution_options(synchronize_session=False)
    )


def begin_attempt(session: Session, run_id: int, worker_id: int, at: datetime) -> Attempt:
    """Adds the next attempt at a run that was taken."""
    before = session.scalar(select(func.max(Attempt.number)).where(Attempt.run_id == run_id))
    attempt = Attempt(
        run_id=run_id,
        number=(before or 0) + 1,
        worker_id=worker_id,
        state=AttemptState.RUNNING,
        started_at=at,
        heartbeat_at=at,
        env_frames=0,
        updates=0,
    )
    session.add(attempt)
    session.flush()
    session.add(Event(at=at, kind=EventKind.CLAIMED, run_id=run_id, attempt_id=attempt.id))
    return attempt


def beat(session: Session, attempt_id: int, at: datetime, env_frames: int, updates: int) -> None:
    """Notes that an attempt is alive, and how far it is.

    Raises:
        LeaseLost: If the attempt is not running any more.
    """
    found = session.scalar(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.state == AttemptState.RUNNING)
        .values(heartbeat_at=at, env_frames=env_frames, updates=updates)
        .returning(Attempt.id)
        .execution_options(synchronize_session=False)
    )
    if found is None:
        raise lease_lost(session, attempt_id)


def end_attempt(
    session: Session,
    attempt_id: int,
    state: AttemptState,
    *,
    at: datetime,
    error: str | None = None,
    seconds: float | None = None,
    seen_at: datetime | None = None,
) -> int:
    """Ends a running attempt, moves its run on, and returns the run's row.

    Args:
        session: A write transaction.
        attempt_id: The attempt.
        state: What it ends as: its run becomes finished, failed or (released, lost) queued again;
            a run that was lost too often becomes failed.
        at: The present.
        error: Why, for every end but finishing.
        seconds: How long it took, when finishing.
        seen_at: Ends the attempt only if this is still its last heartbeat.

    Raises:
        LeaseLost: If the attempt is not running any more, or has been heard from since.
    """
    ending = update(Attempt).where(Attempt.id == attempt_id, Attempt.state == AttemptState.RUNNING)
    if seen_at is not None:
        ending = ending.where(Attempt.heartbeat_at == seen_at)
    run_id = session.scalar(
        ending.values(state=state, ended_at=at, error=error, seconds=seconds)
        .returning(Attempt.run_id)
        .execution_options(synchronize_session=False)
    )
    if run_id is None:
        raise lease_lost(session, attempt_id)
    lost = state == AttemptState.LOST
    after = (
        case((Run.losses + 1 >= MOST_LOSSES, RunState.FAILED), else_=RunState.QUEUED)
        if lost
        else _RUN_AFTER[state]
    )
    session.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(state=after, losses=Run.losses + lost)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        insert(Event).values(
            at=at, kind=_EVENT[state], run_id=run_id, attempt_id=attempt_id, detail=error
        )
    )
    return run_id


def lease_lost(session: Session, attempt_id: int) -> LeaseLost:
    """Why an attempt may not write any more."""
    attempt = session.get_one(Attempt, attempt_id)
    why = "finished" if attempt.error is None else f"{attempt.state.value}: {attempt.error}"
    return LeaseLost(
        f"Attempt {attempt.number} at run {attempt.run_id} may not write any more ({why})."
    )
