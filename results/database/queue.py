"""Who works on what: workers, claims, and runs taken back from the dead.

A worker holds at most one run. Its attempt's id is a fence: every later write names it and is
refused (`LeaseLost`) once the attempt has ended, however it ended. So a run that was taken from a
worker too early costs time, never data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import Engine, bindparam, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from results.database import checkpoints
from results.database.attempts import AttemptWriter
from results.database.clock import Clock, utc_now
from results.database.engine import read, write
from results.database.errors import LeaseLost
from results.database.lookup import study_named
from results.database.processes import (
    ProcessRecord,
    process_is_alive,
    this_machine,
    this_process,
)
from results.database.provenance import Origin, put_code, put_packages
from results.database.records import AttemptState, Claim, Released
from results.database.schema import (
    MOST_LOSSES,
    Attempt,
    Run,
    Study,
    Worker,
)
from results.database.transitions import begin_attempt, end_attempt, take_next_run

__all__ = [
    "LEASE_SECONDS",
    "AttemptWriter",
    "LeaseLost",
    "begin_leases_anew",
    "claim",
    "end_worker",
    "holders",
    "lost_runs",
    "register_worker",
    "release_dead",
    "release_killed",
]

_WENT_ON = "its worker went on to another run"

LEASE_SECONDS = 90  # an attempt of another machine that is silent for longer has lost its run


def register_worker(
    engine: Engine,
    *,
    device: str,
    slot: int,
    process: ProcessRecord | None = None,
    origin: Origin | None = None,
    clock: Clock = utc_now,
) -> int:
    """Writes down a worker and returns its id.

    Args:
        engine: The database.
        device: What it computes on, for example `cpu` or `cuda:0`.
        slot: Which of the device's slots it fills.
        process: The worker's process; the calling one where not given.
        origin: With what, and by which command, it trains; nothing is known where not given.
        clock: What tells the time.

    Raises:
        DatabaseError: If the database cannot be written.
    """
    process = process if process is not None else this_process()
    with write(engine) as session:
        worker = Worker(
            host=process.host,
            machine=process.machine,
            pid=process.pid,
            process_started_at=process.started_at,
            device=device,
            slot=slot,
            registered_at=clock(),
            code_id=None if origin is None else put_code(session, origin.code),
            packages_id=None if origin is None else put_packages(session, origin.packages),
            device_model=None if origin is None else origin.device_model,
            driver=None if origin is None else origin.driver,
            command=None if origin is None else origin.command,
        )
        session.add(worker)
        session.flush()
        return worker.id


def end_worker(engine: Engine, worker_id: int, *, clock: Clock = utc_now) -> None:
    """Writes down that a worker has gone; a run that it still held is queued again.

    Raises:
        DatabaseError: If the database cannot be written.
    """
    now = clock()
    with write(engine) as session:
        _release_held(session, worker_id, "its worker ended", now)
        session.execute(update(Worker).where(Worker.id == worker_id).values(ended_at=now))


def claim(
    engine: Engine,
    worker_id: int,
    *,
    study: str | None = None,
    begun_only: bool = False,
    room: int | None = None,
    clock: Clock = utc_now,
) -> Claim | None:
    """Takes the next queued run that fits, by priority, then in the order of submission.

    A run that the worker held until now, and did not end, is queued again.

    Args:
        engine: The database.
        worker_id: Who asks.
        study: Takes only runs of this study.
        begun_only: Takes only runs that have been tried before.
        room: Takes only runs that need no more memory than these bytes, as far as that is known;
            None takes any.
        clock: What tells the time.

    Returns:
        The run, or None when nothing may be taken: runs that are paused, or that wait because
        they were lost, may not.

    Raises:
        DatabaseError: If there is no such study, or the database cannot be written.
    """
    now = clock()
    try:
        return _claim(engine, worker_id, study, now, begun_only=begun_only, room=room)
    except IntegrityError:  # an index lets no worker hold two runs: asking first would cost all
        with write(engine) as session:
            _release_held(session, worker_id, _WENT_ON, now)
        return _claim(engine, worker_id, study, now, begun_only=begun_only, room=room)


def release_dead(
    engine: Engine,
    *,
    now: datetime | None = None,
    machine: str | None = None,
    how_died: Mapping[int, str] = MappingProxyType({}),
    process_is_alive: Callable[[int, float], bool] = process_is_alive,
) -> list[Released]:
    """Queues again the runs whose worker is gone.

    A process of this machine that has ended (or whose pid is another process's now) loses its run
    at once. One that is alive keeps it, even when it has been silent for longer than the lease: a
    laptop that slept wakes up with all its workers, and none of them should begin anew; a worker
    that hangs is ended by killing it. Of processes on other machines, and in other containers,
    only heartbeats are known: they lose their run when the lease is over, which begins anew where
    the clock was set back. A run that was lost five times becomes failed.

    Args:
        engine: The database.
        now: The present.
        machine: The machine whose processes can be looked at; this one where not given.
        how_died: How processes of that machine ended, by their ids, as far as that is known.
        process_is_alive: Whether the process with this pid and this start is running.

    Raises:
        DatabaseError: If the database cannot be read or written.
    """
    present = now if now is not None else utc_now()
    here = machine if machine is not None else this_machine()
    begin_leases_anew(engine, present)
    with read(engine) as session:
        held = _in_hand(session)
    reasons = [(one, _why_dead(one, present, here, process_is_alive, how_died)) for one in held]
    return [
        released
        for one, reason in reasons
        if reason is not None and (released := _take_back(engine, one, reason, present))
    ]


def lost_runs(engine: Engine) -> dict[int, str]:
    """The runs that `release_dead` would queue again now, by their ids, and why; changes nothing.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    now, here = utc_now(), this_machine()
    with read(engine) as session:
        held = _in_hand(session)
    reasons = {one.run_id: _why_dead(one, now, here, process_is_alive) for one in held}
    return {run_id: reason for run_id, reason in reasons.items() if reason is not None}


def begin_leases_anew(engine: Engine, now: datetime) -> None:
    """Lets the leases begin now whose last heartbeat lies ahead: the clock was set back since.

    Who lives is heard from again before such a lease is over, who is dead is not; until then
    nobody can tell them apart. Any schema will do.

    Args:
        engine: The database.
        now: The present. A heartbeat that is ahead by no more than a lease is left as it is.

    Raises:
        DatabaseError: If the database cannot be read or written.
    """
    ahead = (
        Attempt.state == AttemptState.RUNNING,
        Attempt.heartbeat_at > now + timedelta(seconds=LEASE_SECONDS),
    )
    with read(engine) as session:
        if session.scalars(select(Attempt.id).where(*ahead).limit(1)).first() is None:
            return
    with write(engine) as session:
        session.execute(update(Attempt).where(*ahead).values(heartbeat_at=now))


def holders(session: Session) -> list[str]:
    """The processes that have runs in hand and are not known to be dead; of any schema."""
    now, here = utc_now(), this_machine()
    return [
        f"process {one.pid} on {one.host}"
        for one in _in_hand(session)
        if _why_dead(one, now, here, process_is_alive) is None
    ]


def release_killed(engine: Engine, pid: int, reason: str, *, clock: Clock = utc_now) -> list[int]:
    """Queues again the run of a process of this machine that was ended on purpose.

    It is handed back, not lost: nobody takes that for a fault of the run.

    Args:
        engine: The database.
        pid: Of the process, which has ended and has not been waited for by anybody else.
        reason: Why it was ended.
        clock: What tells the time.

    Raises:
        DatabaseError: If the database cannot be written.
    """
    now = clock()
    held = (
        select(Attempt.id)
        .join_from(Attempt, Worker)
        .where(
            Attempt.state == AttemptState.RUNNING,
            Worker.machine == this_machine(),
            Worker.pid == pid,
        )
    )
    with write(engine) as session:
        return [
            end_attempt(session, attempt_id, AttemptState.RELEASED, at=now, error=reason).run_id
            for attempt_id in session.scalars(held).all()
        ]


class _Held(NamedTuple):
    """A run in a worker's hand."""

    attempt_id: int
    run_id: int
    heartbeat_at: datetime
    losses: int
    machine: str
    host: str
    pid: int
    process_started_at: float


def _in_hand(session: Session) -> list[_Held]:
    """The runs that workers hold, in columns that every schema has."""
    query = (
        select(
            Attempt.id,
            Attempt.run_id,
            Attempt.heartbeat_at,
            Run.losses,
            Worker.machine,
            Worker.host,
            Worker.pid,
            Worker.process_started_at,
        )
        .join_from(Attempt, Worker)
        .join(Run, Run.id == Attempt.run_id)
        .where(Attempt.state == AttemptState.RUNNING)
        .order_by(Attempt.id)
    )
    return [_Held(*row) for row in session.execute(query)]


def _why_dead(
    held: _Held,
    now: datetime,
    here: str,
    is_alive: Callable[[int, float], bool],
    how_died: Mapping[int, str] = MappingProxyType({}),
) -> str | None:
    """Why a worker must be taken for dead, or None if it may be alive."""
    if held.machine == here:
        if is_alive(held.pid, held.process_started_at):
            return None
        if held.pid in how_died:
            return f"the process {held.pid} on {held.host} died ({how_died[held.pid]})"
        return f"the process {held.pid} on {held.host} ended without a word"
    silence = (now - held.heartbeat_at).total_seconds()
    if silence <= LEASE_SECONDS:
        return None
    return f"the process {held.pid} on {held.host} was silent for {silence:.0f} s"


def _take_back(engine: Engine, held: _Held, reason: str, now: datetime) -> Released | None:
    """Ends an attempt as lost, unless it has been heard from meanwhile."""
    if held.losses + 1 >= MOST_LOSSES:
        reason = f"{reason}; the run was lost {MOST_LOSSES} times in a row and is not tried again"
    try:
        with write(engine) as session:
            ended = end_attempt(
                session,
                held.attempt_id,
                AttemptState.LOST,
                at=now,
                error=reason,
                seen_at=held.heartbeat_at,
            )
    except LeaseLost:
        return None
    return Released(ended.run_id, reason)


_HELD = select(Attempt.id).where(
    Attempt.worker_id == bindparam("worker_id"), Attempt.state == AttemptState.RUNNING
)
_STUDY_ID = select(Study.id).where(Study.name == bindparam("study"))


def _claim(
    engine: Engine,
    worker_id: int,
    study: str | None,
    now: datetime,
    *,
    begun_only: bool,
    room: int | None,
) -> Claim | None:
    """Takes a run in one transaction.

    Raises:
        IntegrityError: If the worker holds one.
    """
    with write(engine) as session:
        study_id = None if study is None else _study_id(session, study)
        taken = take_next_run(session, study_id, now, begun_only=begun_only, room=room)
        if taken is None and _release_held(session, worker_id, _WENT_ON, now):
            taken = take_next_run(session, study_id, now, begun_only=begun_only, room=room)
        if taken is None:
            return None
        begun = begin_attempt(session, taken.run_id, worker_id, now)
        left = checkpoints.of_run(session, taken.run_id) if begun.number > 1 else ()
    return Claim(**taken._asdict(), attempt_id=begun.id, number=begun.number, checkpoints=left)


def _study_id(session: Session, study: str) -> int:
    found = session.connection().execute(_STUDY_ID, {"study": study}).scalar()
    return found if found is not None else study_named(session, study).id


def _release_held(session: Session, worker_id: int, reason: str, now: datetime) -> bool:
    """Queues the run that a worker holds again; whether it held one."""
    held = session.connection().execute(_HELD, {"worker_id": worker_id}).scalars().all()
    for attempt_id in held:
        end_attempt(session, attempt_id, AttemptState.RELEASED, at=now, error=reason)
    return bool(held)
