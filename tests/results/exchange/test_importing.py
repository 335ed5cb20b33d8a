import hashlib
import json

import pytest

from results.exchange.checking import seed_of_name
from results.exchange.errors import ExchangeError
from results.exchange.importing import read_records, read_study

ROWS = "method,game,seed,env_frames,score\nA,Pong,0,4,-20\nA,Pong,0,8,-18\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(ROWS)
    return path


def test_a_source_says_which_file_how_it_was_read_and_under_which_protocol(file, ask):
    columns = {"score": "score"}
    _, (source,), _ = read_records(ask("csv", file, protocol=" p ", columns=columns))
    assert source.file == str(file)
    assert source.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (source.format, source.protocol) == ("csv", "p")
    assert json.loads(source.options) == {"columns": columns}


def test_the_names_of_seeds_stay_with_their_source(file, ask):
    file.write_text(ROWS + "A,Alien,indir1_3,4,1\n")
    found = read_study(ask("csv", file))
    number = seed_of_name("indir1_3")
    assert found.seed_names == {"indir1_3": number}
    assert json.loads(found.runs[0].source.options) == {"seeds": {"indir1_3": number}}
    assert [run.run.seed for run in found.runs] == [0, number]


def test_a_folder_holds_the_files_of_a_format(file, ask):
    file.with_name("b.csv").write_text(ROWS.replace("A,", "B,"))
    file.with_name("notes.txt").write_text("mine")
    found = read_study(ask("csv", file.parent))
    assert [arm.name for arm in found.study.arms] == ["A", "B"]
    assert [run.source.file for run in found.runs] == [str(file), str(file.with_name("b.csv"))]


def test_a_run_that_two_files_hold_is_refused(file, ask):
    file.with_name("b.csv").write_text(ROWS)
    with pytest.raises(ExchangeError, match=r"b\.csv, lines 2 to 3: A on Pong, seed 0, was there"):
        read_study(ask("csv", file.parent))


def test_one_file_named_twice_is_read_once(file, ask):
    assert len(read_study(ask("csv", file, file.parent)).runs) == 1


def test_skipping_names_every_record_that_is_left_out(file, ask):
    file.write_text(ROWS + "A,Pongg,0,4,1\nA,Alien,0,4,nan\n")
    with pytest.raises(ExchangeError, match=r"line 4: .*Pongg.*\(1 more in this file"):
        read_study(ask("csv", file))
    found = read_study(ask("csv", file, skip_bad=True))
    assert len(found.runs) == 1
    assert [one.place for one in found.refused] == ["line 4", "line 5"]


def test_a_file_of_bad_records_alone_is_refused(file, ask):
    file.write_text("method,game,seed,env_frames,score\nA,Pongg,0,4,1\n")
    with pytest.raises(ExchangeError, match=r"holds no record that can be used \(.*Pongg"):
        read_study(ask("csv", file, skip_bad=True))


def test_a_game_that_no_table_holds_is_taken_when_named(file, ask):
    file.write_text(ROWS.replace("Pong", "Catch"))
    assert read_study(ask("csv", file, other_games=("Catch",))).study.games == ("Catch",)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"tag": "x"}, "--tag means nothing to the format csv"),
        ({"layout": "x"}, "--layout means nothing to the format csv"),
        ({"normalization": "x"}, "--normalization means nothing to the format csv"),
        ({"x_unit": "frames"}, "There is no unit 'frames': did you mean 'env_frames'"),
        ({"columns": {"x": "y"}}, "There is no column 'x'"),
        ({"study": "a b"}, "'a b' will not do for a study"),
        ({"protocol": " "}, "--protocol"),
    ],
)
def test_what_makes_no_sense_is_refused(file, ask, said, message):
    with pytest.raises(ExchangeError, match=message):
        read_study(ask("csv", file, **said))


def test_a_file_that_is_not_there_is_refused(tmp_path, ask):
    with pytest.raises(ExchangeError, match="There is no file or folder"):
        read_study(ask("csv", tmp_path / "none.csv"))
