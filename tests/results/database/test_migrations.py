from __future__ import annotations

import logging
import warnings

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from results.database import schema
from results.database.columns import Base
from results.database.creation import migrations_config
from results.database.engine import open_database


def statements(connection) -> dict[str, list[str]]:
    """The SQL of every table and index, line by line, in an order that says nothing."""
    rows = connection.execute(
        text("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index')")
    )
    return {
        name: sorted(line.strip().rstrip(",") for line in sql.splitlines())
        for name, sql in rows
        if sql is not None and not name.startswith(("sqlite_", "alembic_"))
    }


def test_the_migrations_make_the_tables_that_the_models_describe(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrations_make_every_constraint_of_the_models(engine):
    modelled = create_engine("sqlite://")
    Base.metadata.create_all(modelled)
    with engine.connect() as migrated, modelled.connect() as direct:
        assert statements(migrated) == statements(direct)
    modelled.dispose()


def test_the_schema_version_is_the_newest_migration():
    heads = ScriptDirectory.from_config(migrations_config()).get_heads()
    assert heads == [schema.SCHEMA_VERSION]


def test_making_a_database_is_silent(path, capfd, caplog):
    with caplog.at_level(logging.INFO), warnings.catch_warnings():
        warnings.simplefilter("error")
        open_database(path, create=True).dispose()
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a b%20c.sqlite", "ä?#.sqlite"])
def test_a_database_may_have_any_name(tmp_path, name):
    open_database(tmp_path / name, create=True).dispose()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
