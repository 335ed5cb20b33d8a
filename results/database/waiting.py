"""What waits in the queue: how many runs may be taken now, and why the others may not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, case, func, select

from results.database.clock import Clock, utc_now
from results.database.engine import read
from results.database.lookup import study_named
from results.database.records import RunState
from results.database.schema import Run, StudyRun
from results.database.transitions import claimable, moment


@dataclass(frozen=True)
class Waiting:
    """The queued runs of a study, or of all.

    Attributes:
        ready: Those that a worker may take now.
        paused: Those that somebody holds back.
        delayed: The rest: they were lost and wait a while, or may not be begun any more.
        next_at: When the first of those that were lost may be taken again.
        largest_bytes: The most memory that one of those that are ready takes; 0 if unknown.
    """

    ready: int
    paused: int
    delayed: int
    next_at: datetime | None
    largest_bytes: int


def waiting(
    engine: Engine, study: str | None, *, begun_only: bool = False, clock: Clock = utc_now
) -> Waiting:
    """Counts what waits.

    Args:
        engine: The database.
        study: Name of a study; None for all.
        begun_only: Whether only runs that have been begun may be taken.
        clock: What tells the time.

    Raises:
        DatabaseError: If there is no such study, or the database cannot be read.
    """
    now = clock()
    with read(engine) as session:
        study_id = None if study is None else study_named(session, study).id
        ready = claimable(of_study=study_id is not None, begun_only=begun_only)
        queued = select(
            func.count(),
            func.coalesce(func.sum(case((ready, 1), else_=0)), 0),
            func.coalesce(func.sum(case((Run.paused, 1), else_=0)), 0),
            func.min(case((Run.not_before > now, Run.not_before))),
            func.coalesce(func.max(case((ready, Run.memory_bytes))), 0),
        ).where(Run.state == RunState.QUEUED)
        if study_id is not None:
            held = select(StudyRun.run_id).where(StudyRun.study_id == study_id)
            queued = queued.where(Run.id.in_(held))
        words = {**moment(now), "study_id": study_id}
        total, taken, paused, next_at, largest = session.execute(queued, words).one()
    return Waiting(taken, paused, total - taken - paused, next_at, largest)
