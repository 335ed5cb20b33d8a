from __future__ import annotations

import io

import numpy as np
import pytest

from results.database.artifacts import pack, unpack
from results.database.attempts import AttemptWriter
from results.database.engine import DatabaseError
from results.database.queue import claim
from results.database.reading import dreams

ARRAYS = {
    "truth": np.arange(24, dtype=np.uint8).reshape(1, 2, 1, 3, 4),
    "reward": np.array([[0.5, np.nan]], np.float32),
    "context": np.array(5),
}


def same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])
        assert array.dtype == other[name].dtype


def test_arrays_come_back_as_they_were():
    came_back = unpack("npz", pack(ARRAYS))
    assert came_back
    same(came_back, ARRAYS)


def test_arrays_of_one_color_take_little_room():
    assert len(pack({"truth": np.zeros((8, 50, 1, 64, 64), np.uint8)})) < 20_000


def test_python_objects_are_neither_written_nor_read():
    objects = np.array([{}, print], dtype=object)
    with pytest.raises(ValueError, match="arrays odd hold Python objects"):
        pack({"odd": objects})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, odd=np.array([1, "a"], dtype=object))
    with pytest.raises(DatabaseError, match="damaged"):
        unpack("npz", buffer.getvalue())


def test_an_unknown_codec_and_damaged_data_are_refused():
    with pytest.raises(DatabaseError, match=r"codec 'zarr'.*newer"):
        unpack("zarr", b"")
    for damaged in (b"", b"nonsense", pack(ARRAYS)[:-40], pack(ARRAYS)[:200]):
        with pytest.raises(DatabaseError, match="damaged"):
            unpack("npz", damaged)


def test_a_newer_artifact_takes_the_place_of_the_older(engine, submitted, add_worker):
    writer = AttemptWriter(engine, claim(engine, add_worker()))
    writer.artifact("dreams", 400, {"reward": np.zeros(1)})
    writer.artifact("dreams", 800, ARRAYS)
    writer.artifact("other", 900, {"reward": np.ones(1)})
    env_frames, arrays = dreams(engine, 1)
    assert env_frames == 800
    same(arrays, ARRAYS)


def test_a_run_without_dreams_and_no_run_are_refused(engine, submitted, add_worker):
    with pytest.raises(DatabaseError, match=r"Run 1 \(base · Pong · seed 0, study smoke\) has no"):
        dreams(engine, 1)
    with pytest.raises(DatabaseError, match=r"There is no run 99 in .*ablate status STUDY"):
        dreams(engine, 99)
