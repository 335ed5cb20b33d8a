"""Every change of state of a run: taken by a worker, and given up in one of four ways."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from results.database.columns import EventKind, Utc
from results.database.errors import LeaseLost
from results.database.records import AttemptState, RunState
from results.database.schema import (
    MOST_LOSSES,
    Attempt,
    Event,
    Run,
    Study,
    StudyArm,
    StudyRun,
)

_EVENT = {
    AttemptState.FINISHED: EventKind.FINISHED,
    AttemptState.FAILED: EventKind.FAILED,
    AttemptState.LOST: EventKind.LOST,
    AttemptState.RELEASED: EventKind.RELEASED,
}


class Ended(NamedTuple):
    """An attempt that was ended: at which run, and where that stands now."""

    run_id: int
    run_state: RunState


class Taken(NamedTuple):
    """A run that was taken: its row, what it is, and how the study that holds it calls its arm."""

    run_id: int
    identity: str
    game: str
    seed: int
    specification: str
    arm: str
    study: str


class Begun(NamedTuple):
    """An attempt that was begun: its row, and which attempt at its run it is."""

    id: int
    number: int


_ANY_ROOM = 2**63 - 1

BACK_OFF_SECONDS = (0, 10, 60, 300)
"""How long a run waits before it is tried again, by how often in a row it was lost or failed."""


def claimable(*, of_study: bool, begun_only: bool = False) -> ColumnElement[bool]:
    """Whether a run waits for a worker, and may be taken now; takes the values of `moment`.

    A run never waits longer than the longest back-off: where it should, the clock was set back.

    Args:
        of_study: Only runs of the study `study_id`.
        begun_only: Only runs that have been tried before.
    """
    conditions = [
        Run.state == RunState.QUEUED,
        Run.paused.is_(False),
        or_(Run.not_before.is_(None), not_(backs_off())),
    ]
    if of_study:
        held = select(StudyRun.run_id).where(
            StudyRun.study_id == bindparam("study_id", type_=Integer), StudyRun.run_id == Run.id
        )
        conditions.append(held.exists())
    if begun_only:
        conditions.append(select(Attempt.id).where(Attempt.run_id == Run.id).exists())
    return and_(*conditions)


def backs_off() -> ColumnElement[bool]:
    """Whether a run that was lost or failed waits a while; takes the values of `moment`."""
    return and_(
        Run.not_before > bindparam("now", type_=Utc),
        Run.not_before <= bindparam("latest", type_=Utc),
    )


def moment(now: datetime) -> dict[str, datetime]:
    """The present, as `claimable` and `backs_off` take it."""
    return {"now": now, "latest": now + timedelta(seconds=BACK_OFF_SECONDS[-1])}


def take_next_run(
    session: Session,
    study_id: int | None,
    now: datetime,
    *,
    begun_only: bool = False,
    room: int | None = None,
) -> Taken | None:
    """Marks the first run that may be taken as running, in one statement, and describes it.

    Runs that are known to take more memory than there is room (bytes) are passed over.
    """
    room = _ANY_ROOM if room is None else room
    words = {**moment(now), "study_id": study_id, "room": room}
    statement = _TAKE[study_id is not None, begun_only]
    connection = session.connection()
    row = connection.execute(statement, words).one_or_none()
    if row is None:
        return None
    words = {"run": row.id, "arm": row.arm_id, "study_id": study_id}
    arm, study = connection.execute(_NAMED[study_id is not None], words).one()
    return Taken(row.id, row.identity, row.game, row.seed, row.specification, arm, study)


def begin_attempt(session: Session, run_id: int, worker_id: int, at: datetime) -> Begun:
    """Adds the next attempt at a run that was taken."""
    connection = session.connection()
    begun = Begun(
        *connection.execute(_BEGIN, {"run": run_id, "worker_id": worker_id, "now": at}).one()
    )
    event = {"at": at, "kind": EventKind.CLAIMED, "run_id": run_id, "attempt_id": begun.id}
    connection.execute(_TELL, event)
    return begun


def _take(*, of_study: bool, begun_only: bool) -> ReturningUpdate[int, str, str, int, str, int]:
    """The statement of a claim.

    The highest priority is looked up by itself, so that both steps follow the index.
    """
    may_be_taken = and_(
        claimable(of_study=of_study, begun_only=begun_only),
        or_(Run.memory_bytes.is_(None), Run.memory_bytes <= bindparam("room", type_=Integer)),
    )
    highest = select(Run.priority).where(may_be_taken).order_by(Run.priority.desc()).limit(1)
    first = (
        select(Run.id)
        .where(may_be_taken, Run.priority == highest.correlate(None).scalar_subquery())
        .order_by(Run.position, Run.id)
        .limit(1)
    )
    return (
        update(Run)
        .where(Run.id == first.correlate(None).scalar_subquery())
        .values(state=RunState.RUNNING)
        .returning(
            Run.id,
            Run.identity,
            Run.game,
            Run.seed,
            Run.specification,
            Run.arm_id,
        )
    )


def _named(*, of_study: bool) -> Select[str, str]:
    """What its study says of a run: the study that was asked for, else the first that holds it."""
    said = (
        select(StudyArm.name, Study.name)
        .join_from(StudyRun, Study)
        .join(StudyArm, StudyArm.study_id == StudyRun.study_id)
        .where(StudyRun.run_id == bindparam("run"), StudyArm.arm_id == bindparam("arm"))
    )
    if of_study:
        said = said.where(Study.id == bindparam("study_id", type_=Integer))
    return said.order_by(Study.id).limit(1)


# Built once: a claim would spend most of its time on putting its statements together.
_TAKE = {
    (of_study, begun_only): _take(of_study=of_study, begun_only=begun_only)
    for of_study in (False, True)
    for begun_only in (False, True)
}
_NAMED = {of_study: _named(of_study=of_study) for of_study in (False, True)}
_BEGIN = (
    insert(Attempt)
    .values(
        run_id=bindparam("run"),
        number=select(func.coalesce(func.max(Attempt.number), 0) + 1)
        .where(Attempt.run_id == bindparam("run"))
        .scalar_subquery(),
        worker_id=bindparam("worker_id"),
        state=AttemptState.RUNNING,
        started_at=bindparam("now", type_=Utc),
        heartbeat_at=bindparam("now", type_=Utc),
        env_frames=0,
        updates=0,
    )
    .returning(Attempt.id, Attempt.number)
)
_TELL = insert(Event)


def beat(session: Session, attempt_id: int, at: datetime, env_frames: int, updates: int) -> bool:
    """Notes that an attempt is alive, and how far it is; returns whether its run shall pause.

    Raises:
        LeaseLost: If the attempt is not running any more.
    """
    found = session.scalar(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.state == AttemptState.RUNNING)
        .values(heartbeat_at=at, env_frames=env_frames, updates=updates)
        .returning(Attempt.run_id)
        .execution_options(synchronize_session=False)
    )
    if found is None:
        raise lease_lost(session, attempt_id)
    return session.scalars(select(Run.paused).where(Run.id == found)).one()


def end_attempt(
    session: Session,
    attempt_id: int,
    state: AttemptState,
    *,
    at: datetime,
    error: str | None = None,
    point: str | None = None,
    seconds: float | None = None,
    seen_at: datetime | None = None,
) -> Ended:
    """Ends a running attempt and moves its run on.

    A lost worker is no fault of its run: the run is queued again, and waits the longer the oftener
    that happens in a row. So is a run that failed, once; an exception that comes again at the
    same point, before the run has been saved anew, would come for ever. After MOST_LOSSES of
    either in a row a run is failed.

    Args:
        session: A write transaction.
        attempt_id: The attempt.
        state: What it ends as.
        at: The present.
        error: Why, for every end but finishing.
        point: What was raised, and where, when failing; None where trying again is no use.
        seconds: How long it took, when finishing.
        seen_at: Ends the attempt only if this is still its last heartbeat.

    Raises:
        LeaseLost: If the attempt is not running any more, or has been heard from since.
    """
    ending = update(Attempt).where(Attempt.id == attempt_id, Attempt.state == AttemptState.RUNNING)
    if seen_at is not None:
        ending = ending.where(Attempt.heartbeat_at == seen_at)
    run_id = session.scalar(
        ending.values(state=state, ended_at=at, error=error, seconds=seconds, point=point)
        .returning(Attempt.run_id)
        .execution_options(synchronize_session=False)
    )
    if run_id is None:
        raise lease_lost(session, attempt_id)
    losses = session.scalars(select(Run.losses).where(Run.id == run_id)).one()
    moved: dict[str, Any] = _run_after(session, run_id, attempt_id, state, point, losses, at)
    session.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(**moved)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        insert(Event).values(
            at=at, kind=_EVENT[state], run_id=run_id, attempt_id=attempt_id, detail=error
        )
    )
    return Ended(run_id, moved["state"])


def _run_after(
    session: Session,
    run_id: int,
    attempt_id: int,
    state: AttemptState,
    point: str | None,
    losses: int,
    at: datetime,
) -> dict[str, Any]:
    """What the row of a run holds after an attempt at it has ended so."""
    if state is AttemptState.FINISHED:
        return {"state": RunState.FINISHED, "paused": False}
    if state is AttemptState.RELEASED:
        return {"state": RunState.QUEUED}
    failed = {"state": RunState.FAILED, "paused": False}
    if state is AttemptState.FAILED and (
        point is None or _came_before(session, run_id, attempt_id, point, losses)
    ):
        return failed
    losses += 1
    if losses >= MOST_LOSSES:
        return {**failed, "losses": losses}
    wait = timedelta(seconds=BACK_OFF_SECONDS[losses - 1])
    return {"state": RunState.QUEUED, "losses": losses, "not_before": at + wait}


def _came_before(session: Session, run_id: int, attempt_id: int, point: str, losses: int) -> bool:
    """Whether one of the losses of a run since it was last saved was the same failure."""
    lost = (AttemptState.FAILED, AttemptState.LOST)
    latest = (
        select(Attempt.point)
        .where(Attempt.run_id == run_id, Attempt.id != attempt_id, Attempt.state.in_(lost))
        .order_by(Attempt.id.desc())
        .limit(losses)
    )
    return point in session.scalars(latest).all()


def lease_lost(session: Session, attempt_id: int) -> LeaseLost:
    """Why an attempt may not write any more."""
    attempt = session.get_one(Attempt, attempt_id)
    why = "finished" if attempt.error is None else f"{attempt.state.value}: {attempt.error}"
    return LeaseLost(
        f"Attempt {attempt.number} at run {attempt.run_id} may not write any more ({why})."
    )
