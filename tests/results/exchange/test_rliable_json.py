import json

import pytest

from results.exchange.errors import ExchangeError
from results.exchange.record import Record
from results.statistics.normalize import normalization

SCORES = [
    {"game": "Alien", "seed": 1.0, "HNS": 0.05, "Max HNS": 0.06},
    {"game": "JamesBond", "seed": 1.0, "HNS": -0.5, "Max HNS": 0.1},
]


@pytest.fixture
def file(tmp_path):
    def write(contents, name="DrQ(ε).json"):
        path = tmp_path / name
        path.write_text(json.dumps(contents))
        return path

    return write


def test_run_counts_may_differ_and_the_file_names_the_method(file, read_back):
    read = read_back("rliable-json", file({"Alien": [1, 2.5], "James Bond": [3]}), env_frames=400)
    assert read.records == (
        Record("DrQ(ε)", "Alien", 0, (400,), (1.0,)),
        Record("DrQ(ε)", "Alien", 1, (400,), (2.5,)),
        Record("DrQ(ε)", "Jamesbond", 0, (400,), (3.0,)),
    )


def test_where_the_scores_were_taken_is_never_guessed(file, read_back):
    with pytest.raises(ExchangeError, match=r"at how many env frames.*--env-frames"):
        read_back("rliable-json", file({"Alien": [1]}))


def test_normalised_scores_keep_their_table_which_must_be_named(file, read_back):
    path = file(SCORES)
    with pytest.raises(ExchangeError, match=r"does not say with which table.*--normalization"):
        read_back("rliable-json", path, env_frames=400)
    read = read_back("rliable-json", path, env_frames=400, normalization="nature2015")
    assert read.normalization == "nature2015"
    assert [one.values for one in read.records] == [(0.05,), (-0.5,)]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("wang2061", r"--normalization: There is no normalisation table 'wang2061'.*wang2016"),
        ("", "--normalization: There is no normalisation table ''"),
        ("mine.csv", r"--normalization: The table mine\.csv cannot be read"),
    ],
)
def test_a_table_that_is_not_there_is_refused(file, read_back, table, message):
    with pytest.raises(ExchangeError, match=message):
        read_back("rliable-json", file(SCORES), env_frames=400, normalization=table)


def test_a_table_of_the_user_s_is_known_by_its_contents(file, read_back, tmp_path):
    own = tmp_path / "mine.csv"
    own.write_text("game,random,human\nAlien,0,100\n")
    read = read_back("rliable-json", file(SCORES), env_frames=400, normalization=str(own))
    assert read.normalization == normalization(str(own)).id
    assert read.normalization.startswith("mine@")


def test_raw_scores_have_no_table(file, read_back):
    with pytest.raises(ExchangeError, match="raw scores, which no table has normalised"):
        read_back("rliable-json", file({"Alien": [1]}), env_frames=4, normalization="wang2016")


def test_raw_and_normalised_scores_are_not_one_study(file, read_back):
    raw, scores = file({"Alien": [1]}, "a.json"), file(SCORES, "b.json")
    with pytest.raises(ExchangeError, match=r"a\.json"):
        read_back("rliable-json", raw, scores, env_frames=4, normalization="wang2016")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (5, "is not of the format rliable-json"),
        ({"Alien": []}, "game Alien: it has no list of scores"),
        ({"Alien": [1, None]}, "game Alien, score 2: y number 1 of 1 is missing"),
        ({"Mean": [1]}, "game Mean, score 1: the game 'Mean' is not known"),
    ],
)
def test_what_cannot_be_read_is_refused(file, read_back, contents, message):
    with pytest.raises(ExchangeError, match=message):
        read_back("rliable-json", file(contents), env_frames=4)


def test_a_record_of_a_list_without_a_score_is_refused(file, read_back):
    contents = [*SCORES, {"game": "Pong", "seed": 0}]
    with pytest.raises(ExchangeError, match="record 3: it lacks HNS"):
        read_back("rliable-json", file(contents), env_frames=4, normalization="wang2016")


def test_a_game_that_stands_twice_is_refused(tmp_path, read_back):
    (tmp_path / "a.json").write_text('{"Alien": [1], "Pong": [2], "Alien": [3]}')
    with pytest.raises(ExchangeError, match="the key 'Alien' stands twice"):
        read_back("rliable-json", tmp_path / "a.json", env_frames=4)
