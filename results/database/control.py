"""What people do to a queue: cancel, retry, pause, resume and prioritize some of its runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.orm import Session

from results.database.clock import Clock, utc_now
from results.database.columns import EventKind
from results.database.engine import write
from results.database.errors import DatabaseError
from results.database.lookup import study_named
from results.database.records import AttemptState, RunState
from results.database.schema import Attempt, Event, Run, Study, StudyArm, StudyRun
from results.database.transitions import end_attempt

_SHARED = "asked for by other studies too (--run cancels one all the same)"


@dataclass(frozen=True)
class Selection:
    """Some runs: those that all of these words describe; a word that is empty describes all.

    Attributes:
        study: Name of a study; None for all.
        arms: Names of arms.
        games: Names of games.
        seeds: Seeds.
        runs: Ids of runs.
    """

    study: str | None = None
    arms: tuple[str, ...] = ()
    games: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    runs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Change:
    """What was done to the runs of a selection.

    Attributes:
        changed: Ids of the runs that were changed.
        left: How many were left as they are, by the reason.
    """

    changed: tuple[int, ...]
    left: Mapping[str, int] = field(default_factory=dict)


def cancel(
    engine: Engine,
    selection: Selection,
    *,
    states: Iterable[RunState] = (RunState.QUEUED, RunState.RUNNING),
    clock: Clock = utc_now,
) -> Change:
    """Takes runs out of the queue, and out of the hands of workers.

    Finished and failed runs stay what they are. So does a run that another study asks for too,
    unless it is named by its id. What a cancelled run has written is kept: retried, it goes on
    from its last checkpoint.

    Args:
        engine: The database.
        selection: Which runs.
        states: Only those that stand here.
        clock: What tells the time.

    Raises:
        DatabaseError: If a word of the selection describes nothing, or the database cannot be
            written.
    """
    now = clock()
    with write(engine) as session:
        chosen = _chosen(session, selection)
        shared = set() if selection.runs else _shared(session, chosen, selection.study)
        taken, left = _sort(chosen, states, {_SHARED: shared})
        for run_id in taken:
            if chosen[run_id] is RunState.RUNNING:
                _take_away(session, run_id, now)
        _change(session, taken, EventKind.CANCELLED, now, state=RunState.CANCELLED, paused=False)
    return Change(taken, left)


def retry(engine: Engine, selection: Selection, *, clock: Clock = utc_now) -> Change:
    """Queues failed and cancelled runs again, and lets those that wait after a loss go on at once.

    Raises:
        DatabaseError: As `cancel`.
    """
    now = clock()
    with write(engine) as session:
        chosen = _chosen(session, selection)
        waiting = set(
            session.scalars(
                select(Run.id).where(Run.state == RunState.QUEUED, Run.not_before > now)
            )
        )
        states = (RunState.FAILED, RunState.CANCELLED, RunState.QUEUED)
        idle = {
            run_id
            for run_id, state in chosen.items()
            if state is RunState.QUEUED and run_id not in waiting
        }
        taken, left = _sort(chosen, states, {"queued": idle})
        values = {"state": RunState.QUEUED, "losses": 0, "not_before": None}
        _change(session, taken, EventKind.RETRIED, now, **values)
    return Change(taken, left)


def pause(engine: Engine, selection: Selection, *, clock: Clock = utc_now) -> Change:
    """Holds runs back; those in the hands of workers are saved and handed back within seconds.

    Raises:
        DatabaseError: As `cancel`.
    """
    return _hold(engine, selection, EventKind.PAUSED, paused=True, clock=clock)


def resume(engine: Engine, selection: Selection, *, clock: Clock = utc_now) -> Change:
    """Lets paused runs be taken again.

    Raises:
        DatabaseError: As `cancel`.
    """
    return _hold(engine, selection, EventKind.RESUMED, paused=False, clock=clock)


def prioritize(
    engine: Engine, selection: Selection, priority: int, *, clock: Clock = utc_now
) -> Change:
    """Gives runs that have not ended a priority: those of a higher one are claimed first.

    Raises:
        DatabaseError: As `cancel`.
    """
    now = clock()
    with write(engine) as session:
        chosen = _chosen(session, selection)
        taken, left = _sort(chosen, (RunState.QUEUED, RunState.RUNNING), {})
        detail = f"priority {priority}"
        _change(session, taken, EventKind.PRIORITIZED, now, detail, priority=priority)
    return Change(taken, left)


def _hold(
    engine: Engine, selection: Selection, kind: EventKind, *, paused: bool, clock: Clock
) -> Change:
    now = clock()
    with write(engine) as session:
        chosen = _chosen(session, selection)
        same = set(session.scalars(select(Run.id).where(Run.paused.is_(paused))))
        states = (RunState.QUEUED, RunState.RUNNING)
        taken, left = _sort(chosen, states, {"paused" if paused else "not paused": same})
        _change(session, taken, kind, now, paused=paused)
    return Change(taken, left)


def _sort(
    chosen: Mapping[int, RunState], states: Iterable[RunState], kept: Mapping[str, set[int]]
) -> tuple[tuple[int, ...], dict[str, int]]:
    """The runs in one of these states that are not kept, and how many others there are, by why."""
    allowed = set(states)
    taken: list[int] = []
    left: dict[str, int] = {}
    for run_id, state in chosen.items():
        why = state.value if state not in allowed else None
        for word, runs in kept.items():
            if why is None and run_id in runs:
                why = word
        if why is None:
            taken.append(run_id)
        else:
            left[why] = left.get(why, 0) + 1
    return tuple(taken), left


def _chosen(session: Session, selection: Selection) -> dict[int, RunState]:
    """The runs of a selection and where each stands, in the order of the queue.

    Raises:
        DatabaseError: If a word describes nothing.
    """
    runs = (
        select(Run.id, Run.state, StudyArm.name, Run.game, Run.seed)
        .join_from(StudyRun, Run, StudyRun.run_id == Run.id)
        .join(
            StudyArm,
            (StudyArm.study_id == StudyRun.study_id) & (StudyArm.arm_id == Run.arm_id),
        )
        .order_by(Run.priority.desc(), Run.position, Run.id)
    )
    if selection.study is not None:
        runs = runs.where(StudyRun.study_id == study_named(session, selection.study).id)
    rows = session.execute(runs).all()
    where = "" if selection.study is None else f" of {selection.study}"
    _check("arm", selection.arms, {row.name for row in rows}, where)
    _check("game", selection.games, {row.game for row in rows}, where)
    _check("seed", selection.seeds, {row.seed for row in rows}, where)
    _check("run", selection.runs, {row.id for row in rows}, where)
    wanted = (selection.runs, selection.arms, selection.games, selection.seeds)
    return {
        row.id: row.state
        for row in rows
        if all(
            not words or value in words
            for words, value in zip(wanted, (row.id, row.name, row.game, row.seed), strict=True)
        )
    }


def _check(noun: str, words: Iterable[Any], known: set[Any], where: str) -> None:
    for word in words:
        if word not in known:
            texts = sorted(map(str, known), key=lambda text: (len(text), text))
            near = get_close_matches(str(word), texts, n=3, cutoff=0.5) or texts[:5]
            hint = f" The nearest: {', '.join(near)}." if near else ""
            raise DatabaseError(
                f"There is no {noun} {word} among the runs{where}.{hint} Nothing was changed."
            )


def _shared(session: Session, chosen: Iterable[int], study: str | None) -> set[int]:
    """Those of these runs that studies other than this one ask for too."""
    if study is None:
        return set()
    others = (
        select(StudyRun.run_id)
        .join_from(StudyRun, Study, StudyRun.study_id == Study.id)
        .where(Study.name != study)
    )
    return set(session.scalars(others)) & set(chosen)


def _take_away(session: Session, run_id: int, now: datetime) -> None:
    held = select(Attempt.id).where(
        Attempt.run_id == run_id, Attempt.state == AttemptState.RUNNING
    )
    attempt_id = session.scalars(held).one()
    end_attempt(session, attempt_id, AttemptState.RELEASED, at=now, error="the run was cancelled")


def _change(
    session: Session,
    run_ids: Iterable[int],
    kind: EventKind,
    now: datetime,
    detail: str | None = None,
    /,
    **values: Any,
) -> None:
    events = [{"at": now, "kind": kind, "run_id": run_id, "detail": detail} for run_id in run_ids]
    for event in events:
        session.execute(
            update(Run)
            .where(Run.id == event["run_id"])
            .values(**values)
            .execution_options(synchronize_session=False)
        )
    if events:
        session.execute(insert(Event), events)
