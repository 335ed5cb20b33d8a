from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from results.database import location
from results.database.engine import DatabaseError, open_database


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://box/ablate", "not supported"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///a.sqlite?mode=ro", "not supported"),
        ("://", "not a database URL"),
    ],
)
def test_a_url_that_names_no_file_is_refused(url, said):
    with pytest.raises(DatabaseError, match=said):
        open_database(url, create=True)


def test_a_network_file_system_is_refused(path, monkeypatch):
    class Mount:
        mountpoint = str(path.parent)
        fstype = "nfs4"

    monkeypatch.setattr(location.psutil, "disk_partitions", lambda all: [Mount])
    with pytest.raises(DatabaseError, match=r"network file system \(nfs4 at"):
        open_database(path, create=True)
    Mount.fstype = "ext4"
    open_database(path, create=True).dispose()


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("ablate.sqlite", "ablate.sqlite.checkpoints"),
        ("my.first.sqlite", "my.first.sqlite.checkpoints"),
        ("ablate.db", "ablate.db.checkpoints"),
        ("ablate", "ablate.checkpoints"),
    ],
)
def test_checkpoints_lie_beside_their_database(tmp_path, name, directory):
    engine = open_database(tmp_path / name, create=True)
    assert location.checkpoint_directory(engine) == tmp_path / directory
    engine.dispose()


def test_a_link_leads_to_the_checkpoints_of_the_file_behind_it(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "link.sqlite").symlink_to(tmp_path / "x.sqlite")
    engine = create_engine(f"sqlite:///{tmp_path / 'sub' / 'link.sqlite'}")
    assert location.checkpoint_directory(engine) == tmp_path / "x.sqlite.checkpoints"
