from __future__ import annotations

import pytest

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
        ("ablate.sqlite", "ablate.checkpoints"),
        ("my.first.sqlite", "my.first.checkpoints"),
        ("ablate.db", "ablate.db.checkpoints"),
        ("ablate", "ablate.checkpoints"),
    ],
)
def test_checkpoints_lie_beside_their_database(tmp_path, name, directory):
    engine = open_database(tmp_path / name, create=True)
    assert location.checkpoint_directory(engine) == tmp_path / directory
    engine.dispose()
