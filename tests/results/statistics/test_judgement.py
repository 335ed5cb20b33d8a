import math

import numpy as np
import pytest

from results.statistics.intervals import contrast, missing_estimate
from results.statistics.judgement import CANNOT_TELL, Evidence, Family
from results.statistics.simultaneous import Simultaneous


def around(value, half=0.1):
    """An estimate with this interval, or nearly."""
    spread = half / 2.7764 / math.sqrt(2 / 3)
    runs = np.array([-spread, 0.0, spread])
    return contrast([runs + value, runs], [1, -1], ci=0.95)


def evidence(**changes):
    known = {
        "estimate": around(0.4),
        "first_alone": around(0.3),
        "second_alone": around(0.2),
        "first_with": around(0.7),
        "second_with": around(0.6),
        "singles": (0.5, 0.4),
        "both": 1.1,
    }
    return Evidence(**(known | changes))


def test_the_word_follows_from_the_simultaneous_interval():
    assert evidence().word(0.1, 0.7) == "synergy"
    assert evidence().word(-0.1, 0.9) == CANNOT_TELL
    assert evidence(estimate=around(-0.4), both=0.45).word(-0.7, -0.1) == "interference"
    assert evidence(estimate=around(-0.1), both=0.6).word(-0.2, -0.05) == "redundancy"


def test_a_pair_of_which_one_alone_is_unknown_is_no_synergy():
    unknown = missing_estimate("not defined: [a + c]")
    assert evidence(first_alone=unknown).word(0.1, 0.7) == CANNOT_TELL
    assert evidence(second_alone=unknown).word(0.1, 0.7) == CANNOT_TELL
    harmful = evidence(first_alone=unknown, second_alone=around(-0.2))
    assert harmful.word(0.1, 0.7) == "helps"  # whatever the first does alone


def test_what_cannot_be_estimated_has_no_word():
    nothing = missing_estimate("not in the study: [a]")
    assert evidence(estimate=nothing).word(math.nan, math.nan) == ""


@pytest.mark.parametrize(
    ("alone", "together", "flips"),
    [(0.3, -0.3, ("a",)), (-0.3, 0.3, ("a",)), (0.3, 0.2, ()), (0.3, -0.05, ())],
)
def test_an_effect_that_turns_around_is_a_crossover(alone, together, flips):
    one = evidence(first_alone=around(alone), first_with=around(together))
    assert one.crossover("a", "b") == flips


def test_a_family_keeps_its_members_apart_by_their_keys():
    family = Family.of({"x": 0.01, "y": 0.04}, Simultaneous(0.026, (0.019, 0.04)))
    assert family.size == 2
    assert family.holm == {"x": 0.02, "y": 0.04}
    assert family.max_t == {"x": 0.019, "y": 0.04}
