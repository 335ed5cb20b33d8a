"""Which checkpoints go, and which stay."""

import errno
from datetime import timedelta
from pathlib import Path
from shutil import rmtree

import pytest

from ablate import planner
from ablate.assembly import assemble_study
from ablate.cli import db
from ablate.pruning import KEPT_DAYS, Pruned, prune
from results.database import control, queue
from results.database import engine as engine_module
from results.database.clock import utc_now
from results.database.control import Selection
from results.database.engine import write
from results.database.errors import DatabaseError
from results.database.location import checkpoint_directory, checkpoint_folder


@pytest.fixture
def saved(parsed, engine):
    """Makes a run of the small study that has been saved once, and hands it back."""
    planner.submit(assemble_study(parsed()), engine)
    worker = queue.register_worker(engine, device="cpu", slot=0)

    def save() -> tuple[queue.AttemptWriter, Path]:
        claim = queue.claim(engine, worker)
        assert claim is not None
        writer = queue.AttemptWriter(engine, claim)
        name = f"{checkpoint_folder(claim.identity)}/1200-{claim.attempt_id}.pt"
        path = checkpoint_directory(engine) / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"saved")
        writer.checkpoint(1200, name, "0" * 64, 5)
        return writer, path

    return save


def later(days: float):
    return lambda: utc_now() + timedelta(days=days)


def test_a_cancelled_run_is_kept_for_a_week_and_then_starts_anew(saved, engine) -> None:
    writer, path = saved()
    run = writer.claim.run_id
    control.cancel(engine, Selection(runs=(run,)))
    assert prune(engine, clock=later(KEPT_DAYS - 1)).files == 0
    assert path.exists()
    assert prune(engine, clock=later(KEPT_DAYS + 1)).size == len(b"saved")
    assert not checkpoint_directory(engine).exists()
    control.retry(engine, Selection(runs=(run,)))
    again = queue.claim(engine, queue.register_worker(engine, device="cpu", slot=1))
    assert again is not None
    assert (again.run_id, again.number, again.checkpoints) == (run, 2, ())


def test_a_retried_run_keeps_what_it_had_when_it_was_cancelled(saved, engine) -> None:
    writer, path = saved()
    chosen = Selection(runs=(writer.claim.run_id,))
    control.cancel(engine, chosen)
    control.retry(engine, chosen)
    assert prune(engine, clock=later(30)).files == 0
    assert path.exists()


def test_what_a_killed_worker_left_of_a_finished_run_goes(saved, engine) -> None:
    writer, path = saved()
    writer.finish(1.0)  # and before it deletes the file it is killed
    assert prune(engine).files == 1
    assert not path.exists()


def test_nothing_of_a_run_in_hand_is_touched(saved, engine) -> None:
    _, path = saved()
    new = path.with_name("1600-1.pt")
    new.write_bytes(b"not in the database yet")
    assert prune(engine, clock=later(30)).files == 0
    assert new.exists()


@pytest.mark.parametrize("end", ["release", "fail"])
def test_what_a_run_may_go_on_from_stays_and_what_lies_beside_it_goes(saved, engine, end) -> None:
    writer, path = saved()
    path.with_name("1600-1.draft").write_bytes(b"half")
    getattr(writer, end)("stopped")
    assert prune(engine, clock=later(30)).files == 1
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_folder_that_is_no_runs_stays(saved, engine) -> None:
    saved()
    mine = checkpoint_directory(engine) / "mine" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert prune(engine, clock=later(30)).files == 0
    assert mine.exists()


def test_a_folder_that_its_worker_deletes_meanwhile_is_no_matter(
    saved, engine, monkeypatch
) -> None:
    writer, path = saved()
    writer.finish(1.0)
    listed = Path.iterdir

    def vanishing(folder: Path):
        if folder == path.parent:
            rmtree(folder)
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", vanishing)
    assert prune(engine) == Pruned(0, 0)
    assert not path.parent.exists()


def test_a_folder_of_somebody_else_is_named_and_the_others_are_cleared(
    saved, engine, monkeypatch, ablate
) -> None:
    first, mine = saved()
    first.finish(1.0)
    second, theirs = saved()
    second.finish(1.0)
    listed = Path.iterdir

    def refusing(folder: Path):
        if folder == theirs.parent:
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refusing)
    done = ablate("db", "prune")
    assert (done.exit_code, done.stdout) == (0, "Deleted 1 file, 1 KB.\n")
    assert f"Old checkpoints in {theirs.parent} are not deleted: Permission denied." in done.stderr
    assert theirs.exists()
    assert not mine.exists()


def test_no_run_can_be_claimed_meanwhile(saved, engine, monkeypatch) -> None:
    saved()[0].finish(1.0)
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_MS", 20)
    other = engine_module.open_database(str(engine.url.database))
    refused = []

    def claim_first(path: Path) -> None:
        with pytest.raises(DatabaseError, match="locked"), write(other):
            pass
        refused.append(path)

    monkeypatch.setattr(Path, "unlink", claim_first)
    prune(engine)
    assert len(refused) == 1
    other.dispose()


def test_the_command_says_what_it_deleted(saved, engine, ablate) -> None:
    saved()[0].finish(1.0)
    assert ablate("db", "prune").stdout == "Deleted 1 file, 1 KB.\n"
    assert ablate("db", "prune", "--days", "0").stdout == "Deleted 0 files.\n"
    assert db.KEPT_DAYS == KEPT_DAYS
