"""Import of an export, for every format."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.exchange.errors import ExchangeError
from results.exchange.exporting import write_files
from results.exchange.formats import FORMATS, format_named
from results.exchange.record import Record, RecordSet

LOSSLESS = ("csv", "parquet", "dreamer-json")
METHODS = ("base", "a/b", "..", "Ünï %2F", "x.json")


@pytest.mark.parametrize("name", LOSSLESS)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_importing_an_export_gives_the_records_back(name, data, record_sets, read_back):
    records = data.draw(record_sets())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        write_files(records, FORMATS[name], path)
        assert read_back(name, path) == records


def test_a_compressed_file_is_read_like_a_plain_one(tmp_path, curves, read_back):
    write_files(curves, FORMATS["dreamer-json"], tmp_path / "a.json.gz")
    assert (tmp_path / "a.json.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert read_back("dreamer-json", tmp_path / "a.json.gz") == curves


def contents(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


LOSSY = {
    "rliable-json": {"env_frames": 400},
    "wide": {"env_frames": 400},
    "tensorboard": {"x_unit": "env_frames"},
}


@pytest.mark.parametrize("name", LOSSY)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_a_lossy_export_of_its_own_import_is_the_same(name, data, record_sets, read_back):
    points = 4 if name == "tensorboard" else 1
    names = data.draw(st.permutations(METHODS).map(lambda all: tuple(all[:2])))
    records = data.draw(record_sets(width=32, points=points, names=names))
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "first", Path(folder) / "second"
        write_files(records, FORMATS[name], first)
        read = read_back(name, first, **LOSSY[name])
        assert {one.method for one in read.records} == set(names)
        write_files(read, FORMATS[name], second)
        assert contents(first) == contents(second)


def test_a_lossy_export_of_scores_is_the_same_too(tmp_path, read_back):
    records = tuple(Record("SPR", "Alien", seed, (400,), (0.1 * seed,)) for seed in (3, 1))
    scores = RecordSet(records, normalization="wang2016")
    write_files(scores, FORMATS["rliable-json"], tmp_path / "a")
    read = read_back("rliable-json", tmp_path / "a", env_frames=400, normalization="wang2016")
    assert read == scores


def test_every_format_is_found_by_its_name_and_no_other():
    assert {name: format_named(name).name for name in FORMATS} == {name: name for name in FORMATS}
    with pytest.raises(ExchangeError, match="There is no format 'dreamer': did you mean"):
        format_named("dreamer")
