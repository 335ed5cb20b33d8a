from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from results.database.creation import create_database
from results.database.engine import DatabaseError, open_database, read, write


def files(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}


def test_a_missing_directory_is_refused_and_not_made(tmp_path):
    with pytest.raises(DatabaseError, match=r"there is no directory .*nowhere"):
        open_database(tmp_path / "nowhere" / "ablate.sqlite", create=True)
    assert files(tmp_path) == set()


def test_a_directory_that_takes_no_files_is_refused(tmp_path):
    closed = tmp_path
    if os.geteuid() == 0:  # root may write anywhere, except where the kernel makes the files
        closed = Path("/proc/self")
    else:
        closed.chmod(0o500)
    with pytest.raises(DatabaseError, match="cannot be made"):
        open_database(closed / "ablate.sqlite", create=True)


def test_a_creation_that_fails_midway_leaves_nothing(path, monkeypatch):
    monkeypatch.setattr("results.database.views.VIEWS", ("CREATE VIEW nonsense",))
    with pytest.raises(Exception, match="incomplete input"):
        open_database(path, create=True)
    assert files(path.parent) == set()


def test_a_database_that_another_process_made_meanwhile_is_kept(path, engine: Engine):
    with write(engine) as session:
        session.execute(text("INSERT INTO metric (name) VALUES ('loss')"))
    create_database(path)
    with read(engine) as session:
        assert session.scalar(text("SELECT name FROM metric")) == "loss"
    assert not [name for name in files(path.parent) if "draft" in name]


def test_a_database_can_be_made_where_there_are_no_hard_links(path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    open_database(path, create=True).dispose()
    assert files(path.parent) == {"ablate.sqlite"}
