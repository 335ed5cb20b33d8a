"""The planner: what exists of an assembled study, how long the rest takes, and submitting it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from ablate.assembled import AssembledStudy
from ablate.provenance import code_here
from ablate.speed import Speed
from ablate.study import StudyError
from results.database import store
from results.database.engine import open_database
from results.database.errors import StudyConflict
from results.database.location import database_path
from results.database.lookup import contents_sha256
from results.database.records import (
    NormalizationRow,
    RunRecord,
    RunState,
    RunStatus,
    Submission,
)
from results.statistics.normalize import TABLES, normalization

DECLARED = "declared"
"""The table of the returns that tasks declare themselves."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan.

    Attributes:
        run: What would be submitted.
        status: What the database knows about it, or None if it is new.
        seconds: What it took if it is finished, else what it should take.
        measured: Whether `seconds` comes from finished runs.
    """

    run: RunRecord
    status: RunStatus | None
    seconds: float
    measured: bool

    @property
    def to_do(self) -> bool:
        """Whether a worker still has to spend time on it; a failed run waits for a retry."""
        return self.status is None or self.status.state in (
            RunState.QUEUED,
            RunState.RUNNING,
            RunState.CANCELLED,
        )


@dataclass(frozen=True)
class Plan:
    """A study, what exists of it, and what it would take."""

    assembled: AssembledStudy
    submitted: bool
    runs: tuple[PlannedRun, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Runs by what a submission would find.

        `done` runs were finished for this study, `reused` ones for another; `new` ones are not in
        the database.
        """
        counts = dict.fromkeys(("new", "reused", "done", "queued", "running", "failed"), 0)
        counts["cancelled"] = 0
        for run in self.runs:
            if run.status is None:
                counts["new"] += 1
            elif run.status.state is RunState.FINISHED:
                counts["done" if self.submitted else "reused"] += 1
            else:
                counts[run.status.state.value] += 1
        return counts

    @property
    def memory_bytes(self) -> dict[str, int]:
        """The memory that a run takes at most, by game."""
        arms = self.assembled.arms.values()
        games = self.assembled.study.games
        return {game: max(arm.memory_bytes[game] for arm in arms) for game in games}

    @property
    def seconds_to_do(self) -> float:
        """Seconds of work that are left, one run after the other."""
        return sum(run.seconds for run in self.runs if run.to_do)

    @property
    def measured(self) -> bool:
        """Whether every run that is left has been timed before."""
        return all(run.measured for run in self.runs if run.to_do)


def existing_database(url: str) -> Engine | None:
    """The database that a plan asks, or None if there is none yet: a plan makes none.

    Raises:
        DatabaseError: If there is one that cannot be used.
    """
    return open_database(url) if database_path(url).exists() else None


def make_plan(assembled: AssembledStudy, engine: Engine | None) -> Plan:
    """Asks the database what exists, and estimates what is left.

    Args:
        assembled: The study.
        engine: The database, or None if there is none yet.

    Raises:
        StudyError: If other contents have been submitted under the same name.
        DatabaseError: If the database cannot be read.
    """
    known: Mapping[str, RunStatus] = {}
    submitted = False
    speed = Speed({})
    if engine is not None:
        submitted = _is_submitted(assembled, engine)
        known = store.existing_runs(engine, [run.identity for run in assembled.runs])
        speed = Speed(store.measured_seconds(engine))
    measured = {
        (arm.record.name, game): speed.of(arm.record.identity, game)
        for arm in assembled.arms.values()
        for game in assembled.study.games
    }

    def planned(run: RunRecord) -> PlannedRun:
        status = known.get(run.identity)
        if status is not None and status.seconds is not None:
            return PlannedRun(run, status, status.seconds, measured=True)
        seconds = measured[run.arm, run.game]
        if seconds is not None:
            return PlannedRun(run, status, seconds, measured=True)
        expected = assembled.arms[run.arm].seconds[run.game]
        return PlannedRun(run, status, expected, measured=False)

    return Plan(assembled, submitted, tuple(planned(run) for run in assembled.runs))


def submit(assembled: AssembledStudy, engine: Engine, *, retry_failed: bool = False) -> Submission:
    """Writes a study and its runs into the database, and the reference scores that it needs.

    Raises:
        StudyError: If other contents have been submitted under the same name.
        DatabaseError: If the database cannot be written.
    """
    _is_submitted(assembled, engine)
    try:
        submission = store.submit(
            engine,
            assembled.study,
            assembled.runs,
            retry_failed=retry_failed,
            code=code_here(),
        )
    except StudyConflict as error:
        raise StudyError(f"{assembled.file.path}: {error}") from error
    for name in TABLES:
        rows = normalization(name).references.values()
        store.put_normalization(
            engine, name, [NormalizationRow(row.game, row.random, row.human) for row in rows]
        )
    if assembled.declared:
        store.put_normalization(engine, DECLARED, assembled.declared)
    return submission


def _is_submitted(assembled: AssembledStudy, engine: Engine) -> bool:
    """Whether the study is in the database already.

    Raises:
        StudyError: If other contents are there under its name.
    """
    study = assembled.study
    there = contents_sha256(engine, study.name)
    if there is None:
        return False
    if there != study.contents_sha256:
        raise assembled.file.error(
            "name",
            f"is taken: {study.name} has been submitted to {engine.url.database} with other "
            "contents. Give the changed study another name (runs that both ask for are shared), "
            "or name another database with --db or ABLATE_DB.",
        )
    return True
