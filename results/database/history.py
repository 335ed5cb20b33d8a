"""What happened to a run: its events and attempts, in the order of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, text

from results.database.engine import read
from results.database.errors import DatabaseError


@dataclass(frozen=True)
class Happening:
    """One event of a run.

    Attributes:
        id: Its row; later events have higher ones.
        at: When.
        kind: What happened, as `EventKind` spells it.
        attempt: Which attempt at the run; None for what concerns none.
        place: Device, host and process of the attempt's worker; None likewise.
        env_frames: How far the attempt was; None likewise.
        detail: Why, or a whole traceback.
    """

    id: int
    at: datetime
    kind: str
    attempt: int | None
    place: str | None
    env_frames: int | None
    detail: str | None


@dataclass(frozen=True)
class Unlucky:
    """A run that was tried again, and how many of its attempts were lost or failed."""

    run_id: int
    losses: int


def happenings(engine: Engine, run_id: int, *, after: int = 0) -> list[Happening]:
    """The events of a run whose rows come after one.

    Raises:
        DatabaseError: If there is no such run, or the database cannot be read.
    """
    query = text(
        "SELECT event.id, event.at, event.kind, attempt.number, "
        "worker.device || ' on ' || worker.host || ':' || worker.pid, attempt.env_frames, "
        "event.detail FROM event LEFT JOIN attempt ON attempt.id = event.attempt_id "
        "LEFT JOIN worker ON worker.id = attempt.worker_id "
        "WHERE event.run_id = :run AND event.id > :after ORDER BY event.id"
    )
    with read(engine) as session:
        if session.scalar(text("SELECT 1 FROM run WHERE id = :run"), {"run": run_id}) is None:
            raise DatabaseError(
                f"There is no run {run_id} in {engine.url.database}. `ablate status STUDY` shows "
                "the runs of a study with their numbers; --db or ABLATE_DB names another database."
            )
        rows = session.execute(query, {"run": run_id, "after": after}).all()
    return [
        Happening(row[0], datetime.fromisoformat(row[1]).replace(tzinfo=UTC), *row[2:])
        for row in rows
    ]


def unlucky_runs(engine: Engine, study: str) -> list[Unlucky]:
    """The runs of a study that are not finished and have lost or failed attempts, worst first.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    query = text(
        "SELECT attempt.run_id, count(*) AS losses FROM attempt "
        "JOIN study_run ON study_run.run_id = attempt.run_id "
        "JOIN study ON study.id = study_run.study_id "
        "JOIN run ON run.id = attempt.run_id "
        "WHERE study.name = :study AND attempt.state IN ('lost', 'failed') "
        "AND run.state IN ('queued', 'running') "
        "GROUP BY attempt.run_id ORDER BY losses DESC, attempt.run_id"
    )
    with read(engine) as session:
        return [Unlucky(*row) for row in session.execute(query, {"study": study})]


def progress(engine: Engine, run_id: int) -> tuple[str, tuple[int, int]]:
    """Where a run stands: its state, and the env_frames and updates of its latest attempt.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    query = text(
        "SELECT run.state, coalesce(attempt.env_frames, 0), coalesce(attempt.updates, 0) FROM run "
        "LEFT JOIN attempt ON attempt.run_id = run.id WHERE run.id = :run "
        "ORDER BY attempt.id DESC LIMIT 1"
    )
    with read(engine) as session:
        state, env_frames, updates = session.execute(query, {"run": run_id}).one()
    return state, (env_frames, updates)
