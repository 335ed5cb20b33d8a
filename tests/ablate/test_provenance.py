import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
import tomllib
import zlib
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

import ablate as package
from ablate import planner, provenance
from ablate.assembly import assemble_study
from ablate.devices import ThisMachine
from results.database import queue
from results.database.engine import open_database, read
from results.database.merging import merge

ROOT = Path(package.__file__).resolve().parents[1]


def rows(engine, query):
    with read(engine) as session:
        return [tuple(row) for row in session.execute(text(query))]


@pytest.fixture
def tried(parsed, engine):
    """The small study; its first run was tried by a worker that says where it comes from."""
    planner.submit(assemble_study(parsed()), engine)
    origin = provenance.origin_here("cpu", os.getpid(), ThisMachine())
    worker = queue.register_worker(engine, device="cpu", slot=0, origin=origin)
    claim = queue.claim(engine, worker)
    assert claim is not None
    queue.AttemptWriter(engine, claim).finish(1.0)
    return engine


def test_the_archive_holds_every_source_file_as_it_is() -> None:
    code = provenance.code_here()
    with tarfile.open(fileobj=io.BytesIO(code.archive()), mode="r:xz") as archive:
        names = set(archive.getnames())
        held = archive.extractfile("ablate/provenance.py")
        assert held is not None
        assert held.read() == (ROOT / "ablate" / "provenance.py").read_bytes()
    assert {"agents/training/loop.py", "results/database/queue.py"} <= names
    assert code.archive() == code.archive()
    assert len(code.sources_sha256) == 64


def test_the_archive_holds_what_is_installed_but_recorded_results() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["results"]
    installed = {pattern.removeprefix("**/*") for pattern in patterns}
    assert {".py"} | installed - {".sqlite"} == provenance.SOURCES


def test_a_change_of_a_table_or_a_page_is_other_code(tmp_path, monkeypatch) -> None:
    for name in ("ablate/__init__.py", "results/page.html.j2", "results/table.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("first")
    monkeypatch.setattr("ablate.__file__", str(tmp_path / "ablate" / "__init__.py"))
    (tmp_path / "ablate" / ".#editing.py").symlink_to("nobody@nowhere")  # as Emacs locks a file
    hashes = {provenance.sources_sha256()}
    for name in ("ablate/__init__.py", "results/page.html.j2", "results/table.csv"):
        (tmp_path / name).write_text("second")
        hashes.add(provenance.sources_sha256())
    assert len(hashes) == 4


def test_the_unpacked_sources_run_as_they_say(tried, ablate, tmp_path) -> None:
    said = ablate("logs", "1", "--sources", "old code").stdout
    assert said.endswith("PYTHONPATH='old code' python -P -m ablate ... runs them.\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "old code")}
    command = [sys.executable, "-P", "-m", "ablate", "report", "mini", "--partial"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "mini_report.html\n"), done.stderr


def test_code_and_packages_are_stored_once_per_content(tried) -> None:
    origin = provenance.origin_here("cpu", os.getpid(), ThisMachine())
    queue.register_worker(tried, device="cpu", slot=1, origin=origin)
    assert rows(tried, "SELECT count(*) FROM code") == [(1,)]
    assert rows(tried, "SELECT count(DISTINCT code_id) FROM run") == [(1,)]
    ((diff,),) = rows(tried, "SELECT diff FROM code")
    assert zlib.decompress(diff) == provenance.code_here().diff
    ((lines,),) = rows(tried, "SELECT lines FROM packages")
    assert any(line.startswith("torch==2.13.0") for line in lines.splitlines())


def test_every_attempt_tells_its_origin(tried, ablate) -> None:
    (one,) = json.loads(ablate("logs", "1", "--origin", "--json").stdout)
    assert one["sources_sha256"] == one["submitted_sha256"]
    assert one["command"] == shlex.join(psutil.Process().cmdline())
    said = ablate("logs", "1", "--origin").stdout
    assert "(as queued)" in said
    assert "Python 3." in said


def test_a_run_that_was_trained_with_other_code_is_told(tried, ablate, monkeypatch) -> None:
    assert "other source files" not in ablate("status", "mini").stdout
    with tried.begin() as connection:
        connection.exec_driver_sql("PRAGMA query_only=OFF")
        connection.exec_driver_sql(
            "INSERT INTO code SELECT 9, replace(hex(zeroblob(32)), '00', 'ab'), '', '', version, "
            "diff, sources FROM code WHERE id = 1"
        )
        connection.exec_driver_sql("UPDATE worker SET code_id = 9")
    said = ablate("status", "mini").stdout
    assert "Check: 1 run trained with other source files than those that queued them: 1." in said
    assert "(queued with " in ablate("logs", "1", "--origin").stdout


def test_the_sources_that_queued_a_run_can_be_unpacked(tried, ablate, tmp_path) -> None:
    folder = tmp_path / "then"
    assert ablate("logs", "1", "--sources", str(folder)).exit_code == 0
    assert (folder / "ablate" / "grid.py").read_bytes() == (ROOT / "ablate/grid.py").read_bytes()
    assert ablate("logs", "1", "--sources", str(folder)).exit_code == 2


def test_a_merge_brings_code_and_packages_along(tried, tmp_path) -> None:
    target = open_database(tmp_path / "target.sqlite", create=True)
    merge(tried, target)
    query = (
        "SELECT queued.sources_sha256, used.sources_sha256, packages.sha256 FROM run "
        "JOIN attempt ON attempt.run_id = run.id JOIN worker ON worker.id = attempt.worker_id "
        "JOIN code AS queued ON queued.id = run.code_id JOIN code AS used ON used.id = "
        "worker.code_id JOIN packages ON packages.id = worker.packages_id"
    )
    assert rows(target, query) == rows(tried, query) != []
    target.dispose()
