"""What can go wrong with a database, each said in one clear paragraph."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

_PARAGRAPHS = {
    sqlite3.SQLITE_BUSY: (
        "The database {path} stayed locked by another process. Nothing was written by this step. "
        "Look for a program that holds it open (a database browser in a transaction, a backup) "
        "and close it: `ablate work` goes on by itself then; run any other command again."
    ),
    sqlite3.SQLITE_READONLY: (
        "The database {path} cannot be written to. SQLite needs to write to the file and to its "
        "directory: mend their permissions, or name a database elsewhere with --db or ABLATE_DB."
    ),
    sqlite3.SQLITE_FULL: (
        "There is no room to write to the database {path}: the disk or the quota is full. The "
        "unfinished step was undone and everything before it is safe. Free some space: `ablate "
        "work` goes on by itself then; run any other command again."
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "The database {path} cannot be opened. SQLite needs to read and write the file and its "
        "directory: mend their permissions, or name a database elsewhere with --db or ABLATE_DB."
    ),
    sqlite3.SQLITE_NOTADB: (
        "The file {path} is not an SQLite database. Name another file with --db or ABLATE_DB, or "
        "move this one away."
    ),
    sqlite3.SQLITE_CORRUPT: (
        "The database {path} is damaged. Stop every worker, keep a copy of the file and of its "
        "-wal companion, and recover what can be read with `sqlite3 {path} .recover`."
    ),
    sqlite3.SQLITE_IOERR: (
        "Reading or writing the database {path} failed in the operating system. Check the disk "
        "(room, health, whether it is still mounted), then run the same command again."
    ),
}
_SAME_AS = {
    sqlite3.SQLITE_LOCKED: sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_PERM: sqlite3.SQLITE_CANTOPEN,
}


class DatabaseError(Exception):
    """One paragraph: what is wrong, where, and the remedy."""


class DiskFull(DatabaseError):
    """There is no room to write: nothing is broken, and it goes on when there is some."""


class DatabaseLocked(DatabaseError):
    """Another process holds the database: nothing is broken, and it goes on when that ends."""


class StudyConflict(DatabaseError):
    """The name of the study is taken by other contents."""


_KINDS = {
    sqlite3.SQLITE_FULL: DiskFull,
    sqlite3.SQLITE_BUSY: DatabaseLocked,
    sqlite3.SQLITE_LOCKED: DatabaseLocked,
}


class LeaseLost(Exception):
    """The attempt no longer holds its run: whatever it still wants to write is refused."""


@contextmanager
def clear_errors(path: str) -> Iterator[None]:
    """Turns errors of the driver into paragraphs; those that are our own bugs pass as they are.

    Raises:
        DatabaseError: If the database is locked, read-only, damaged, or out of room.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:  # the latter while a connection is set up
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = getattr(cause, "sqlite_errorcode", None)
        if code is None:
            raise
        primary = code & 0xFF  # the rest of an extended code says how, not what
        paragraph = _PARAGRAPHS.get(_SAME_AS.get(primary, primary))
        if paragraph is None:
            raise
        raise _KINDS.get(primary, DatabaseError)(paragraph.format(path=path)) from error
