import pytest

from results.statistics.bounds import ceilings, return_bounds
from results.statistics.normalize import normalization


@pytest.mark.parametrize("name", ["Pong", "pong", "ALE/Pong-v5"])
def test_a_game_has_its_bounds_by_any_spelling(name):
    assert return_bounds(name) == (-21.0, 21.0)


def test_a_game_without_a_highest_return_has_no_bounds():
    assert return_bounds("Assault") is None
    assert return_bounds("gymnasium:CartPole-v1") is None


def test_the_ceiling_is_a_twentieth_of_the_range_below_the_highest_return():
    table = normalization()
    found = ceilings(table, ("Pong", "Assault", "Catch"))
    assert found.keys() == {"Pong"}  # Catch is not in this table
    assert found["Pong"] == pytest.approx((18.9 + 20.7) / (14.6 + 20.7))
