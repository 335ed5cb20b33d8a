from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from results.database import engine as engine_module
from results.database.engine import DatabaseError, open_database, read, write
from results.database.errors import DatabaseLocked


def pragma(session, name):
    return session.scalar(text(f"PRAGMA {name}"))


def files(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}


def test_a_missing_file_is_refused_with_its_path_and_the_command_that_makes_one(path):
    with pytest.raises(DatabaseError, match=r"no database at .*ablate\.sqlite.*ablate run STUDY"):
        open_database(path)
    assert files(path.parent) == set()


def test_a_created_database_opens_again_and_leaves_one_file(path):
    open_database(path, create=True).dispose()
    open_database(str(path)).dispose()
    open_database(f"sqlite:///{path}", create=True).dispose()
    assert files(path.parent) == {"ablate.sqlite"}


def test_creating_over_an_existing_database_keeps_what_it_holds(path, engine: Engine):
    with write(engine) as session:
        session.execute(text("INSERT INTO metric (name) VALUES ('loss')"))
    again = open_database(path, create=True)
    with read(again) as session:
        assert session.scalar(text("SELECT name FROM metric")) == "loss"
    again.dispose()


def test_a_file_that_is_no_database_is_refused_and_left_alone(path):
    path.write_text("name = 'smoke'\n" * 20)
    for create in (False, True):
        with pytest.raises(DatabaseError, match="is not an SQLite database"):
            open_database(path, create=create)
    assert path.read_text() == "name = 'smoke'\n" * 20
    assert files(path.parent) == {"ablate.sqlite"}


def test_an_empty_file_is_refused(path):
    path.touch()
    with pytest.raises(DatabaseError, match="is empty"):
        open_database(path, create=True)


def test_the_database_of_another_program_is_refused_and_left_alone(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE run (id INTEGER)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match="not one of ablate's"):
        open_database(path, create=True)
    assert path.read_bytes() == before
    assert files(path.parent) == {"ablate.sqlite"}


def test_a_newer_schema_is_refused_with_both_versions(path, engine: Engine):
    with write(engine) as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0007'"))
    with pytest.raises(DatabaseError, match=r"schema 0007.*knows 0006.*Upgrade ablate"):
        open_database(path)


def test_a_damaged_database_is_reported_as_such(path, engine: Engine):
    engine.dispose()
    content = bytearray(path.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    path.write_bytes(content)
    with pytest.raises(DatabaseError, match="damaged"):
        open_database(path)


def test_a_directory_in_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(DatabaseError, match="cannot be read: Is a directory"):
        open_database(tmp_path, create=True)


def test_a_database_that_another_program_keeps_for_itself_is_reported(path, engine, monkeypatch):
    engine.dispose()
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_MS", 50)
    other = sqlite3.connect(path)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("INSERT INTO metric (name) VALUES ('loss')")
    with pytest.raises(DatabaseError, match="stayed locked"):
        open_database(path)
    other.close()


def test_an_engine_may_wait_for_a_lock_for_as_long_as_it_is_told_to(path, engine, monkeypatch):
    engine.dispose()
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_MS", 10)
    patient = open_database(path)
    other = sqlite3.connect(path, isolation_level=None)
    asked = []

    def goes_on_waiting() -> bool:
        asked.append(1)
        if len(asked) == 3:
            other.execute("ROLLBACK")
        return len(asked) != 7

    engine_module.wait_for_locks(patient, goes_on_waiting)
    other.execute("BEGIN IMMEDIATE")
    with write(patient) as session:
        session.execute(text("INSERT INTO metric (name) VALUES ('loss')"))
    assert len(asked) == 3
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseLocked, match="stayed locked"), write(patient):
        pass
    assert len(asked) == 7
    other.close()
    patient.dispose()


def test_an_old_sqlite_is_refused(path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(DatabaseError, match="too old"):
        open_database(path, create=True)


def test_every_connection_is_set_up(engine: Engine):
    with write(engine) as session:
        assert pragma(session, "journal_mode") == "wal"
        assert pragma(session, "foreign_keys") == 1
        assert pragma(session, "busy_timeout") == 30_000
        assert pragma(session, "synchronous") == 1  # NORMAL


def test_a_durable_transaction_waits_for_the_disk_and_the_next_does_not(engine: Engine):
    with write(engine, durable=True) as session:
        assert pragma(session, "synchronous") == 2  # FULL
    with write(engine) as session:
        assert pragma(session, "synchronous") == 1


def test_a_reader_cannot_write(engine: Engine):
    with (
        pytest.raises(DatabaseError, match="cannot be written to"),
        read(engine) as session,
    ):
        session.execute(text("INSERT INTO metric (name) VALUES ('loss')"))


def test_a_connection_that_wrote_and_then_reads_cannot_write(engine: Engine):
    with write(engine) as session:
        session.execute(text("INSERT INTO metric (name) VALUES ('loss')"))
    for _ in range(2):
        with read(engine) as session:
            assert pragma(session, "query_only") == 1
    with write(engine) as session:
        assert pragma(session, "query_only") == 0


def test_a_connection_is_set_anew_only_where_it_has_to_be(engine: Engine):
    told: list[str] = []
    with write(engine) as session:
        session.connection().connection.driver_connection.set_trace_callback(told.append)
    for _ in range(3):
        with write(engine):
            pass
    assert not [statement for statement in told if statement.startswith("PRAGMA")]


def test_a_reader_sees_one_moment(engine: Engine):
    count = text("SELECT count(*) FROM metric")
    with read(engine) as session:
        assert session.scalar(count) == 0
        with write(engine) as other:
            other.execute(text("INSERT INTO metric (name) VALUES ('loss')"))
        assert session.scalar(count) == 0
    with read(engine) as session:
        assert session.scalar(count) == 1


def test_an_exception_undoes_the_transaction(engine: Engine):
    def write_and_fail():
        with write(engine) as session:
            session.execute(text("INSERT INTO metric (name) VALUES ('loss')"))
            raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        write_and_fail()
    with read(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM metric")) == 0


def test_a_write_transaction_holds_the_lock_from_its_beginning(path, monkeypatch):
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_MS", 50)
    engine = open_database(path, create=True)
    refusals = []

    def second_writer():
        try:
            with write(engine):
                pass
        except DatabaseError as error:
            refusals.append(str(error))

    with write(engine):
        thread = threading.Thread(target=second_writer)
        thread.start()
        thread.join()
    engine.dispose()
    assert len(refusals) == 1
    assert "stayed locked by another process" in refusals[0]


def test_a_full_disk_is_reported_and_undone(engine: Engine):
    def fill():
        with write(engine) as session:
            session.execute(text(f"PRAGMA max_page_count={pragma(session, 'page_count')}"))
            session.execute(text("INSERT INTO metric (name) VALUES ('loss')"))
            session.execute(text("INSERT INTO metric (name) VALUES (hex(randomblob(100000)))"))

    with pytest.raises(DatabaseError, match="disk or the quota is full"):
        fill()
    with read(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM metric")) == 0
        assert pragma(session, "integrity_check") == "ok"


def test_importing_the_room_loads_nothing_slow():
    modules = "attempts curves engine queue reading records schema store views"
    code = "\n".join(f"import results.database.{name}" for name in modules.split())
    code += "\nimport sys; print([m for m in ('alembic', 'pandas', 'torch') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_a_database_in_a_read_only_place_can_be_read_and_not_written(path, engine, monkeypatch):
    with write(engine) as session:
        session.execute(text("INSERT INTO metric (name) VALUES ('loss')"))
    engine.dispose()
    before = files(path.parent)
    monkeypatch.setattr(engine_module.os, "access", lambda place, mode: False)
    frozen = open_database(path)
    with read(frozen) as session:
        assert session.scalar(text("SELECT name FROM metric")) == "loss"
    with pytest.raises(DatabaseError, match="cannot be written to"), write(frozen) as session:
        session.execute(text("DELETE FROM metric"))
    frozen.dispose()
    assert files(path.parent) == before
