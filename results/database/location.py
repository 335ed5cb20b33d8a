"""Where a database lies: the file behind a URL, and whether that place will do."""

from __future__ import annotations

from pathlib import Path

import psutil
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError

from results.database.errors import DatabaseError

# Locks and shared memory, which WAL needs, do not reach across these.
NETWORK_FILE_SYSTEMS = frozenset(
    {"afpfs", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs"}
    | {"glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs", "webdav"}
)


def database_path(url: str | Path) -> Path:
    """The absolute path of the file that a URL or a plain path names.

    Raises:
        DatabaseError: If the URL is malformed, or names anything but an SQLite file.
    """
    if isinstance(url, Path) or "://" not in url:
        return Path(url).expanduser().absolute()
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseError(
            f"{url!r} is not a database URL. Give a path such as ablate.sqlite, or a URL such as "
            "sqlite:////data/ablate.sqlite."
        ) from None
    if parsed.get_backend_name() != "sqlite" or parsed.query:
        raise DatabaseError(
            f"The database URL {parsed.render_as_string()} is not supported: databases are plain "
            "SQLite files. Give a path such as ablate.sqlite, or a URL such as "
            "sqlite:////data/ablate.sqlite."
        )
    if parsed.database in (None, "", ":memory:"):
        raise DatabaseError(
            f"The database URL {url} keeps everything in memory, where no worker process can see "
            "it. Give a path such as ablate.sqlite."
        )
    return Path(str(parsed.database)).absolute()


def checkpoint_directory(engine: Engine) -> Path:
    """Where the checkpoints of a database's runs lie: beside its file, under its whole name.

    `ablate.sqlite.checkpoints` for `ablate.sqlite`, whatever link leads to that file: no two
    databases share it, and each finds its own.
    """
    path = Path(str(engine.url.database)).resolve()
    return path.with_name(f"{path.name}.checkpoints")


def checkpoint_folder(identity: str) -> str:
    """The name of a run's folder in the checkpoint directory."""
    return identity[:16]


def refuse_network_file_system(path: Path) -> None:
    """Makes sure that the file lies on a disk of this machine.

    Raises:
        DatabaseError: If it lies on a network file system.
    """
    real = path.resolve()
    mounts = {Path(p.mountpoint): p.fstype for p in psutil.disk_partitions(all=True)}
    mount = next((parent for parent in (real, *real.parents) if parent in mounts), None)
    if mount is not None and mounts[mount] in NETWORK_FILE_SYSTEMS:
        raise DatabaseError(
            f"The database {path} lies on a network file system ({mounts[mount]} at {mount}), "
            "where SQLite's locks do not hold and results would be lost. Put it on a disk of this "
            "machine with --db or ABLATE_DB, and copy the file afterwards."
        )
