from pathlib import Path

import pytest
import torch

from ablate.run_files import RunFiles
from agents.training.checkpoint import Checkpoint, CheckpointError
from results.database.records import CheckpointRow

IDENTITY = "0123456789abcdef" * 4


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return RunFiles(tmp_path / "mini.checkpoints", IDENTITY)


@pytest.fixture
def row(files: RunFiles) -> CheckpointRow:
    """A checkpoint that was saved, as the database knows it."""
    saved = files.checkpoints().save(Checkpoint(400, {"values": torch.ones(2)}))
    name = files.name(saved.path)
    return CheckpointRow(1, saved.env_frames, name, saved.sha256, saved.size, 1)


def test_a_checkpoint_is_found_by_what_the_database_calls_it(files, row) -> None:
    assert row.path.startswith("0123456789abcdef/400-")
    assert files.load(row).state["values"].tolist() == [1, 1]


def test_a_directory_may_be_moved(files, row, tmp_path) -> None:
    (tmp_path / "mini.checkpoints").rename(tmp_path / "other")
    assert RunFiles(tmp_path / "other", IDENTITY).load(row).env_frames == 400


def test_a_checkpoint_of_another_run_is_refused(row, tmp_path) -> None:
    other = RunFiles(tmp_path / "mini.checkpoints", "f" * 64)
    with pytest.raises(CheckpointError, match="belongs to the run 0123456789ab"):
        other.load(row)


def test_a_folder_that_cannot_be_made_is_not_tried_again_at_every_step(files, tmp_path) -> None:
    (tmp_path / "mini.checkpoints").write_text("a file is in the way")
    checkpoints = files.checkpoints()
    checkpoints.request()
    with pytest.raises(OSError, match=r"mini\.checkpoints"):
        checkpoints.save(Checkpoint(1, {}))
    assert not checkpoints.due()


def test_drafts_are_cleared_and_whole_checkpoints_stay(files, row, tmp_path) -> None:
    folder = tmp_path / "mini.checkpoints" / IDENTITY[:16]
    (folder / "7.draft").write_text("half")
    files.clear_drafts()
    assert [path.name for path in folder.iterdir()] == [Path(row.path).name]


def test_what_is_gone_already_can_be_forgotten(files, row) -> None:
    files.forget([row.path, row.path])
    with pytest.raises(CheckpointError):
        files.load(row)
    files.clear_drafts()


def test_a_cleared_run_leaves_the_folders_of_others(files, row, tmp_path) -> None:
    other = RunFiles(tmp_path / "mini.checkpoints", "f" * 64)
    other.checkpoints().save(Checkpoint(1, {}))
    files.clear()
    assert [path.name for path in (tmp_path / "mini.checkpoints").iterdir()] == ["f" * 16]
    other.clear()
    other.clear()
    assert list(tmp_path.iterdir()) == []
