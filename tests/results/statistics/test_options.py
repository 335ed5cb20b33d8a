import pytest

from results.statistics.options import Options


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"ci": 95}, "ci"),
        ({"ci": 0.0}, "ci"),
        ({"resamples": 0}, "resamples"),
        ({"seed": -1}, "seed"),
        ({"at": 0}, "at"),
        ({"games": ()}, "games"),
        ({"games": ("Pong", "Pong")}, "games"),
        ({"arms": ()}, "arms"),
    ],
)
def test_options_that_mean_nothing_are_refused(wrong, word):
    with pytest.raises(ValueError, match=f"^{word}"):
        Options(**wrong)
