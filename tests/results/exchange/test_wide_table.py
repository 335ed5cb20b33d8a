import pytest

from results.exchange.errors import ExchangeError
from results.exchange.record import Record


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "table.csv"
        path.write_text(text)
        return path

    return write


def test_a_number_is_a_mean_and_an_empty_field_nothing(file, read_back):
    read = read_back("wide", file("Game,DQN,IRIS\nPong,-20,\nAlien,,420.5\n"), env_frames=400)
    assert read.means
    assert read.records == (
        Record("DQN", "Pong", 0, (400,), (-20.0,)),
        Record("IRIS", "Alien", 0, (400,), (420.5,)),
    )


def test_where_the_means_were_taken_is_never_guessed(file, read_back):
    with pytest.raises(ExchangeError, match=r"does not say at how many env frames.*--env-frames"):
        read_back("wide", file("Game,DQN\nPong,-20\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Game\nPong\n", "has one column only"),
        ("Game,A\nPong,1,2\n", "line 2: it has more fields than the header"),
        ("Game,A\nMean,1\n", "line 2, column A: the game 'Mean' is not known"),
        ("Game,A\nPong,1\nPong,2\n", r"line 3, column A: A on Pong, seed 0, was there already"),
        ('Game,A\nPong,"1,200"\n', "line 2, column A: y number 1 of 1 is '1,200', no number"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(file, read_back, text, message):
    with pytest.raises(ExchangeError, match=message):
        read_back("wide", file(text), env_frames=400)
