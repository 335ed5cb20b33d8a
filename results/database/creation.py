"""Making a new database: the only module that imports Alembic, which takes a while."""

from __future__ import annotations

import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine

from results.database.errors import DatabaseError, clear_errors
from results.database.schema import APPLICATION_ID


def migrations_config() -> Config:
    """Alembic's configuration, built in code: an installed package needs no alembic.ini."""
    config = Config()
    config.set_main_option("script_location", "results.database:migrations")
    config.set_main_option("path_separator", "os")
    return config


def create_database(path: Path) -> None:
    """Makes an empty database at a path; one that another process makes meanwhile is kept.

    The file is built under another name beside its place and appears there whole or not at all.

    Raises:
        DatabaseError: If the directory is missing or read-only, or the disk is full.
    """
    if not path.parent.is_dir():
        raise DatabaseError(
            f"The database {path} cannot be made: there is no directory {path.parent}. Make it "
            "first, or name another place with --db or ABLATE_DB."
        )
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.draft")
    try:
        draft.touch(exist_ok=False)
        with clear_errors(str(path)):
            _build(draft)
        _put_in_place(draft, path)
    except OSError as error:
        raise DatabaseError(
            f"The database {path} cannot be made: {error.strerror} (in {path.parent}). Mend "
            "that, or name another place with --db or ABLATE_DB."
        ) from error
    finally:
        for leftover in (
            draft,
            *(draft.with_name(draft.name + end) for end in ("-wal", "-shm", "-journal")),
        ):
            with suppress(OSError):  # in a read-only place, whose own message should be seen
                leftover.unlink(missing_ok=True)


def _build(draft: Path) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    engine = create_engine(URL.create("sqlite", database=str(draft)))
    config = migrations_config()
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _put_in_place(draft: Path, path: Path) -> None:
    """Gives the draft its name, unless another process was first."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not path.exists():
            draft.rename(path)
