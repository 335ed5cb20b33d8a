"""Opening a database, and the two kinds of transactions: `read` and `write`."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from results.database.errors import DatabaseError, clear_errors
from results.database.location import database_path, refuse_network_file_system
from results.database.schema import APPLICATION_ID, SCHEMA_VERSION

__all__ = [
    "DatabaseError",
    "open_any_schema",
    "open_database",
    "read",
    "schema_of",
    "wait_for_locks",
    "write",
]

BUSY_TIMEOUT_MS = 30_000
_OLDEST_SQLITE = (3, 35, 0)  # the first with RETURNING
_TRANSACTION = "ablate_transaction"  # the execution option that says which statements begin one
_PATIENCE = "ablate_patience"  # the execution option that says whether to wait on for a lock
_MODE = "ablate_mode"  # what a connection was last set to


class _Transaction(NamedTuple):
    """How a connection is set for a transaction, and the statement that begins it."""

    mode: tuple[str, ...]
    begin: str


_READ = _Transaction(("PRAGMA query_only=ON",), "BEGIN DEFERRED")
_WRITE = _Transaction(("PRAGMA query_only=OFF", "PRAGMA synchronous=NORMAL"), "BEGIN IMMEDIATE")
_WRITE_DURABLY = _Transaction(
    ("PRAGMA query_only=OFF", "PRAGMA synchronous=FULL"), "BEGIN IMMEDIATE"
)


def open_database(url: str | Path, *, create: bool = False) -> Engine:
    """Opens the database that a path or an `sqlite:///` URL names, after checking it.

    Args:
        url: A path (text without "://" is one) or an SQLAlchemy URL.
        create: Whether a missing file is made, whole or not at all.

    Raises:
        DatabaseError: If the file is missing (and not to be made), is not ours, has an older or
            newer schema, lies on a network file system, or cannot be read and written.
    """
    engine = open_any_schema(url, create=create)
    try:
        _refuse_another_schema(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_any_schema(url: str | Path, *, create: bool = False) -> Engine:
    """Opens a database as `open_database` does, whatever its schema: only to upgrade or copy it.

    Raises:
        DatabaseError: As `open_database`, the schema aside.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise DatabaseError(
            f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed. It comes with "
            "Python: install a newer Python, or a newer libsqlite3."
        )
    path = database_path(url)
    refuse_network_file_system(path)
    _refuse_what_is_not_ours(path, create=create)
    if not path.exists():
        from results.database.creation import create_database  # alembic takes a while to import

        create_database(path)
    return sqlite_engine(path)


def wait_for_locks(engine: Engine, goes_on_waiting: Callable[[], bool]) -> None:
    """Makes transactions wait for as long as another process holds the database.

    Args:
        engine: The database.
        goes_on_waiting: Asked after every 30 s of waiting; where it says no, the transaction
            raises `DatabaseLocked` as it does otherwise.
    """
    engine.update_execution_options(**{_PATIENCE: goes_on_waiting})


@contextmanager
def write(engine: Engine, *, durable: bool = False) -> Iterator[Session]:
    """A session in one write transaction, which no other writer can enter (BEGIN IMMEDIATE).

    Args:
        engine: The database.
        durable: Whether the commit waits until the disk has it (synchronous=FULL).

    Raises:
        DatabaseError: If the database stays locked, is read-only or damaged, or the disk is full;
            nothing of the transaction is left then.
    """
    with _session(engine, _WRITE_DURABLY if durable else _WRITE) as session:
        yield session


@contextmanager
def read(engine: Engine) -> Iterator[Session]:
    """A session in one read-only transaction: all its statements see the same moment.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    with _session(engine, _READ) as session:
        yield session


@contextmanager
def _session(engine: Engine, transaction: _Transaction) -> Iterator[Session]:
    with (
        clear_errors(str(engine.url.database)),
        Session(engine) as session,
        session.begin(),
    ):
        # Begins now: SQLAlchemy would wait for the first statement.
        session.connection(execution_options={_TRANSACTION: transaction})
        yield session


def sqlite_engine(path: Path) -> Engine:
    """An engine whose connections are set up and whose transactions begin as asked.

    A finished database in a place that cannot be written, a shipped one say, is opened to be read.
    """
    url = URL.create("sqlite", database=str(path))
    if _is_frozen(path):
        return create_engine(url, creator=lambda: _connect_frozen(path))
    engine = create_engine(url, connect_args={"isolation_level": None})  # we begin ourselves
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _is_frozen(path: Path) -> bool:
    """Whether nobody can be writing: WAL would need a companion file in the same directory."""
    companion = path.with_name(path.name + "-wal")
    return path.exists() and not os.access(path.parent, os.W_OK) and not companion.exists()


def _connect_frozen(path: Path) -> sqlite3.Connection:
    source = f"{path.as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(source, uri=True, isolation_level=None, check_same_thread=False)


def _set_up(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA journal_mode=WAL")


def _begin(connection: Connection) -> None:
    """Begins as asked, past SQLAlchemy, which takes ten times as long over a statement.

    A connection is set anew only where it has to be: SQLite prepares every statement again after
    `PRAGMA query_only`.
    """
    asked: _Transaction = connection.get_execution_options().get(_TRANSACTION, _READ)
    driver: Any = connection.connection.driver_connection
    if connection.info.get(_MODE) != asked.mode:
        for pragma in asked.mode:
            driver.execute(pragma)
        connection.info[_MODE] = asked.mode
    while True:
        try:
            driver.execute(asked.begin)
        except sqlite3.OperationalError as error:
            goes_on_waiting = connection.get_execution_options().get(_PATIENCE, _never)
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not goes_on_waiting():
                raise
        else:
            return


def _never() -> bool:
    return False


def _refuse_what_is_not_ours(path: Path, *, create: bool) -> None:
    """Looks at the file's header, so that SQLite never touches a file that is not ours.

    Raises:
        DatabaseError: If the file is missing (and not to be made), unreadable, or not ours.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError:
        if create:
            return
        raise DatabaseError(
            f"There is no database at {path}. `ablate run STUDY` or `ablate submit STUDY` makes "
            "one; --db or ABLATE_DB names one elsewhere."
        ) from None
    except OSError as error:
        raise DatabaseError(
            f"The database {path} cannot be read: {error.strerror}. Name another file with --db "
            "or ABLATE_DB."
        ) from error
    if not header:
        what = "is empty"
    elif not header.startswith(b"SQLite format 3\0"):
        what = "is not an SQLite database"
    elif int.from_bytes(header[68:72]) != APPLICATION_ID:  # sqlite.org/fileformat.html, 1.3.15
        what = "is an SQLite database, but not one of ablate's"
    else:
        return
    raise DatabaseError(
        f"The file {path} {what}. Name another file with --db or ABLATE_DB, or move this one away."
    )


def schema_of(engine: Engine) -> str:
    """The version of a database's schema.

    Raises:
        DatabaseError: If a newer ablate made the database, or it cannot be read.
    """
    with read(engine) as session:
        version = str(session.scalar(text("SELECT version_num FROM alembic_version")))
    if version > SCHEMA_VERSION:
        raise DatabaseError(
            f"The database {engine.url.database} has schema {version}, and this ablate knows "
            f"{SCHEMA_VERSION} at most: a newer ablate made it. Upgrade ablate, or name another "
            "file with --db or ABLATE_DB."
        )
    return version


def _refuse_another_schema(engine: Engine) -> None:
    """Compares the version of the schema with the one that this program knows.

    Raises:
        DatabaseError: If an older or a newer ablate made the database, or it cannot be read.
    """
    version = schema_of(engine)
    if version != SCHEMA_VERSION:
        path = str(engine.url.database)
        raise DatabaseError(
            f"The database {path} has schema {version}, and this ablate needs {SCHEMA_VERSION}: "
            f"an older ablate made it. `ablate db upgrade --db {shlex.quote(path)}` copies it and "
            "brings it up to date; nothing is lost."
        )
