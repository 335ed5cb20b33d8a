"""With which code, on what, and by which command runs were submitted and trained."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, insert, select, text
from sqlalchemy.orm import Session

from results.database.engine import read
from results.database.schema import Code, Packages


@dataclass(frozen=True)
class CodeRecord:
    """The source text that a process runs.

    Attributes:
        sources_sha256: Of all its source files.
        version: Of the program.
        commit: Of the checkout; empty where there is none.
        diff_sha256: Of what the checkout holds beyond the commit; empty where it holds no more.
        diff: That, as git prints it.
        archive: Makes a compressed archive of the source files; called only for new contents.
    """

    sources_sha256: str
    version: str
    commit: str
    diff_sha256: str
    diff: bytes
    archive: Callable[[], bytes]


@dataclass(frozen=True)
class PackagesRecord:
    """What is installed beside the code: a line `name==version` per package."""

    sha256: str
    python: str
    lines: str


@dataclass(frozen=True)
class Origin:
    """Where a worker's results come from, beside host, process and device."""

    code: CodeRecord
    packages: PackagesRecord
    device_model: str
    driver: str | None
    command: str


@dataclass(frozen=True)
class AttemptOrigin:
    """Where the results of one attempt come from; None where nobody wrote it down."""

    number: int
    host: str
    device: str
    device_model: str | None
    driver: str | None
    python: str | None
    commit: str | None
    has_diff: int | None
    sources_sha256: str | None
    submitted_sha256: str | None
    command: str | None
    packages: str | None


def put_code(session: Session, code: CodeRecord) -> int:
    """The row of some code, made if its contents are new."""
    found = session.scalar(
        select(Code.id).where(
            Code.sources_sha256 == code.sources_sha256,
            Code.commit == code.commit,
            Code.diff_sha256 == code.diff_sha256,
        )
    )
    if found is not None:
        return found
    return session.scalars(
        insert(Code)
        .values(
            sources_sha256=code.sources_sha256,
            commit=code.commit,
            diff_sha256=code.diff_sha256,
            version=code.version,
            diff=zlib.compress(code.diff),
            sources=code.archive(),
        )
        .returning(Code.id)
    ).one()


def put_packages(session: Session, packages: PackagesRecord) -> int:
    """The row of a set of packages, made if it is new."""
    found = session.scalar(select(Packages.id).where(Packages.sha256 == packages.sha256))
    if found is not None:
        return found
    row = insert(Packages).values(
        sha256=packages.sha256, python=packages.python, lines=packages.lines
    )
    return session.scalars(row.returning(Packages.id)).one()


def attempt_origins(engine: Engine, run_id: int) -> list[AttemptOrigin]:
    """Where the results of each attempt at a run come from.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    query = text(
        "SELECT attempt.number, worker.host, worker.device, worker.device_model, worker.driver, "
        'packages.python, code."commit", length(code.diff_sha256) > 0, code.sources_sha256, '
        "submitted.sources_sha256, worker.command, packages.lines "
        "FROM attempt JOIN worker ON worker.id = attempt.worker_id "
        "JOIN run ON run.id = attempt.run_id "
        "LEFT JOIN code ON code.id = worker.code_id "
        "LEFT JOIN packages ON packages.id = worker.packages_id "
        "LEFT JOIN code AS submitted ON submitted.id = run.code_id "
        "WHERE attempt.run_id = :run ORDER BY attempt.number"
    )
    with read(engine) as session:
        rows: list[tuple[Any, ...]] = [
            tuple(row) for row in session.execute(query, {"run": run_id})
        ]
    return [AttemptOrigin(*row) for row in rows]


def run_with_other_code(engine: Engine, study: str) -> list[int]:
    """The runs of a study that an attempt trained with other sources than they were queued with.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    query = text(
        "SELECT DISTINCT run.id FROM study JOIN study_run ON study_run.study_id = study.id "
        "JOIN run ON run.id = study_run.run_id JOIN attempt ON attempt.run_id = run.id "
        "JOIN worker ON worker.id = attempt.worker_id "
        "JOIN code AS used ON used.id = worker.code_id "
        "JOIN code AS queued ON queued.id = run.code_id "
        "WHERE study.name = :study AND used.sources_sha256 <> queued.sources_sha256 "
        "ORDER BY run.id"
    )
    with read(engine) as session:
        return list(session.scalars(query, {"study": study}))


def is_other_code(engine: Engine, run_id: int, sources_sha256: str) -> bool:
    """Whether a run was queued with sources other than these; no, where nobody kept them.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    query = text(
        "SELECT sources_sha256 FROM run JOIN code ON code.id = code_id WHERE run.id = :run"
    )
    with read(engine) as session:
        found = session.scalar(query, {"run": run_id})
    return found is not None and found != sources_sha256


def queued_with_other_code(engine: Engine, study: str | None, sources_sha256: str) -> int:
    """How many unfinished runs were queued with sources other than these.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    query = text(
        "SELECT count(DISTINCT run.id) FROM run JOIN code ON code.id = run.code_id "
        "JOIN study_run ON study_run.run_id = run.id "
        "JOIN study ON study.id = study_run.study_id "
        "WHERE run.state IN ('queued', 'running') AND code.sources_sha256 <> :sha256 "
        "AND (:study IS NULL OR study.name = :study)"
    )
    with read(engine) as session:
        return int(session.scalars(query, {"sha256": sources_sha256, "study": study}).one())


def sources_of(engine: Engine, run_id: int) -> bytes | None:
    """The archive of the sources that a run was queued with, None where nobody kept it.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    query = text("SELECT sources FROM run JOIN code ON code.id = code_id WHERE run.id = :run")
    with read(engine) as session:
        found: bytes | None = session.scalar(query, {"run": run_id})
    return found
