import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rliable import metrics

from results.statistics.collecting import collect
from results.statistics.errors import StatisticsError
from results.statistics.improvement import improvements, probability_of_improvement
from results.statistics.options import Options
from results.statistics.stratified import packed

whole = st.integers(-2, 2).map(float)  # few values: ties abound


@settings(deadline=None, max_examples=30)
@given(arrays(float, (3, 2), elements=whole), arrays(float, (4, 2), elements=whole))
def test_it_is_the_probability_of_rliable(x, y):
    assert probability_of_improvement(x, y) == pytest.approx(
        metrics.probability_of_improvement(x, y)
    )
    assert probability_of_improvement(y, x) == pytest.approx(
        1 - metrics.probability_of_improvement(x, y)
    )


def test_every_game_weighs_the_same_however_many_runs_it_has():
    x = packed([np.array([1.0, 1.0, 3.0]), np.array([5.0])])
    y = packed([np.array([1.0, 2.0]), np.array([5.0, 4.0])])
    # game 1: of 6 pairs 2 are won and 2 tied; game 2: of 2 pairs 1 is won and 1 tied
    assert probability_of_improvement(x, y) == pytest.approx(((2 + 1) / 6 + 1.5 / 2) / 2)


def test_arms_are_compared_with_the_one_that_is_asked_for(noisy_data):
    options = Options(resamples=200)
    scores = collect(noisy_data, options)
    found = improvements(scores, "base", options)
    assert [one.arm for one in found] == [arm for arm in scores.arms if arm != "base"]
    for one in found:
        assert 0 <= one.low <= one.value <= one.high <= 1
        assert (one.other, one.runs, one.games, one.note) == ("base", 3, 3, "")


def test_one_run_has_a_probability_but_no_interval(one_seed_data):
    options = Options(resamples=50)
    for one in improvements(collect(one_seed_data, options), "base", options):
        assert np.isfinite(one.value)
        assert np.isnan([one.low, one.high]).all()
        assert one.note == "one seed: no interval"


def test_an_arm_alone_is_compared_with_nothing(noisy_data):
    scores = collect(noisy_data, Options(arms=("base",)))
    with pytest.raises(StatisticsError, match="no other arm"):
        improvements(scores, "base", Options())
