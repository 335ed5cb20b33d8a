import numpy as np
import pytest

from results.statistics.intervals import contrast
from results.tables.table import number, plus_minus, with_ends

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1234.56, 1, "1,234.6"),
        (-0.0004, 3, "0.000"),
        (-0.5, 3, "-0.500"),
        (NAN, 3, "-"),
        (0.0, 1, "0.0"),
    ],
)
def test_numbers_are_rounded_and_zero_has_no_sign(value, digits, text):
    assert number(value, digits) == text


def test_an_estimate_shows_the_half_width_of_its_interval_where_it_has_one():
    one = contrast([np.array([1.0, 2.0, 3.0])], [1], ci=0.95)
    assert plus_minus(one, 2) == "2.00 ± 2.48"  # t(2) = 4.303, se = 1 / sqrt 3
    assert plus_minus(contrast([np.array([1.0])], [1], ci=0.95), 2) == "1.00"


def test_ends_are_left_out_where_there_is_no_interval():
    assert with_ends(0.5, 0.25, 0.75, 2) == "0.50 [0.25, 0.75]"
    assert with_ends(0.5, NAN, NAN, 2) == "0.50"
