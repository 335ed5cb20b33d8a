"""Runs that were not trained here: written with their sources, and read with their curves.

All points of an imported run are one curve, `evaluation_return`, or `normalised_score` where
its file holds scores that were normalised already. The point that is a run's return at the end of
the study is a final evaluation besides, so that every view finds it. Scores never become
evaluations: nothing can take them for returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from results.database import curves, reading
from results.database.clock import Clock, utc_now
from results.database.columns import EventKind
from results.database.engine import read, write
from results.database.errors import StudyConflict
from results.database.lookup import study_named
from results.database.processes import this_process
from results.database.records import (
    AttemptState,
    ImportedRunRecord,
    ImportSourceRecord,
    RunState,
    StudyRecord,
)
from results.database.schema import (
    Arm,
    Attempt,
    Evaluation,
    Event,
    ImportedRun,
    ImportSource,
    Run,
    Study,
    StudyRun,
    Worker,
)
from results.database.studies import insert_study

if TYPE_CHECKING:
    import pandas as pd

RETURN = "evaluation_return"
SCORE = "normalised_score"
POLICY = "imported"  # what the files do not say


@dataclass(frozen=True)
class Written:
    """What an import wrote; the numbers add up to the runs that it was given.

    Attributes:
        new: Runs that were not in the database.
        present: Runs that were, in this study or another.
    """

    new: int
    present: int


@dataclass(frozen=True)
class ImportedScores:
    """The curves of a study that was imported as scores.

    Attributes:
        table: The normalization table that the scores were made with.
        evaluations: One row per point, in the columns of `reading.evaluations`;
            `episode_return` holds the score.
    """

    table: str
    evaluations: pd.DataFrame


def put_imported(
    engine: Engine,
    study: StudyRecord,
    runs: Sequence[ImportedRunRecord],
    *,
    clock: Clock = utc_now,
) -> Written:
    """Writes an imported study with its runs, their curves and their sources; all or nothing.

    Importing the same contents again adds nothing.

    Raises:
        StudyConflict: If the name is taken by a study with other contents.
        DatabaseError: If the database cannot be written; nothing is left behind then.
    """
    now = clock()
    with write(engine) as session:
        known = session.scalar(select(Study).where(Study.name == study.name))
        if known is not None:
            _refuse_other_contents(known, study, session)
            return Written(new=0, present=len(runs))
        study_id = insert_study(session, study, now)
        arms = dict(
            session.execute(
                select(Arm.identity, Arm.id).where(
                    Arm.identity.in_([arm.identity for arm in study.arms])
                )
            ).all()
        )
        arm_ids = {arm.name: arms[arm.identity] for arm in study.arms}
        writer = _Writer(session, study_id, arm_ids, now)
        new = sum(writer.put(run, position) for position, run in enumerate(runs))
    return Written(new=new, present=len(runs) - new)


def sources(engine: Engine, study: str) -> tuple[ImportSourceRecord, ...]:
    """The files that the runs of a study were imported from; none where it was trained here.

    Raises:
        DatabaseError: If there is no such study.
    """
    with read(engine) as session:
        study_id = study_named(session, study).id
        held = select(ImportedRun.source_id).join(StudyRun, StudyRun.run_id == ImportedRun.run_id)
        found = session.scalars(
            select(ImportSource)
            .where(ImportSource.id.in_(held.where(StudyRun.study_id == study_id)))
            .order_by(ImportSource.id)
        )
        return tuple(
            ImportSourceRecord(
                file=row.file,
                sha256=row.sha256,
                format=row.format,
                options=row.options,
                protocol=row.protocol,
                normalization=row.normalization,
                means=row.means,
            )
            for row in found
        )


def evaluations(engine: Engine, study: str) -> pd.DataFrame:
    """The test episodes of a study's runs, as `reading.evaluations`, with imported points.

    Raises:
        DatabaseError: If there is no such study.
    """
    episodes = reading.evaluations(engine, study)
    points = _points(engine, study, RETURN)
    if not len(points):
        return episodes
    import pandas as pd

    trained = episodes[~episodes["run_id"].isin(points["run_id"].unique())]
    together = pd.concat([trained, points], ignore_index=True) if len(trained) else points
    if together["run_id"].is_monotonic_increasing:
        return together
    return together.sort_values("run_id", kind="stable", ignore_index=True)


def scores(engine: Engine, study: str) -> ImportedScores | None:
    """The curves of a study that was imported as scores; None of any other study.

    Raises:
        DatabaseError: If there is no such study.
    """
    tables = {source.normalization for source in sources(engine, study)} - {None}
    if not tables:
        return None
    (table,) = tables
    return ImportedScores(str(table), _points(engine, study, SCORE))


def _points(engine: Engine, study: str, metric: str) -> pd.DataFrame:
    """The points of imported curves, in the columns of `reading.evaluations`.

    There may be millions: every column is made once, as an array.
    """
    import numpy as np
    import pandas as pd

    points = reading.curve(engine, study, metric)
    with read(engine) as session:
        final = dict(
            session.execute(select(ImportedRun.run_id, ImportedRun.final_env_frames)).all()
        )
    imported = points["run_id"].isin(list(final))
    if not imported.all():
        points = points[imported].reset_index(drop=True)
    which, runs = pd.factorize(points["run_id"])
    ends = np.array([-1 if final[run] is None else final[run] for run in runs], dtype="int64")
    count = len(points)
    columns = {
        **{name: points[name] for name in ("run_id", "arm", "game", "seed", "env_frames")},
        "final": points["env_frames"].to_numpy() == ends[which],
        "episode": np.zeros(count, dtype="int64"),
        "episode_return": points["value"],
        "length": pd.array([pd.NA], dtype="Int64").repeat(count),
        "policy": np.full(count, POLICY, dtype=object),
        "truncated": np.zeros(count, dtype=bool),
    }
    return pd.DataFrame({n: columns[n] for n in reading.EVALUATION_COLUMNS}, copy=False)


class _Writer:
    """Writes the runs of one import in one transaction."""

    def __init__(
        self, session: Session, study_id: int, arm_ids: dict[str, int], now: datetime
    ) -> None:
        self._session = session
        self._study_id = study_id
        self._arm_ids = arm_ids
        self._now = now
        self._source_ids: dict[ImportSourceRecord, int] = {}
        self._worker_id: int | None = None

    def put(self, imported: ImportedRunRecord, position: int) -> bool:
        """Makes the study hold a run, and writes it unless it is there; whether it was not."""
        run_id = self._session.scalar(select(Run.id).where(Run.identity == imported.run.identity))
        new = run_id is None
        if run_id is None:
            run_id = self._insert(imported, position)
        self._session.execute(
            insert(StudyRun).values(study_id=self._study_id, run_id=run_id, position=position)
        )
        return new

    def _insert(self, imported: ImportedRunRecord, position: int) -> int:
        run = Run(
            identity=imported.run.identity,
            arm_id=self._arm_ids[imported.run.arm],
            game=imported.run.game,
            seed=imported.run.seed,
            specification=imported.run.specification,
            state=RunState.FINISHED,
            priority=0,
            position=position,
            losses=0,
            created_at=self._now,
        )
        self._session.add(run)
        self._session.flush()
        attempt = Attempt(
            run_id=run.id,
            number=1,
            worker_id=self._worker(),
            state=AttemptState.FINISHED,
            started_at=self._now,
            heartbeat_at=self._now,
            ended_at=self._now,
            env_frames=imported.env_frames[-1],
            updates=0,
            seconds=0.0,  # of the import; the views show none
        )
        self._session.add(attempt)
        self._session.flush()
        source = imported.source
        name = RETURN if source.normalization is None else SCORE
        curve = curves.Points.of(imported.env_frames, imported.values)
        curves.append(self._session, attempt.id, {name: curve})
        if source.normalization is None and imported.final_env_frames is not None:
            self._insert_final(attempt.id, imported, imported.final_env_frames)
        self._session.add(
            ImportedRun(
                run_id=run.id,
                source_id=self._source(source),
                final_env_frames=imported.final_env_frames,
            )
        )
        self._session.add(
            Event(
                at=self._now,
                kind=EventKind.FINISHED,
                run_id=run.id,
                attempt_id=attempt.id,
                study_id=self._study_id,
                detail=f"imported from {source.file}",
            )
        )
        self._session.flush()
        return run.id

    def _insert_final(self, attempt_id: int, imported: ImportedRunRecord, at: int) -> None:
        self._session.execute(
            insert(Evaluation).values(
                attempt_id=attempt_id,
                env_frames=at,
                final=True,
                policy=POLICY,
                episode=0,
                episode_return=imported.values[imported.env_frames.index(at)],
                length=None,
                truncated=False,
            )
        )

    def _source(self, source: ImportSourceRecord) -> int:
        """The row of a file, made if it is new."""
        if source not in self._source_ids:
            found = self._session.scalar(
                select(ImportSource.id).where(
                    ImportSource.file == source.file,
                    ImportSource.sha256 == source.sha256,
                    ImportSource.format == source.format,
                    ImportSource.options == source.options,
                    ImportSource.protocol == source.protocol,
                )
            )
            self._source_ids[source] = found if found is not None else self._insert_source(source)
        return self._source_ids[source]

    def _insert_source(self, source: ImportSourceRecord) -> int:
        row = ImportSource(
            file=source.file,
            sha256=source.sha256,
            format=source.format,
            options=source.options,
            protocol=source.protocol,
            normalization=source.normalization,
            means=source.means,
            imported_at=self._now,
        )
        self._session.add(row)
        self._session.flush()
        return row.id

    def _worker(self) -> int:
        """The row of this process, which stands in for a worker."""
        if self._worker_id is None:
            process = this_process()
            worker = Worker(
                host=process.host,
                machine=process.machine,
                pid=process.pid,
                process_started_at=process.started_at,
                device="import",
                slot=0,
                registered_at=self._now,
                ended_at=self._now,
            )
            self._session.add(worker)
            self._session.flush()
            self._worker_id = worker.id
        return self._worker_id


def _refuse_other_contents(known: Study, study: StudyRecord, session: Session) -> None:
    """Makes sure that a study that has the name has the contents too.

    Raises:
        StudyConflict: If it has not.
    """
    if known.contents_sha256 != study.contents_sha256:
        raise StudyConflict(
            f"The name {study.name} is taken in {session.get_bind().engine.url.database} by a "
            f"study with other contents, of {known.created_at:%Y-%m-%d %H:%M} UTC. Nothing was "
            "imported. Give the imported study another name, or import all its files at once: "
            "a study does not grow."
        )
