import os
import pickle
from pathlib import Path

import pytest
import torch

from agents.training import checkpoint as checkpoint_module
from agents.training.checkpoint import Checkpoint, CheckpointError, Checkpoints, load

MINE, OTHERS = "a" * 64, "b" * 64
STATE = {"weights": torch.arange(6.0), "clock": {"env_frames": 40}, "list": [1, None, True]}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "run", MINE)


def test_what_was_saved_is_loaded(checkpoints):
    saved = checkpoints.save(Checkpoint(40, STATE))
    assert saved.env_frames == 40
    assert saved.size == saved.path.stat().st_size
    loaded = load(saved.path, identity=MINE, sha256=saved.sha256)
    assert loaded.env_frames == 40
    assert torch.equal(loaded.state["weights"], STATE["weights"])
    assert loaded.state["clock"] == STATE["clock"]
    assert loaded.state["list"] == STATE["list"]


def test_nothing_but_whole_checkpoints_lies_in_the_directory(checkpoints):
    saved = [checkpoints.save(Checkpoint(frames, STATE)) for frames in (40, 80)]
    assert sorted(checkpoints.directory.iterdir()) == sorted(one.path for one in saved)


def test_a_full_disk_leaves_nothing_behind(checkpoints, monkeypatch):
    first = checkpoints.save(Checkpoint(40, STATE))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(Checkpoint(80, STATE))
    assert list(checkpoints.directory.iterdir()) == [first.path]


def test_a_writer_that_torch_reports_as_broken_is_an_os_error(checkpoints, monkeypatch):
    def broken(content, file):
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(OSError, match="could not be written: PytorchStreamWriter failed"):
        checkpoints.save(Checkpoint(80, STATE))
    assert list(checkpoints.directory.iterdir()) == []


@pytest.mark.parametrize("kept", [0, 10, 500, -1])
def test_a_truncated_checkpoint_is_refused(checkpoints, kept):
    saved = checkpoints.save(Checkpoint(40, STATE))
    content = saved.path.read_bytes()
    saved.path.write_bytes(content[:kept])
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        load(saved.path, identity=MINE)
    with pytest.raises(CheckpointError, match="is damaged"):
        load(saved.path, identity=MINE, sha256=saved.sha256)


def test_one_flipped_byte_is_noticed(checkpoints):
    saved = checkpoints.save(Checkpoint(40, STATE))
    content = bytearray(saved.path.read_bytes())
    content[len(content) // 2] ^= 1
    saved.path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        load(saved.path, identity=MINE, sha256=saved.sha256)


def test_another_runs_checkpoint_is_refused(checkpoints):
    saved = checkpoints.save(Checkpoint(40, STATE))
    with pytest.raises(CheckpointError, match="belongs to the run aaaaaaaaaaaa, not to bbbbbbbb"):
        load(saved.path, identity=OTHERS)


def test_another_formats_checkpoint_is_refused(checkpoints, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "FORMAT", 7)
    saved = checkpoints.save(Checkpoint(40, STATE))
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 7; this code reads 2"):
        load(saved.path, identity=MINE)


def test_a_file_that_lacks_something_is_refused(tmp_path):
    torch.save({"format": checkpoint_module.FORMAT, "state": {}}, tmp_path / "half.pt")
    with pytest.raises(CheckpointError, match="is no whole checkpoint"):
        load(tmp_path / "half.pt", identity=MINE)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        load(tmp_path / "nothing.pt", identity=MINE)


def test_a_file_that_torch_can_read_but_that_is_no_checkpoint_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        load(tmp_path / "list.pt", identity=MINE)


class Trap:
    """Makes a directory when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.mkdir, (self.path,))


@pytest.mark.parametrize("write", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o, 2))])
def test_reading_executes_nothing(tmp_path, write):
    write(
        {"format": checkpoint_module.FORMAT, "state": Trap(tmp_path / "executed")},
        tmp_path / "trap.pt",
    )
    with pytest.raises(CheckpointError):
        load(tmp_path / "trap.pt", identity=MINE)
    assert not (tmp_path / "executed").exists()


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock, set by hand."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(checkpoint_module.time, "monotonic", lambda: Clock.now)
    return Clock


def test_one_is_due_after_the_interval_and_not_again_at_once(tmp_path, clock):
    checkpoints = Checkpoints(tmp_path, MINE, every_seconds=300.0)
    assert not checkpoints.due()
    clock.now += 300
    assert checkpoints.due()
    checkpoints.save(Checkpoint(40, STATE))
    assert not checkpoints.due()
    clock.now += 300
    assert checkpoints.due()


def test_one_that_is_asked_for_is_due_at_once_and_once(tmp_path, clock):
    checkpoints = Checkpoints(tmp_path, MINE, every_seconds=300.0)
    checkpoints.request()
    assert checkpoints.due()
    checkpoints.save(Checkpoint(40, STATE))
    assert not checkpoints.due()


def test_slow_saving_makes_them_rarer(tmp_path, clock, monkeypatch):
    checkpoints, save = Checkpoints(tmp_path, MINE, every_seconds=300.0), torch.save

    def slow(content, file):
        clock.now += 20
        save(content, file)

    monkeypatch.setattr(torch, "save", slow)
    checkpoints.save(Checkpoint(40, STATE))
    clock.now += 999
    assert not checkpoints.due()  # 20 s are 2% of 1000 s
    clock.now += 1
    assert checkpoints.due()


def test_a_failure_is_not_tried_again_at_once(tmp_path, clock, monkeypatch):
    checkpoints = Checkpoints(tmp_path, MINE, every_seconds=300.0)
    checkpoints.request()
    monkeypatch.setattr(torch, "save", lambda content, file: file.raw_that_is_not_there)
    with pytest.raises(AttributeError):
        checkpoints.save(Checkpoint(40, STATE))
    assert not checkpoints.due()
