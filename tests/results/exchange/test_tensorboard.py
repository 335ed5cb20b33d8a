import pytest

from results.exchange.errors import ExchangeError
from results.exchange.event_file import Scalar, encode
from results.exchange.exporting import write_files
from results.exchange.formats import FORMATS
from results.exchange.record import Record, RecordSet


@pytest.fixture
def folder(tmp_path):
    """Two event files of one run, as a run that was stopped once leaves them."""
    place = tmp_path / "logs" / "A" / "ALE%2FPong-v5" / "1"
    place.mkdir(parents=True)
    first = [Scalar("loss", 5, 1.0), Scalar("eval", 5, -20.5)]
    (place / "events.out.tfevents.1.host").write_bytes(encode(first))
    (place / "events.out.tfevents.2.host").write_bytes(encode([Scalar("eval", 10, 3.0)]))
    return tmp_path / "logs"


def test_folders_name_the_run_and_its_files_follow_each_other(folder, read_back):
    read = read_back("tensorboard", folder, x_unit="agent_steps", tag="eval")
    assert read.records == (Record("A", "Pong", 1, (20, 40), (-20.5, 3.0)),)


def test_what_a_step_counts_is_never_guessed(folder, read_back):
    with pytest.raises(ExchangeError, match=r"do not say what a step counts.*--x-unit"):
        read_back("tensorboard", folder, tag="eval")


def test_a_curve_that_is_not_there_is_told_with_those_that_are(folder, read_back):
    with pytest.raises(ExchangeError, match=r"no such curve; there are: eval, loss. --tag"):
        read_back("tensorboard", folder, x_unit="env_frames")


def test_another_layout_can_be_said(folder, read_back):
    said = {"x_unit": "env_frames", "tag": "eval"}
    (folder / "A").rename(folder / "run A")
    read = read_back("tensorboard", folder, layout="run {method}/{game}/{seed}", **said)
    assert read.records[0].method == "A"
    with pytest.raises(ExchangeError, match=r"does not lie in .*logs as the layout"):
        read_back("tensorboard", folder, layout="{method}/{seed}-{game}", **said)
    with pytest.raises(ExchangeError, match=r"must hold each of"):
        read_back("tensorboard", folder, layout="{method}/{game}", **said)


def test_a_damaged_file_is_a_bad_record(folder, read_back):
    (file,) = folder.rglob("*.1.host")
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ExchangeError, match=r"events\.out\.tfevents\.1\.host: the file ends"):
        read_back("tensorboard", folder, x_unit="env_frames", tag="eval")


def test_a_folder_without_event_files_is_refused(tmp_path, read_back):
    with pytest.raises(ExchangeError, match="holds no file of the format tensorboard"):
        read_back("tensorboard", tmp_path, x_unit="env_frames")


def test_a_value_beyond_32_bits_is_refused_and_nothing_is_written(tmp_path):
    records = RecordSet((Record("A", "Pong", 0, (4,), (1e300,)),))
    with pytest.raises(ExchangeError, match="does not fit into the 32 bits"):
        write_files(records, FORMATS["tensorboard"], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
