"""Who works on what: workers, claims, and runs taken back from the dead.

A worker holds at most one run. Its attempt's id is a fence: every later write names it and is
refused (`LeaseLost`) once the attempt has ended, however it ended. So a run that was taken from a
worker too early costs time, never data.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Engine, select, update
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
from results.database.records import AttemptState, Claim, Released
from results.database.schema import (
    MOST_LOSSES,
    Attempt,
    Run,
    Study,
    StudyArm,
    StudyRun,
    Worker,
)
from results.database.transitions import begin_attempt, end_attempt, take_next_run

__all__ = [
    "LEASE_SECONDS",
    "AttemptWriter",
    "LeaseLost",
    "claim",
    "end_worker",
    "register_worker",
    "release_dead",
]

LEASE_SECONDS = 90  # an attempt of another machine that is silent for longer has lost its run


def register_worker(
    engine: Engine,
    *,
    device: str,
    slot: int,
    process: ProcessRecord | None = None,
    clock: Clock = utc_now,
) -> int:
    """Writes down a worker and returns its id.

    Args:
        engine: The database.
        device: What it computes on, for example `cpu` or `cuda:0`.
        slot: Which of the device's slots it fills.
        process: The worker's process; the calling one where not given.
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
    engine: Engine, worker_id: int, *, study: str | None = None, clock: Clock = utc_now
) -> Claim | None:
    """Takes the next queued run, by priority, then in the order of submission.

    A run that the worker held until now, and did not end, is queued again.

    Args:
        engine: The database.
        worker_id: Who asks.
        study: Takes only runs of this study.
        clock: What tells the time.

    Returns:
        The run, or None when nothing is queued.

    Raises:
        DatabaseError: If there is no such study, or the database cannot be written.
    """
    now = clock()
    with write(engine) as session:
        _release_held(session, worker_id, "its worker went on to another run", now)
        study_id = None if study is None else study_named(session, study).id
        run_id = take_next_run(session, study_id)
        if run_id is None:
            return None
        attempt = begin_attempt(session, run_id, worker_id, now)
        return _claim(session, attempt, study_id)


def release_dead(
    engine: Engine,
    *,
    now: datetime | None = None,
    machine: str | None = None,
    process_is_alive: Callable[[int, float], bool] = process_is_alive,
) -> list[Released]:
    """Queues again the runs whose worker is gone.

    A process of this machine that has ended (or whose pid is another process's now) loses its run
    at once. One that is alive keeps it, even when it has been silent for longer than the lease: a
    laptop that slept wakes up with all its workers, and none of them should begin anew; a worker
    that hangs is ended by killing it. Of processes on other machines, and in other containers,
    only heartbeats are known: they lose their run when the lease is over. A run that was lost
    five times becomes failed.

    Args:
        engine: The database.
        now: The present.
        machine: The machine whose processes can be looked at; this one where not given.
        process_is_alive: Whether the process with this pid and this start is running.

    Raises:
        DatabaseError: If the database cannot be read or written.
    """
    present = now if now is not None else utc_now()
    here = machine if machine is not None else this_machine()
    query = (
        select(
            Attempt.id,
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
    with read(engine) as session:
        held = [_Held(*row) for row in session.execute(query)]
    reasons = [(one, _why_dead(one, present, here, process_is_alive)) for one in held]
    return [
        released
        for one, reason in reasons
        if reason is not None and (released := _take_back(engine, one, reason, present))
    ]


class _Held(NamedTuple):
    """A run in a worker's hand."""

    attempt_id: int
    heartbeat_at: datetime
    losses: int
    machine: str
    host: str
    pid: int
    process_started_at: float


def _why_dead(
    held: _Held, now: datetime, here: str, is_alive: Callable[[int, float], bool]
) -> str | None:
    """Why a worker must be taken for dead, or None if it may be alive."""
    if held.machine == here:
        if is_alive(held.pid, held.process_started_at):
            return None
        return f"the process {held.pid} on {held.host} ended without a word"
    silence = (now - held.heartbeat_at).total_seconds()
    if silence <= LEASE_SECONDS:
        return None
    return f"the process {held.pid} on {held.host} was silent for {silence:.0f} s"


def _take_back(engine: Engine, held: _Held, reason: str, now: datetime) -> Released | None:
    """Ends an attempt as lost, unless it has been heard from meanwhile."""
    if held.losses + 1 >= MOST_LOSSES:
        reason = f"{reason}; the run was lost {MOST_LOSSES} times and is not tried again"
    try:
        with write(engine) as session:
            run_id = end_attempt(
                session,
                held.attempt_id,
                AttemptState.LOST,
                at=now,
                error=reason,
                seen_at=held.heartbeat_at,
            )
    except LeaseLost:
        return None
    return Released(run_id, reason)


def _release_held(session: Session, worker_id: int, reason: str, now: datetime) -> None:
    held = select(Attempt.id).where(
        Attempt.worker_id == worker_id, Attempt.state == AttemptState.RUNNING
    )
    for attempt_id in session.scalars(held).all():
        end_attempt(session, attempt_id, AttemptState.RELEASED, at=now, error=reason)


def _claim(session: Session, attempt: Attempt, study_id: int | None) -> Claim:
    """Describes a run to the worker that took it."""
    query = (
        select(Run, Study.name, StudyArm.name)
        .join_from(Run, StudyRun)
        .join(Study)
        .join(StudyArm, (StudyArm.study_id == Study.id) & (StudyArm.arm_id == Run.arm_id))
        .where(Run.id == attempt.run_id)
        .order_by(Study.id)
        .limit(1)
    )
    if study_id is not None:
        query = query.where(Study.id == study_id)
    run, study, arm = session.execute(query).one()
    return Claim(
        run_id=run.id,
        attempt_id=attempt.id,
        number=attempt.number,
        identity=run.identity,
        game=run.game,
        seed=run.seed,
        arm=arm,
        study=study,
        specification=run.specification,
        checkpoints=checkpoints.of_run(session, run.id),
    )
