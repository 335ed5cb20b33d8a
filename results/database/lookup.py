"""Which studies there are, and the one of a name."""

from __future__ import annotations

from difflib import get_close_matches

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from results.database.engine import read
from results.database.errors import DatabaseError
from results.database.records import RunState
from results.database.schema import Run, Study, StudyRun


def study_names(engine: Engine) -> list[str]:
    """The names of all studies in the order of submission.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    with read(engine) as session:
        return list(session.scalars(select(Study.name).order_by(Study.id)))


def contents_sha256(engine: Engine, name: str) -> str | None:
    """What tells the contents of the study of that name from others; None if there is none.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    with read(engine) as session:
        return session.scalar(select(Study.contents_sha256).where(Study.name == name))


def begun_alike(engine: Engine, protocol: str, env_frames: int) -> list[str]:
    """The studies under this protocol and budget of which a run is finished, by submission.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    finished = (
        select(StudyRun.run_id)
        .join(Run)
        .where(StudyRun.study_id == Study.id, Run.state == RunState.FINISHED)
    )
    query = (
        select(Study.name)
        .where(Study.protocol == protocol, Study.env_frames == env_frames, finished.exists())
        .order_by(Study.id)
    )
    with read(engine) as session:
        return list(session.scalars(query))


def study_named(session: Session, name: str) -> Study:
    """The study of that name.

    Raises:
        DatabaseError: If there is none; the nearest names are given.
    """
    study = session.scalar(select(Study).where(Study.name == name))
    if study is not None:
        return study
    names = list(session.scalars(select(Study.name).order_by(Study.name)))
    near = get_close_matches(name, names, n=3, cutoff=0.5) or names[:5]
    hint = f"The nearest there: {', '.join(near)}." if near else "It holds no study yet."
    path = session.get_bind().engine.url.database
    raise DatabaseError(
        f"There is no study {name!r} in {path}. {hint} `ablate submit {name}` puts it there; --db "
        "or ABLATE_DB names another database."
    )
