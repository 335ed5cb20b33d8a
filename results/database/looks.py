"""Looks: when the results of a study decided how many seeds it gets, and by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Engine, func, insert, select

from results.database.clock import Clock, utc_now
from results.database.engine import read, write
from results.database.lookup import study_named
from results.database.records import LookRecord, RunState
from results.database.schema import Look, Run, StudyRun


def note(engine: Engine, study: str, look: LookRecord, *, clock: Clock = utc_now) -> None:
    """Writes a look down; one that saw and did what the last one did is the same look.

    Raises:
        DatabaseError: If there is no such study, or the database cannot be written.
    """
    with write(engine) as session:
        study_id = study_named(session, study).id
        finished = session.scalars(
            select(func.count())
            .select_from(StudyRun)
            .join(Run)
            .where(StudyRun.study_id == study_id, Run.state == RunState.FINISHED)
        ).one()
        last = session.scalars(
            select(Look).where(Look.study_id == study_id).order_by(Look.id.desc()).limit(1)
        ).first()
        seen = replace(look, finished_runs=finished, at=clock())
        if last is not None and replace(_record(last), at=seen.at) == seen:
            return
        session.execute(
            insert(Look).values(
                study_id=study_id,
                at=seen.at,
                purpose=seen.purpose,
                width=seen.width,
                effects="\n".join(seen.effects),
                batch=seen.batch,
                ci=seen.ci,
                finished_runs=seen.finished_runs,
                answered=seen.answered,
                unanswered=seen.unanswered,
                changed_runs=seen.changed_runs,
            )
        )


def looks_at(engine: Engine, study: str) -> tuple[LookRecord, ...]:
    """The looks at a study, the first one first; none where its seeds were fixed beforehand.

    Raises:
        DatabaseError: If there is no such study, or the database cannot be read.
    """
    with read(engine) as session:
        here = Look.study_id == study_named(session, study).id
        return tuple(map(_record, session.scalars(select(Look).where(here).order_by(Look.id))))


def in_words(looks: Sequence[LookRecord]) -> list[str]:
    """What a reader of results has to know of them: one sentence per thing, none without looks."""
    looks = [look for look in looks if look.finished_runs]
    if not looks:
        return []
    first, last = looks[0], looks[-1]
    assert first.at is not None, "a look that is recorded has its time"
    assert last.at is not None, "so has this one"
    times = "once" if len(looks) == 1 else f"{len(looks)} times"
    words = [
        f"The number of seeds depends on the results: they were looked at {times} "
        f"({first.at:%Y-%m-%d %H:%M} to {last.at:%Y-%m-%d %H:%M} UTC), to stop where "
        f"{_rule_in_words(last)}; the last look found {last.answered} of "
        f"{last.answered + last.unanswered} effects answered."
    ]
    if last.width is None:
        words.append(
            f"What that test claims holds with a joint error of {1 - last.ci:.2g} at most. The "
            "intervals and p-values of tables and figures are computed as if the number of seeds "
            "had been fixed, and are not valid for arms that stopped early."
        )
    else:
        words.append(
            "The intervals are computed as if the number of seeds had been fixed: those of arms "
            "that stopped early cover somewhat less than they say."
        )
    if len({look.rule for look in looks}) > 1:
        before = dict.fromkeys(_rule_in_words(look) for look in looks)
        words.append(
            f"The rule changed between looks, so it promises nothing: {'; '.join(before)}."
        )
    return words


def _rule_in_words(look: LookRecord) -> str:
    effects = f" (of {', '.join(look.effects)})" if look.effects else ""
    if look.width is not None:
        return (
            f"the {look.ci:.0%} interval of an effect{effects} is narrower than {look.width:g}, "
            f"looking every {look.batch} seeds"
        )
    return (
        f"a group-sequential permutation test tells the arms of an effect{effects} apart, looking "
        f"every {look.batch} seeds at a joint level of {1 - look.ci:.2g} shared by the open "
        "effects (Holm)"
    )


def _record(row: Look) -> LookRecord:
    return LookRecord(
        purpose=row.purpose,
        width=row.width,
        effects=tuple(row.effects.splitlines()),
        batch=row.batch,
        ci=row.ci,
        answered=row.answered,
        unanswered=row.unanswered,
        changed_runs=row.changed_runs,
        finished_runs=row.finished_runs,
        at=row.at,
    )
