"""Merging two databases: identities decide what is the same, and nothing is doubled.

A study, an arm, a run are what their contents say, so one that both databases hold becomes one.
Of a run that both hold, the finished side counts; where both or neither is finished, what was
there stays. A run that a worker of the other database has in hand arrives as queued. Checkpoints
stay behind: they are files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine, func, insert, select, update
from sqlalchemy.orm import Session

from results.database import checkpoints
from results.database.columns import Base
from results.database.engine import read, write
from results.database.errors import DatabaseError, StudyConflict
from results.database.lookup import study_named
from results.database.records import AttemptState, RunState
from results.database.schema import (
    Activation,
    Arm,
    Artifact,
    Attempt,
    Code,
    CurveChunk,
    Evaluation,
    Event,
    ImportedRun,
    ImportSource,
    Look,
    Metric,
    Normalization,
    Packages,
    Run,
    Study,
    StudyRun,
    Worker,
)
from results.database.studies import arm_identities, insert_study, study_record

Row = Mapping[Any, Any]


@dataclass(frozen=True)
class Merged:
    """What a merge did; the numbers add up to the runs of the merged studies.

    Attributes:
        studies: Names of the studies that were merged.
        new: Runs that were not there.
        completed: Runs that were there unfinished, and are finished now.
        present: Runs that were left as they were.
        forgotten: Paths of the checkpoints of completed runs, relative to
            `location.checkpoint_directory`: the caller deletes the files.
    """

    studies: tuple[str, ...]
    new: int = 0
    completed: int = 0
    present: int = 0
    forgotten: tuple[str, ...] = ()


def merge(source: Engine, target: Engine, study: str | None = None) -> Merged:
    """Brings the studies of one database into another; all or nothing.

    Args:
        source: Where they come from; it is only read.
        target: Where they go.
        study: Merges only this one; all of them where None.

    Raises:
        StudyConflict: If both hold a study of one name with different contents.
        DatabaseError: If the source has no such study, both hold different values in one
            normalization table, or the target cannot be written.
    """
    with read(source) as theirs, write(target) as ours:
        studies = (
            [study_named(theirs, study)]
            if study is not None
            else list(theirs.scalars(select(Study).order_by(Study.id)))
        )
        merging = _Merging(theirs, ours)
        merging.normalizations()
        merged = Merged(tuple(one.name for one in studies))
        for one in studies:
            merged = merging.study(one, merged)
    return replace(merged, forgotten=tuple(merging.forgotten))


class _Merging:
    """One merge, within its two transactions; remembers where rows went."""

    def __init__(self, theirs: Session, ours: Session) -> None:
        self._theirs = theirs
        self._ours = ours
        self._metrics: dict[int, int] = {}
        self._workers: dict[int, int] = {}
        self._sources: dict[int, int] = {}
        self.forgotten: list[str] = []

    def normalizations(self) -> None:
        """Adds their tables of random and human returns.

        Raises:
            DatabaseError: If a table holds other values here.
        """
        held = {
            (row["table_id"], row["game_key"]): row for row in _rows(self._ours, Normalization)
        }
        for row in _rows(self._theirs, Normalization):
            known = held.get((row["table_id"], row["game_key"]))
            if known is None:
                self._ours.execute(insert(Normalization).values(**row))
            elif _values(known) != _values(row):
                raise DatabaseError(
                    "The two databases hold different values in the normalization table "
                    f"{row['table_id']} for {row['game']}: {_values(row)} there, "
                    f"{_values(known)} here. Scores under one name must stay comparable, so "
                    "nothing was merged."
                )

    def study(self, study: Study, merged: Merged) -> Merged:
        """Merges a study with its runs, and adds to the counts.

        Raises:
            StudyConflict: If one of that name has other contents here.
        """
        study_id = self._study_id(study)
        arms = dict(self._ours.execute(select(Arm.identity, Arm.id)).all())
        held = set(
            self._ours.scalars(select(StudyRun.run_id).where(StudyRun.study_id == study_id))
        )
        last = self._ours.scalar(
            select(func.max(StudyRun.position)).where(StudyRun.study_id == study_id)
        )
        position = 0 if last is None else last + 1
        runs = (
            select(Run, Arm.identity)
            .join_from(StudyRun, Run, StudyRun.run_id == Run.id)
            .join(Arm, Arm.id == Run.arm_id)
            .where(StudyRun.study_id == study.id)
            .order_by(StudyRun.position)
        )
        for look in _rows(self._theirs, Look, Look.study_id == study.id):
            row = {name: value for name, value in look.items() if name != "id"}
            self._same(Look, row | {"study_id": study_id})
        counts: Counter[str] = Counter()
        for run, arm_identity in self._theirs.execute(runs).all():
            run_id, what = self._run(run, arms[arm_identity], study_id)
            counts[what] += 1
            if run_id not in held:
                held.add(run_id)
                self._ours.execute(
                    insert(StudyRun).values(study_id=study_id, run_id=run_id, position=position)
                )
                position += 1
        return replace(
            merged,
            new=merged.new + counts["new"],
            completed=merged.completed + counts["completed"],
            present=merged.present + counts["present"],
        )

    def _study_id(self, study: Study) -> int:
        record = study_record(self._theirs, study)
        known = self._ours.scalar(select(Study).where(Study.name == study.name))
        if known is None:
            return insert_study(self._ours, record, study.created_at)
        arms = {arm.name: arm.identity for arm in record.arms}
        if (
            known.contents_sha256 != study.contents_sha256
            or arm_identities(self._ours, known.id) != arms
        ):
            raise StudyConflict(
                f"Both databases hold a study {study.name}, with different contents: submitted "
                f"{study.created_at:%Y-%m-%d %H:%M} there and {known.created_at:%Y-%m-%d %H:%M} "
                "UTC here. Nothing was merged. Merge the other studies one by one with --study."
            )
        return known.id

    def _run(self, run: Run, arm_id: int, study_id: int) -> tuple[int, str]:
        """Brings a run over; its row here, and what that did."""
        known = self._ours.scalar(select(Run).where(Run.identity == run.identity))
        state = RunState.QUEUED if run.state == RunState.RUNNING else run.state
        if known is None:
            row = _row(self._theirs, Run, run.id) | {"arm_id": arm_id, "state": state}
            row["code_id"] = self._content(Code, row["code_id"])
            run_id = self._insert(Run, row)
            self._history(run.id, run_id, study_id)
            return run_id, "new"
        unfinished = known.state not in (RunState.FINISHED, RunState.RUNNING)
        if not (run.state == RunState.FINISHED and unfinished):
            return known.id, "present"
        self._history(run.id, known.id, study_id)
        self._ours.execute(
            update(Run)
            .where(Run.id == known.id)
            .values(state=RunState.FINISHED, losses=run.losses)
            .execution_options(synchronize_session=False)
        )
        self.forgotten += checkpoints.forget(self._ours, known.id)
        return known.id, "completed"

    def _history(self, theirs: int, ours: int, study_id: int) -> None:
        """Copies the ended attempts at a run with all that they wrote, and its events."""
        before = self._ours.scalar(select(func.max(Attempt.number)).where(Attempt.run_id == ours))
        attempts: dict[int, int] = {}
        ended = select(Attempt).where(
            Attempt.run_id == theirs, Attempt.state != AttemptState.RUNNING
        )
        for attempt in self._theirs.scalars(ended.order_by(Attempt.id)).all():
            row = _row(self._theirs, Attempt, attempt.id) | {
                "run_id": ours,
                "number": attempt.number + (before or 0),
                "worker_id": self._worker(attempt.worker_id),
                "parent_id": attempts.get(attempt.parent_id) if attempt.parent_id else None,
            }
            attempts[attempt.id] = self._insert(Attempt, row)
            self._data(attempt.id, attempts[attempt.id])
        for event in _rows(self._theirs, Event, Event.run_id == theirs):
            if event["attempt_id"] is None or event["attempt_id"] in attempts:
                row = dict(event) | {
                    "run_id": ours,
                    "attempt_id": attempts.get(event["attempt_id"]),
                    "study_id": None if event["study_id"] is None else study_id,
                }
                del row["id"]
                self._insert(Event, row)
        for imported in _rows(self._theirs, ImportedRun, ImportedRun.run_id == theirs):
            source_id = self._source(imported["source_id"])
            row = dict(imported) | {"run_id": ours, "source_id": source_id}
            self._ours.execute(insert(ImportedRun).values(**row))

    def _data(self, theirs: int, ours: int) -> None:
        """Copies what an attempt wrote, byte for byte."""
        chunks = [
            dict(row) | {"attempt_id": ours, "metric_id": self._metric(row["metric_id"])}
            for row in _rows(self._theirs, CurveChunk, CurveChunk.attempt_id == theirs)
        ]
        if chunks:
            self._ours.execute(insert(CurveChunk), chunks)
        for table in (Evaluation, Artifact, Activation):
            rows = [
                {name: value for name, value in row.items() if name != "id"} | {"attempt_id": ours}
                for row in _rows(self._theirs, table, table.attempt_id == theirs)
            ]
            if rows:
                self._ours.execute(insert(table), rows)

    def _metric(self, theirs: int) -> int:
        if theirs not in self._metrics:
            name = self._theirs.get_one(Metric, theirs).name
            found = self._ours.scalar(select(Metric.id).where(Metric.name == name))
            self._metrics[theirs] = (
                found if found is not None else self._insert(Metric, {"name": name})
            )
        return self._metrics[theirs]

    def _worker(self, theirs: int) -> int:
        if theirs not in self._workers:
            row = _row(self._theirs, Worker, theirs)
            row["code_id"] = self._content(Code, row["code_id"])
            row["packages_id"] = self._content(Packages, row["packages_id"])
            self._workers[theirs] = self._same(Worker, row, but="ended_at")
        return self._workers[theirs]

    def _source(self, theirs: int) -> int:
        if theirs not in self._sources:
            row = _row(self._theirs, ImportSource, theirs)
            self._sources[theirs] = self._same(ImportSource, row, but="imported_at")
        return self._sources[theirs]

    def _content(self, table: type[Base], theirs: int | None) -> int | None:
        """The row here of some code or packages, made if there is none; None stays None."""
        return None if theirs is None else self._same(table, _row(self._theirs, table, theirs))

    def _same(self, table: type[Base], row: dict[str, Any], *, but: str | None = None) -> int:
        """The row here that is the same, maybe but for one column; made if there is none."""
        columns = table.__table__.c
        query = select(columns.id).where(
            *(
                columns[name].is_not_distinct_from(value)
                for name, value in row.items()
                if name != but
            )
        )
        found = self._ours.scalar(query)
        return int(found) if found is not None else self._insert(table, row)

    def _insert(self, table: type[Base], row: Mapping[str, Any]) -> int:
        columns = table.__table__.c
        new = self._ours.scalar(insert(table).values(**row).returning(columns.id))
        assert new is not None, "RETURNING gives the row that was inserted"
        return int(new)


def _rows(session: Session, table: type[Base], *where: Any) -> Sequence[Row]:
    """Rows as plain values by column, in their order."""
    whole = table.__table__
    query = select(whole).where(*where).order_by(*whole.primary_key)
    return session.execute(query).mappings().all()


def _row(session: Session, table: type[Base], id: int) -> dict[str, Any]:
    """One row as plain values by column, without its id."""
    columns = table.__table__.c
    found = dict(session.execute(select(table.__table__).where(columns.id == id)).mappings().one())
    del found["id"]
    return found


def _values(row: Row) -> tuple[float, float]:
    return row["random_return"], row["human_return"]
