"""What waits in the queue: how many runs may be taken now, and why the others may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, and_, case, func, select
from sqlalchemy.orm import Session

from results.database.clock import Clock, utc_now
from results.database.engine import read
from results.database.lookup import study_named
from results.database.records import RunState
from results.database.schema import Run, StudyRun
from results.database.transitions import backs_off, claimable, moment


@dataclass(frozen=True)
class Waiting:
    """The queued runs of a study, or of all.

    Attributes:
        ready_by_bytes: How many may be taken by a worker now, by the memory that one takes; 0
            where nobody knows.
        paused: How many somebody holds back.
        delayed: How many others were lost, and wait a while.
        next_at: When the first of these may be taken again.
    """

    ready_by_bytes: Mapping[int, int]
    paused: int
    delayed: int
    next_at: datetime | None

    @property
    def ready(self) -> int:
        """How many may be taken by a worker now."""
        return sum(self.ready_by_bytes.values())

    def ready_within(self, room: int) -> int:
        """How many may be taken by a worker for which so many bytes are reserved."""
        return sum(runs for size, runs in self.ready_by_bytes.items() if size <= room)


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
    with read(engine) as session:
        study_id, words = _asked(session, study, clock())
        ready = claimable(of_study=study_id is not None, begun_only=begun_only)
        size = func.coalesce(Run.memory_bytes, 0)
        by_size = session.execute(
            select(size, func.count()).where(ready).group_by(size).order_by(size), words
        ).all()
        delayed = and_(Run.paused.is_(False), backs_off())
        queued = select(
            func.count(case((Run.paused, 1))),
            func.count(case((delayed, 1))),
            func.min(case((delayed, Run.not_before))),
        ).where(Run.state == RunState.QUEUED)
        if study_id is not None:
            held = select(StudyRun.run_id).where(StudyRun.study_id == study_id)
            queued = queued.where(Run.id.in_(held))
        return Waiting(dict(by_size), *session.execute(queued, words).one())


def ready_beyond(
    engine: Engine,
    study: str | None,
    room: int,
    *,
    begun_only: bool = False,
    clock: Clock = utc_now,
) -> dict[int, int]:
    """The runs that wait to be taken and need more memory: their ids, and how many bytes each.

    Args:
        engine: The database.
        study: Name of a study; None for all.
        room: How many bytes there are.
        begun_only: Whether only runs that have been begun may be taken.
        clock: What tells the time.

    Raises:
        DatabaseError: If there is no such study, or the database cannot be read.
    """
    with read(engine) as session:
        study_id, words = _asked(session, study, clock())
        ready = claimable(of_study=study_id is not None, begun_only=begun_only)
        larger = select(Run.id, Run.memory_bytes).where(ready, Run.memory_bytes > room)
        rows = session.execute(larger.order_by(Run.id), words)
        return {run_id: size for run_id, size in rows if size is not None}


def _asked(
    session: Session, study: str | None, now: datetime
) -> tuple[int | None, dict[str, object]]:
    """The id of a study, and the values that `claimable` takes."""
    study_id = None if study is None else study_named(session, study).id
    return study_id, {**moment(now), "study_id": study_id}
