"""Finding a study by its name."""

from __future__ import annotations

from difflib import get_close_matches

from sqlalchemy import select
from sqlalchemy.orm import Session

from results.database.errors import DatabaseError
from results.database.schema import Study


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
