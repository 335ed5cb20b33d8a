import sqlite3

import pytest
from alembic import command
from sqlalchemy import URL, create_engine

from results.database.creation import migrations_config
from results.database.engine import open_database
from results.database.schema import APPLICATION_ID


@pytest.fixture
def old(tmp_path):
    """A database of the first schema, which holds one metric."""
    path = tmp_path / "ablate.sqlite"
    engine = create_engine(URL.create("sqlite", database=str(path)))
    config = migrations_config()
    with engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql("INSERT INTO metric (name) VALUES ('loss')")
    engine.dispose()
    return path


def metrics(path):
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT name FROM metric").fetchall()
    connection.close()
    return found


def test_the_command_that_an_old_database_asks_for_mends_it(old, ablate):
    refused = ablate("status", "--db", str(old))
    assert refused.exit_code == 2
    assert f"ablate db upgrade --db {old}" in refused.stderr
    done = ablate("db", "upgrade", "--db", str(old))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"Copied to {old.with_name('ablate.schema-0001.sqlite')}",
        f"{old}: schema 0001 is now 0006.",
    ]
    assert ablate("status", "--db", str(old)).exit_code == 0
    again = ablate("db", "upgrade", "--db", str(old))
    assert (again.exit_code, again.stdout) == (
        0,
        f"{old} has schema 0006 already: nothing to do.\n",
    )


def test_a_missing_database_is_not_made_by_an_upgrade(tmp_path, ablate):
    done = ablate("db", "upgrade", "--db", str(tmp_path / "none.sqlite"))
    assert done.exit_code == 2
    assert "There is no database at" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_backup_goes_where_it_is_asked_and_replaces_nothing(old, tmp_path, ablate):
    copy = tmp_path / "copy.sqlite"
    done = ablate("db", "backup", "--db", str(old), "--output", str(copy))
    assert (done.exit_code, done.stdout) == (0, f"Copied to {copy}\n")
    assert metrics(copy) == [("loss",)]
    again = ablate("db", "backup", "--db", str(old), "--output", str(copy))
    assert again.exit_code == 2
    assert "File exists" in again.stderr


def test_a_backup_without_a_place_goes_beside_the_database(old, ablate):
    done = ablate("db", "backup", "--db", str(old))
    (copy,) = old.parent.glob("ablate.backup-*.sqlite")
    assert done.stdout == f"Copied to {copy}\n"
    assert metrics(copy) == [("loss",)]


def test_a_backup_into_no_folder_is_refused(old, tmp_path, ablate):
    output = str(tmp_path / "nowhere" / "copy.sqlite")
    done = ablate("db", "backup", "--db", str(old), "--output", output)
    assert done.exit_code == 2
    assert "there is no folder" in done.stderr


def test_vacuuming_says_what_it_gave_back(tmp_path, ablate):
    path = tmp_path / "ablate.sqlite"
    open_database(path, create=True).dispose()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("INSERT INTO metric (name) VALUES (hex(zeroblob(100000)))")
        connection.execute("DELETE FROM metric")
    connection.close()
    done = ablate("db", "vacuum", "--db", str(path))
    assert done.exit_code == 0
    assert f" {path.stat().st_size:,} now." in done.stdout
