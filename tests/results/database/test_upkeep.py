from __future__ import annotations

import itertools
import os
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import URL, create_engine, text

from results.database import upkeep
from results.database.attempts import AttemptWriter
from results.database.creation import migrations_config
from results.database.curves import CODEC, Points, encode
from results.database.engine import DatabaseError, open_database, read, write
from results.database.processes import this_process
from results.database.queue import LEASE_SECONDS, claim, register_worker
from results.database.reading import curve, evaluations, load_study, runs
from results.database.records import EpisodeRow, StudyRecord
from results.database.schema import APPLICATION_ID
from results.database.store import submit

SHA = "f" * 64
THEN = "2026-01-01 00:00:00.000000"
TABLES = (  # in an order in which each refers to those before it
    *("study", "study_design", "study_game", "study_seed", "study_toggle", "study_toggle_level"),
    *("arm", "study_arm", "study_arm_toggle", "run", "study_run", "worker", "attempt"),
    *("metric", "curve_chunk", "evaluation", "event", "normalization"),
)


def rows_of_schema_0001() -> dict[str, list[tuple]]:
    """One study of two runs, one finished and one lost, as the first schema kept it."""
    data = encode(Points.of([4, 8], [0.5, 0.25]))
    return {
        "study": [
            (1, "old", "Is it read?", "", SHA, "atari100k", 6000, 1000, "1 episode", THEN),
        ],
        "study_design": [(1, 0, "base")],
        "study_game": [(1, 0, "Pong")],
        "study_seed": [(1, 0, 0), (1, 1, 1)],
        "study_toggle": [(1, "ratio", 0)],
        "study_toggle_level": [(1, "ratio", "on", 0, 1)],
        "arm": [(1, SHA, "{}", 6000, 1000)],
        "study_arm": [(1, 1, "full", 0)],
        "study_arm_toggle": [(1, 1, "ratio", "on")],
        "run": [
            (1, "a" * 64, 1, "Pong", 0, "{}", "finished", 0, 0, 0, THEN),
            (2, "b" * 64, 1, "Pong", 1, "{}", "queued", 0, 1, 1, THEN),
        ],
        "study_run": [(1, 1, 0), (1, 2, 1)],
        "worker": [(1, "box", "old machine", 7, 5.0, "cpu", 0, THEN, None)],
        "attempt": [
            (3, 1, 1, 1, "finished", THEN, THEN, THEN, 6000, 9, 20.0, None),
            (4, 2, 1, 1, "lost", THEN, THEN, THEN, 40, 1, None, "silent"),
        ],
        "metric": [(1, "loss")],
        "curve_chunk": [(3, 1, 0, CODEC, 2, 4, 8, *data)],
        "evaluation": [(1, 3, 6000, 1, "argmax", 0, -20.0, 900, 0)],
        "event": [(1, THEN, "finished", 1, 3, None, None), (2, THEN, "lost", 2, 4, 1, "silent")],
        "normalization": [("wang2016", "pong", "Pong", -20.7, 14.6)],
    }


@pytest.fixture
def old(path: Path) -> Path:
    """A database as the first version made it, with rows in every table."""
    engine = create_engine(URL.create("sqlite", database=str(path)))
    config = migrations_config()
    with engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA journal_mode=WAL")
        for table, rows in rows_of_schema_0001().items():
            places = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        connection.execute("UPDATE sqlite_sequence SET seq = 9 WHERE name = 'attempt'")
    connection.close()
    return path


def contents(path: Path) -> dict[str, list[tuple]]:
    """The rows of every table of the first schema, in its columns."""
    connection = sqlite3.connect(path)
    found = {
        table: [row[: len(rows[0])] for row in connection.execute(f"SELECT * FROM {table}")]
        for table, rows in rows_of_schema_0001().items()
    }
    connection.close()
    return found


def files(directory: Path) -> set[str]:
    """The files there that are not SQLite's own companions of an open one."""
    return {entry.name for entry in directory.iterdir() if not entry.name.endswith(("wal", "shm"))}


def test_the_old_database_has_rows_in_every_table_of_its_schema(old):
    connection = sqlite3.connect(old)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.close()
    assert {name for (name,) in names} - {"sqlite_sequence", "alembic_version"} == set(TABLES)
    assert all(contents(old).values())


def test_an_old_database_is_refused_with_the_command_that_mends_it(old):
    with pytest.raises(DatabaseError, match=rf"schema 0001.*ablate db upgrade --db {old}"):
        open_database(old)


def test_an_upgraded_database_holds_every_row_that_it_held(old):
    before = contents(old)
    done = upkeep.upgrade(old)
    assert (done.before, done.after) == ("0001", "0006")
    assert contents(old) == before == rows_of_schema_0001()


def test_an_upgraded_database_has_the_tables_of_a_new_one(old, empty_database):
    upkeep.upgrade(old)
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    upgraded, new = sqlite3.connect(old), sqlite3.connect(empty_database)
    assert upgraded.execute(query).fetchall() == new.execute(query).fetchall()
    assert upgraded.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    upgraded.close()
    new.close()


def test_the_copy_beside_an_upgraded_database_is_what_it_was(old):
    done = upkeep.upgrade(old)
    assert done.backup == old.with_name("ablate.schema-0001.sqlite")
    assert contents(done.backup) == rows_of_schema_0001()
    with pytest.raises(DatabaseError, match="schema 0001"):
        open_database(done.backup)


def test_an_upgraded_database_is_used_like_any_other(old, make_study):
    upkeep.upgrade(old)
    engine = open_database(old)
    assert load_study(engine, "old").games == ("Pong",)
    assert curve(engine, "old", "loss")["value"].tolist() == [0.5, 0.25]
    assert evaluations(engine, "old")["episode_return"].tolist() == [-20.0]
    submit(engine, *make_study("new", games=("gymnasium:CartPole-v1",)))
    worker = register_worker(engine, device="cpu", slot=0)
    first = claim(engine, worker, study="old")
    assert (first.run_id, first.attempt_id, first.number, first.checkpoints) == (2, 10, 2, ())
    writer = AttemptWriter(engine, first)
    writer.log({"loss": 0.125}, env_frames=6000)
    writer.evaluation(6000, [EpisodeRow(0, 3.0, 10, False)], "argmax", final=True)
    writer.checkpoint(6000, "a", SHA, 1)
    assert writer.finish(5.0) == ["a"]
    assert runs(engine, "old")["state"].tolist() == ["finished", "finished"]
    assert claim(engine, worker).game == "gymnasium:CartPole-v1"
    engine.dispose()


def test_a_database_of_the_second_schema_is_upgraded_with_its_rows(old):
    engine = create_engine(URL.create("sqlite", database=str(old)))
    config = migrations_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.exec_driver_sql("INSERT INTO artifact VALUES (1, 3, 'd', 4, 'npz', x'00', '')")
    engine.dispose()
    with pytest.raises(DatabaseError, match="schema 0002"):
        open_database(old)
    done = upkeep.upgrade(old)
    assert (done.before, done.after) == ("0002", "0006")
    assert contents(old) == rows_of_schema_0001()
    engine = open_database(old)
    with read(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM artifact")) == 1
    assert evaluations(engine, "old")["length"].tolist() == [900]
    engine.dispose()


def test_upgrading_again_does_nothing(old):
    upkeep.upgrade(old)
    there = files(old.parent)
    again = upkeep.upgrade(old)
    assert (again.before, again.backup) == ("0006", None)
    assert files(old.parent) == there


def test_a_copy_that_is_there_is_not_replaced_by_an_upgrade(old):
    taken = old.with_name("ablate.schema-0001.sqlite")
    taken.write_text("mine")
    assert upkeep.upgrade(old).backup == old.with_name("ablate.schema-0001-2.sqlite")
    assert taken.read_text() == "mine"


def set_running(path: Path, machine: str, pid: int, started_at: float, heard: datetime) -> None:
    """Makes a worker hold the second run of the old database."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE run SET state = 'running' WHERE id = 2")
        connection.execute(
            "UPDATE attempt SET state = 'running', ended_at = NULL, error = NULL, "
            "heartbeat_at = ? WHERE id = 4",
            (heard.strftime("%Y-%m-%d %H:%M:%S.%f"),),
        )
        connection.execute(
            "UPDATE worker SET machine = ?, pid = ?, process_started_at = ?",
            (machine, pid, started_at),
        )
    connection.close()


def test_a_database_at_work_is_not_upgraded(old):
    me = this_process()
    set_running(old, me.machine, me.pid, me.started_at, datetime.now(UTC))
    before = contents(old)
    with pytest.raises(DatabaseError, match=rf"is at work: process {me.pid} on box\. Stop"):
        upkeep.upgrade(old)
    assert contents(old) == before
    assert files(old.parent) == {"ablate.sqlite"}


def test_a_worker_that_died_does_not_stop_an_upgrade(old):
    me = this_process()
    set_running(old, me.machine, me.pid, me.started_at - 100, datetime.now(UTC))
    upkeep.upgrade(old)
    engine = open_database(old)
    assert runs(engine, "old")["state"].tolist() == ["finished", "queued"]
    engine.dispose()


def test_an_upgrade_that_fails_midway_changes_nothing(old, monkeypatch):
    monkeypatch.setattr("results.database.views.VIEWS", ("CREATE VIEW nonsense",))
    before = contents(old)
    with pytest.raises(Exception, match="incomplete input"):
        upkeep.upgrade(old)
    assert contents(old) == before
    with pytest.raises(DatabaseError, match="schema 0001"):
        open_database(old)


def test_rows_that_refer_to_nothing_stop_an_upgrade(old):
    with sqlite3.connect(old) as connection:
        connection.execute("UPDATE attempt SET worker_id = 77 WHERE id = 4")
    connection.close()
    before = contents(old)
    with pytest.raises(DatabaseError, match=r"1 rows? .*the table attempt.*Nothing was changed"):
        upkeep.upgrade(old)
    assert contents(old) == before


def test_a_clock_that_was_set_back_does_not_keep_an_upgrade_waiting(old, monkeypatch) -> None:
    set_running(old, "another", 1, 1.0, datetime.now(UTC) + timedelta(hours=5))
    with pytest.raises(DatabaseError, match="is at work"):  # who lives is heard from soon
        upkeep.upgrade(old)
    later = datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS + 1)
    monkeypatch.setattr("results.database.queue.utc_now", lambda: later)
    upkeep.upgrade(old)


def test_an_upgraded_database_refuses_what_refers_to_nothing(old):
    upkeep.upgrade(old)
    engine = open_database(old)
    with pytest.raises(Exception, match="FOREIGN KEY"), write(engine) as session:
        session.execute(text("UPDATE attempt SET worker_id = 77"))
    engine.dispose()


def test_a_backup_holds_what_is_written_while_it_is_open(engine, submitted: StudyRecord, tmp_path):
    copy = upkeep.backup(engine, tmp_path / "copy.sqlite")
    opened = open_database(copy)
    assert load_study(opened, submitted.name) == submitted
    opened.dispose()
    assert files(tmp_path) == {"ablate.sqlite", "copy.sqlite"}


def test_a_backup_made_while_workers_write_is_whole(engine, path, tmp_path):
    """Every worker writes two rows at a time; a copy that holds one without the other is torn."""
    stop = threading.Event()
    written = [threading.Event() for _ in range(3)]

    def work(number: int) -> None:
        mine = open_database(path)
        for count in itertools.count():
            if stop.is_set():
                break
            with write(mine) as session:
                for half in ("left", "right"):
                    name = f"{half} {number} {count} {'x' * 2000}"
                    session.execute(text("INSERT INTO metric (name) VALUES (:n)"), {"n": name})
            written[number].set()
        mine.dispose()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for one in written:
        assert one.wait(30)
    copies = [upkeep.backup(engine, tmp_path / f"copy{number}.sqlite") for number in range(3)]
    stop.set()
    for worker in workers:
        worker.join()
    for copy in copies:
        opened = open_database(copy)
        with read(opened) as session:
            names = session.scalars(text("SELECT name FROM metric")).all()
            assert session.scalar(text("PRAGMA integrity_check")) == "ok"
        opened.dispose()
        halves = {
            half: {n.split(" ", 1)[1] for n in names if n.startswith(half)}
            for half in ("left", "right")
        }
        assert halves["left"] == halves["right"] != set()


def test_a_backup_replaces_no_file(engine, tmp_path):
    (tmp_path / "copy.sqlite").write_text("mine")
    with pytest.raises(DatabaseError, match=r"cannot be copied to .*copy\.sqlite: File exists"):
        upkeep.backup(engine, tmp_path / "copy.sqlite")
    assert (tmp_path / "copy.sqlite").read_text() == "mine"
    assert files(tmp_path) == {"ablate.sqlite", "copy.sqlite"}


def test_a_backup_can_be_made_where_there_are_no_hard_links(engine, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    upkeep.backup(engine, tmp_path / "copy.sqlite")
    open_database(tmp_path / "copy.sqlite").dispose()
    (tmp_path / "mine.sqlite").write_text("mine")
    with pytest.raises(DatabaseError, match="File exists"):
        upkeep.backup(engine, tmp_path / "mine.sqlite")
    assert files(tmp_path) == {"ablate.sqlite", "copy.sqlite", "mine.sqlite"}


def test_backups_of_one_second_get_names_of_their_own(path):
    now = datetime(2026, 1, 2, 3, 4, 5)
    first = upkeep.backup_path(path, now)
    assert first.name == "ablate.backup-20260102-030405.sqlite"
    first.touch()
    assert upkeep.backup_path(path, now).name == "ablate.backup-20260102-030405-2.sqlite"


def test_vacuuming_gives_the_room_of_deleted_rows_back(engine, path):
    with write(engine) as session:
        session.execute(text("INSERT INTO metric (name) VALUES (hex(zeroblob(500000)))"))
    with write(engine) as session:
        session.execute(text("DELETE FROM metric"))
    before, after = upkeep.vacuum(engine)
    assert after == path.stat().st_size < before - 900_000
    with read(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM metric")) == 0
