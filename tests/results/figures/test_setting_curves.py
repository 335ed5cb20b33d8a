import numpy as np
import pytest

from results.figures.setting_curves import APART, Beside


def test_lines_stand_abreast_around_the_value_that_they_share():
    beside = Beside([10.0, 20.0, 40.0], 3, logarithmic=False)
    places = [beside.places([10.0, 40.0], line) for line in range(3)]
    assert places[1] == [10.0, 40.0]
    assert places[2][0] - places[0][0] == pytest.approx(APART * 10)
    assert places[2][1] - places[1][1] == pytest.approx(APART * 5)


def test_on_a_logarithmic_axis_they_are_moved_by_a_factor():
    beside = Beside([2.0, 8.0, 64.0], 2, logarithmic=True)
    low, high = beside.places([2.0, 64.0], 0), beside.places([2.0, 64.0], 1)
    assert np.log2(high) - np.log2(low) == pytest.approx([APART * 2] * 2)


def test_one_line_or_one_value_stays_where_it_is():
    assert Beside([2.0, 4.0], 1, logarithmic=False).places([2.0, 4.0], 0) == [2.0, 4.0]
    assert Beside([2.0], 2, logarithmic=True).places([2.0], 1) == [2.0]
