import pandas as pd
import pytest

from results.exchange.errors import ExchangeError
from results.exchange.exporting import write_files
from results.exchange.formats import FORMATS
from results.exchange.record import Record


def test_pandas_reads_what_is_written(tmp_path, curves):
    write_files(curves, FORMATS["parquet"], tmp_path / "a.parquet")
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert list(frame.columns) == ["method", "game", "seed", "env_frames", "score"]
    assert frame["score"].dtype == "float64"
    assert frame["env_frames"].dtype == "int64"
    assert len(frame) == 48


def test_a_file_that_pandas_wrote_is_read(tmp_path, read_back):
    frame = pd.DataFrame({"algo": ["A"], "game": ["pong"], "seed": [1], "x": [5], "score": [2.5]})
    frame.to_parquet(tmp_path / "a.parquet")
    columns = {"method": "algo", "env_frames": "x"}
    read = read_back("parquet", tmp_path / "a.parquet", columns=columns, x_unit="agent_steps")
    assert read.records == (Record("A", "Pong", 1, (20,), (2.5,)),)


def test_another_file_is_refused(tmp_path, read_back):
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(ExchangeError, match=r"a\.parquet cannot be read as Parquet"):
        read_back("parquet", tmp_path / "a.parquet")
