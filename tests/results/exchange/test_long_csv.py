import pytest

from results.exchange.errors import ExchangeError
from results.exchange.record import Record

HEAD = "method,game,seed,env_frames,score\n"


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "runs.csv"
        path.write_text(text)
        return path

    return write


def test_rows_of_a_run_are_put_together(file, read_back):
    rows = "A,Pong,0,4,-20\nA,Pong,1,4,-19\nA,Pong,0,8,-18.5\n\n"
    assert read_back("csv", file(HEAD + rows)).records == (
        Record("A", "Pong", 0, (4, 8), (-20.0, -18.5)),
        Record("A", "Pong", 1, (4,), (-19.0,)),
    )


def test_columns_may_have_other_names(file, read_back):
    path = file("algo,env,seed,frames,return,loss\nA,pong,0,4,-20,1\n")
    columns = {"method": "algo", "game": "env", "env_frames": "frames", "score": "return"}
    with pytest.raises(ExchangeError, match="nothing says what the column frames counts"):
        read_back("csv", path, columns=columns)
    read = read_back("csv", path, columns=columns, x_unit="agent_steps")
    assert read.records == (Record("A", "Pong", 0, (16,), (-20.0,)),)


def test_a_column_that_names_its_unit_fixes_it(file, read_back):
    path = file("method,game,seed,agent_steps,score\nA,pong,0,5,-20\n")
    columns = {"env_frames": "agent_steps"}
    assert read_back("csv", path, columns=columns).records[0].env_frames == (20,)
    with pytest.raises(ExchangeError, match="is called agent_steps, and --x-unit says env_frames"):
        read_back("csv", path, columns=columns, x_unit="env_frames")


def test_final_scores_need_the_place_where_they_were_taken(file, read_back):
    path = file("method,game,seed,score\nA,pong,0,-20\n")
    with pytest.raises(ExchangeError, match=r"no column env_frames.*--env-frames"):
        read_back("csv", path)
    assert read_back("csv", path, env_frames=400).records[0].env_frames == (400,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (HEAD, "holds no record"),
        ("a,b\n1,2\n", r"has no column method, game, seed, score; its columns are a, b"),
        (HEAD + "A,Pong,0,4,x\n", "line 2: y number 1 of 1 is 'x', no number"),
        (HEAD + "A,Pong,0,4,1\nB,Pong\n", "line 3: the seed None is no whole number"),
        (HEAD + "A,Pong,0,8,1\nA,Pong,0,4,1\n", "lines 2 to 3: its xs are not sorted"),
        (HEAD + 'A,"Po', "cannot be read as CSV"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(file, read_back, text, message):
    with pytest.raises(ExchangeError, match=message):
        read_back("csv", file(text))


def test_a_file_that_is_no_text_is_refused(tmp_path, read_back):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExchangeError, match="cannot be read as CSV"):
        read_back("csv", tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("method,game,seed,env_frames,score,score\nA,Pong,0,4,1,2\n", {}, "several columns score"),
        (HEAD + "A,Pong,0,4,1\n", {"seed": "score"}, "gives one column two meanings"),
    ],
)
def test_a_column_has_one_meaning(file, read_back, text, columns, message):
    with pytest.raises(ExchangeError, match=message):
        read_back("csv", file(text), columns=columns)


def test_agent_steps_are_read_where_there_are_no_env_frames(file, read_back):
    rows = "method,game,seed,agent_steps,score\nA,Pong,0,4,1\n"
    for options in ({}, {"env_frames": 100}):
        assert read_back("csv", file(rows), **options).records[0].env_frames == (16,)
    both = "method,game,seed,agent_steps,env_frames,score\nA,Pong,0,4,17,1\n"
    assert read_back("csv", file(both)).records[0].env_frames == (17,)
