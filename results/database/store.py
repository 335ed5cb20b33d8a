"""Submission: what a study asks for, written once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Engine, func, insert, select, update
from sqlalchemy.orm import Session

from results.database.clock import Clock, utc_now
from results.database.columns import EventKind
from results.database.engine import read, write
from results.database.errors import DatabaseError, StudyConflict
from results.database.provenance import CodeRecord, put_code
from results.database.records import (
    DECLARED,
    AttemptState,
    NormalizationRow,
    RunRecord,
    RunState,
    RunStatus,
    StudyRecord,
    Submission,
)
from results.database.schema import Arm, Attempt, Event, Normalization, Run, Study, StudyRun
from results.database.studies import arm_identities, insert_study

__all__ = ["StudyConflict", "existing_runs", "measured_seconds", "put_normalization", "submit"]

_BATCH = 500  # SQLite takes at least 999 parameters in one statement


def submit(
    engine: Engine,
    study: StudyRecord,
    runs: Sequence[RunRecord],
    *,
    retry_failed: bool = False,
    code: CodeRecord | None = None,
    clock: Clock = utc_now,
) -> Submission:
    """Writes a study and queues those of its runs that nobody has asked for yet.

    A run that exists, whichever study asked for it first, is shared. Cancelled runs are queued
    again. Submitting the same contents again adds nothing.

    Args:
        engine: The database.
        study: The contents of the study.
        runs: Its runs in the order in which they are to be worked on, each identity once.
        retry_failed: Whether failed runs are queued again.
        code: What resolved the study; kept with the new runs.
        clock: What tells the time.

    Raises:
        StudyConflict: If the name is taken by other contents, or by the same contents that an
            earlier version of the agent resolved to other arms.
        DatabaseError: If the database cannot be written; nothing is left behind then.
    """
    by_identity = {run.identity: run for run in runs}
    if len(by_identity) != len(runs):
        raise ValueError(f"study {study.name}: the same run is given twice")
    now = clock()
    with write(engine) as session:
        study_id = _study_id(session, study, now)
        found = _states(session, by_identity)
        new = [run for run in runs if run.identity not in found]
        code_id = None if code is None or not new else put_code(session, code)
        _insert_runs(session, study, runs, new, now, code_id)
        again = {RunState.CANCELLED, RunState.FAILED} if retry_failed else {RunState.CANCELLED}
        retried = [run_id for run_id, state in found.values() if state in again]
        _queue_again(session, retried, now)
        _hold_runs(session, study_id, runs, now)
    kept = Counter(state for _, state in found.values() if state not in again)
    return Submission(
        new=len(new),
        reused_finished=kept[RunState.FINISHED],
        already_queued=kept[RunState.QUEUED],
        running=kept[RunState.RUNNING],
        failed=kept[RunState.FAILED],
        retried=len(retried),
    )


def existing_runs(engine: Engine, identities: Iterable[str]) -> dict[str, RunStatus]:
    """What is known of those of these runs that exist, by identity.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    attempts = select(func.count()).where(Attempt.run_id == Run.id).scalar_subquery()
    seconds = (
        select(Attempt.seconds)
        .where(
            Attempt.run_id == Run.id,
            Attempt.state == AttemptState.FINISHED,
            Attempt.parent_id.is_(None),
        )
        .scalar_subquery()
    )
    query = select(Run.identity, Run.state, seconds, attempts)
    with read(engine) as session:
        return {
            identity: RunStatus(state=state, seconds=took, attempts=number)
            for batch in _batches(identities)
            for identity, state, took, number in session.execute(
                query.where(Run.identity.in_(batch))
            )
        }


def measured_seconds(engine: Engine) -> dict[tuple[str, str], float]:
    """How long finished runs took on average, by arm identity and game.

    A run that went on from a checkpoint tells nothing: its last attempt did only a part of it.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    query = (
        select(Arm.identity, Run.game, func.avg(Attempt.seconds))
        .join_from(Attempt, Run)
        .join(Arm)
        .where(Attempt.state == AttemptState.FINISHED, Attempt.parent_id.is_(None))
        .group_by(Arm.identity, Run.game)
    )
    with read(engine) as session:
        return {(arm, game): mean for arm, game, mean in session.execute(query)}


def put_normalization(engine: Engine, table_id: str, rows: Iterable[NormalizationRow]) -> None:
    """Writes a table of random and human returns; `v_scores` normalises with it.

    Games that the table lacks are added to it; what it holds never changes.

    Raises:
        DatabaseError: If the database holds other values under the same table id.
    """
    wanted = {_game_key(table_id, row.game): row for row in rows}
    here = Normalization.table_id == table_id
    with write(engine) as session:
        found = {row.game_key: row for row in session.scalars(select(Normalization).where(here))}
        changed = [
            row.game
            for key, row in wanted.items()
            if key in found
            and (found[key].random_return, found[key].human_return) != (row.random, row.human)
        ]
        if changed:
            raise DatabaseError(
                f"The database {engine.url.database} holds other values in the normalization "
                f"table {table_id} for {', '.join(changed)}. Scores under one name must stay "
                "comparable: give the changed table or game another name, or use a new database."
            )
        session.add_all(
            Normalization(
                table_id=table_id,
                game_key=key,
                game=row.game,
                random_return=row.random,
                human_return=row.human,
            )
            for key, row in wanted.items()
            if key not in found
        )


def _game_key(table_id: str, game: str) -> str:
    """How a table finds a game: one of versions counts, where games declare for themselves."""
    if table_id == DECLARED:
        return game.lower()
    return "".join(letter for letter in game.lower() if "a" <= letter <= "z")


def _batches(values: Iterable[str]) -> Iterator[list[str]]:
    listed = list(values)
    return (listed[start : start + _BATCH] for start in range(0, len(listed), _BATCH))


def _study_id(session: Session, study: StudyRecord, now: datetime) -> int:
    """The row of the study, made if its name is new."""
    row = session.scalar(select(Study).where(Study.name == study.name))
    if row is None:
        return insert_study(session, study, now)
    path = session.get_bind().engine.url.database
    if row.contents_sha256 != study.contents_sha256:
        raise StudyConflict(
            f"The name {study.name} is taken in {path} by a study with other contents, submitted "
            f"{row.created_at:%Y-%m-%d %H:%M} UTC. Give the changed study another name (runs that "
            "both ask for are shared), or name another database with --db or ABLATE_DB."
        )
    if arm_identities(session, row.id) != {arm.name: arm.identity for arm in study.arms}:
        raise StudyConflict(
            f"The study {study.name} was submitted to {path} on {row.created_at:%Y-%m-%d %H:%M} "
            "UTC with the same contents, but this version of ablate resolves its arms to other "
            "agents: their results must not be mixed. Give the study another name, or name "
            "another database with --db or ABLATE_DB."
        )
    return row.id


def _states(session: Session, identities: Iterable[str]) -> dict[str, tuple[int, RunState]]:
    query = select(Run.identity, Run.id, Run.state)
    return {
        identity: (run_id, state)
        for batch in _batches(identities)
        for identity, run_id, state in session.execute(query.where(Run.identity.in_(batch)))
    }


def _insert_runs(
    session: Session,
    study: StudyRecord,
    runs: Sequence[RunRecord],
    new: Sequence[RunRecord],
    now: datetime,
    code_id: int | None,
) -> None:
    arm_ids = _arm_ids(session, study)
    position = {run.identity: index for index, run in enumerate(runs)}
    rows = [
        {
            "identity": run.identity,
            "arm_id": arm_ids[run.arm],
            "game": run.game,
            "seed": run.seed,
            "specification": run.specification,
            "state": RunState.QUEUED,
            "priority": 0,
            "position": position[run.identity],
            "losses": 0,
            "created_at": now,
            "paused": False,
            "memory_bytes": run.memory_bytes,
            "code_id": code_id,
        }
        for run in new
    ]
    if rows:
        session.execute(insert(Run), rows)


def _arm_ids(session: Session, study: StudyRecord) -> Mapping[str, int]:
    """The rows of the arms, by their names in this study."""
    names = {arm.identity: arm.name for arm in study.arms}
    query = select(Arm.identity, Arm.id)
    return {
        names[identity]: arm_id
        for batch in _batches(names)
        for identity, arm_id in session.execute(query.where(Arm.identity.in_(batch)))
    }


def _queue_again(session: Session, run_ids: Sequence[int], now: datetime) -> None:
    for run_id in run_ids:
        session.execute(
            update(Run)
            .where(Run.id == run_id)
            .values(state=RunState.QUEUED, losses=0, not_before=None)
        )
        session.add(Event(at=now, kind=EventKind.RETRIED, run_id=run_id))


def _hold_runs(session: Session, study_id: int, runs: Sequence[RunRecord], now: datetime) -> None:
    """Makes the study hold the runs, behind those that it holds already."""
    held = dict(
        session.execute(
            select(StudyRun.run_id, StudyRun.position).where(StudyRun.study_id == study_id)
        ).all()
    )
    run_ids = _states(session, (run.identity for run in runs))
    missing = [
        run_id for run_id in (run_ids[run.identity][0] for run in runs) if run_id not in held
    ]
    if not missing:
        return
    first = max(held.values(), default=-1) + 1
    session.execute(
        insert(StudyRun),
        [
            {"study_id": study_id, "run_id": run_id, "position": position}
            for position, run_id in enumerate(missing, start=first)
        ],
    )
    session.execute(
        insert(Event),
        [
            {"at": now, "kind": EventKind.SUBMITTED, "run_id": run_id, "study_id": study_id}
            for run_id in missing
        ],
    )
