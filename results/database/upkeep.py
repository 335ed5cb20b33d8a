"""Looking after a database file: a newer schema, a copy, and the room that deleted rows leave."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from alembic import command
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from results.database.clock import utc_now
from results.database.creation import migrations_config
from results.database.engine import open_any_schema, schema_of, write
from results.database.errors import DatabaseError, clear_errors
from results.database.queue import begin_leases_anew, holders, release_dead
from results.database.schema import SCHEMA_VERSION


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade did.

    Attributes:
        path: The database.
        before: Its schema until then.
        after: Its schema now.
        backup: The copy that was made first; None where nothing had to be done.
    """

    path: Path
    before: str
    after: str
    backup: Path | None


def upgrade(url: str | Path) -> Upgrade:
    """Brings a database to the schema that this program knows, after copying it beside itself.

    All of it happens or nothing. A database that has that schema is left alone.

    Raises:
        DatabaseError: If workers hold runs, the file is not ours or has a newer schema, or it
            cannot be read, copied or written.
    """
    engine = open_any_schema(url)
    path = Path(str(engine.url.database))
    try:
        before = schema_of(engine)
        if before == SCHEMA_VERSION:
            return Upgrade(path, before, before, None)
        begin_leases_anew(engine, utc_now())  # else a clock set back lets nobody upgrade for long
        engine.dispose()  # the next connections do not enforce foreign keys
        event.listen(engine, "connect", _let_tables_be_built_anew)
        with write(engine, durable=True) as session:
            _refuse_running(session, path)
            copy = backup(engine, _unused(path.with_name(f"{path.stem}.schema-{before}.sqlite")))
            _migrate(session)
        release_dead(engine)
    finally:
        engine.dispose()
    return Upgrade(path, before, SCHEMA_VERSION, copy)


def backup(engine: Engine, output: Path) -> Path:
    """Copies a database, as it is at one moment, to a place that is not taken.

    The copy appears there whole or not at all. Workers may go on meanwhile.

    Raises:
        DatabaseError: If the place is taken or cannot be written, or the disk is full.
    """
    draft = output.with_name(f".{output.name}.{secrets.token_hex(4)}.draft")
    try:
        draft.touch(exist_ok=False)
        with (
            clear_errors(str(draft)),
            _connection(engine) as original,
            closing(sqlite3.connect(draft)) as copy,
        ):
            original.backup(copy)
        _put_in_place(draft, output)
    except OSError as error:
        raise DatabaseError(
            f"The database {engine.url.database} cannot be copied to {output}: {error.strerror}. "
            "Choose another place, or mend that one."
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return output


def backup_path(path: Path, now: datetime) -> Path:
    """Where a copy of a database goes unless another place is named: beside it, by the time."""
    return _unused(path.with_name(f"{path.stem}.backup-{now:%Y%m%d-%H%M%S}.sqlite"))


def vacuum(engine: Engine) -> tuple[int, int]:
    """Gives the room that deleted rows left back to the disk; returns the bytes before and after.

    Raises:
        DatabaseError: If another process is writing, or the disk has no room for the new file.
    """
    path = Path(str(engine.url.database))
    with clear_errors(str(path)), _connection(engine) as connection:
        connection.execute("PRAGMA query_only=OFF")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        before = path.stat().st_size
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return before, path.stat().st_size


@contextmanager
def _connection(engine: Engine) -> Iterator[sqlite3.Connection]:
    """A connection of the driver, outside of any transaction."""
    with closing(engine.raw_connection()) as pooled:
        pooled.info.clear()  # whoever has it next sets it anew
        connection = pooled.driver_connection
        assert isinstance(connection, sqlite3.Connection), "every database is an SQLite file"
        yield connection


def _unused(path: Path) -> Path:
    """The path, or the first of its kind with a number that no file has."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(one for one in chain([path], numbered) if not one.exists())


def _put_in_place(draft: Path, output: Path) -> None:
    """Gives the draft its name, which no file may have.

    Raises:
        OSError: If a file has it.
    """
    try:
        os.link(draft, output)  # unlike a renaming, this replaces no file
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        output.touch(exist_ok=False)
        draft.rename(output)


def _let_tables_be_built_anew(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA foreign_keys=OFF")


def _refuse_running(session: Session, path: Path) -> None:
    """Makes sure that no worker has a run in hand.

    Raises:
        DatabaseError: If one has; the processes are named.
    """
    at_work = ", ".join(holders(session))
    if at_work:
        raise DatabaseError(
            f"The database {path} is at work: {at_work}. Stop the workers (Ctrl-C hands their "
            "runs back to the queue), or let them finish, and upgrade then. Nothing was changed."
        )


def _migrate(session: Session) -> None:
    """Runs the migrations that are missing.

    Raises:
        DatabaseError: If the rows do not fit together afterwards.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = migrations_config()
    config.attributes["connection"] = session.connection()
    command.upgrade(config, "head")
    broken = session.execute(text("PRAGMA foreign_key_check")).all()
    if broken:
        raise DatabaseError(
            f"The database cannot be upgraded: {len(broken)} rows refer to rows that are not "
            f"there (the first in the table {broken[0][0]}). Nothing was changed. Take the file "
            "from a backup, or recover it with `sqlite3 FILE .recover`."
        )
