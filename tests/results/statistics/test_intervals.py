import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from results.statistics.intervals import contrast, minimal_detectable_effect, missing_estimate

values = st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=1, max_size=6)


def cells(*lists):
    return [np.array(one, dtype=float) for one in lists]


def test_a_difference_is_the_students_t_interval_worked_out_by_hand():
    one = contrast(cells([1, 2, 3], [0, 0, 3]), [1, -1], ci=0.95)
    assert one.value == pytest.approx(1)
    assert one.df == 4
    assert one.sd == pytest.approx(math.sqrt((2 + 6) / 4))
    assert one.se == pytest.approx(math.sqrt(2) * math.sqrt(2 / 3))
    assert one.high - one.value == pytest.approx(2.7764451 * one.se)
    assert (one.low + one.high) / 2 == pytest.approx(one.value)


def test_a_difference_agrees_with_scipy_for_unequal_seeds():
    first, second = cells([1.0, 2.5, 3.0, 0.5], [0.2, 1.1])
    one = contrast([first, second], [1, -1], ci=0.9)
    theirs = stats.ttest_ind(first, second)
    ends = theirs.confidence_interval(0.9)
    assert one.p == pytest.approx(theirs.pvalue)
    assert (one.low, one.high) == pytest.approx((ends.low, ends.high))
    assert (one.fewest, one.most) == (2, 4)


def test_doubling_the_weights_doubles_the_effect_and_its_interval():
    runs = cells([1.0, 2.5, 3.0], [0.2, 1.1])
    once, twice = (contrast(runs, weights, ci=0.95) for weights in ([1, -1], [2, -2]))
    assert (twice.value, twice.se) == pytest.approx((2 * once.value, 2 * once.se))
    assert twice.p == pytest.approx(once.p)


def test_one_cell_is_its_mean_with_the_t_interval():
    runs = np.array([0.1, 0.4, 0.9])
    one = contrast([runs], [1], ci=0.95)
    ends = stats.ttest_1samp(runs, 0).confidence_interval(0.95)
    assert (one.low, one.high) == pytest.approx((ends.low, ends.high))


def test_one_seed_gives_a_point_and_the_words():
    one = contrast(cells([1.0], [0.25]), [1, -1], ci=0.95)
    assert one.value == 0.75
    assert all(math.isnan(x) for x in (one.low, one.high, one.se, one.p, one.mde))
    assert one.note == "one seed: no interval"
    assert all(math.isnan(x) for x in one.at_level(0.99))


def test_a_single_seed_beside_a_cell_of_several_borrows_its_variance():
    one = contrast(cells([1.0], [0.0, 1.0, 2.0]), [1, -1], ci=0.95)
    assert one.df == 2
    assert one.se == pytest.approx(1 * math.sqrt(1 + 1 / 3))


def test_seeds_that_are_all_equal_give_no_interval_instead_of_certainty():
    one = contrast(cells([-21 / 35.3] * 3, [-21 / 35.3] * 3), [1, -1], ci=0.95)
    assert one.value == 0
    assert math.isnan(one.low)
    assert one.note == "all seeds equal: no interval"


def test_what_cannot_be_estimated_is_not_a_number_and_says_why():
    one = missing_estimate("no run yet: base")
    assert math.isnan(one.value)
    assert one.note == "no run yet: base"


@pytest.mark.parametrize("wrong", [([[1.0], []], [1, -1]), ([[1.0]], [1, -1]), ([[np.nan]], [1])])
def test_empty_cells_nan_and_missing_weights_are_refused(wrong):
    with pytest.raises(ValueError, match="one weight per cell"):
        contrast(cells(*wrong[0]), wrong[1], ci=0.95)


@settings(deadline=None)
@given(values, values, st.randoms())
def test_the_order_of_the_seeds_changes_nothing(first, second, random):
    before = contrast(cells(first, second), [1, -1], ci=0.95)
    random.shuffle(first)
    random.shuffle(second)
    after = contrast(cells(first, second), [1, -1], ci=0.95)
    for name in ("value", "low", "high", "p", "mde"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), nan_ok=True, abs=1e-9)


def test_the_interval_at_its_own_level_is_the_interval():
    one = contrast(cells([1, 2, 4], [0, 0, 3]), [1, -1], ci=0.95)
    assert one.at_level(0.95) == pytest.approx((one.low, one.high))
    assert one.at_level(0.99)[0] < one.low


def test_the_95_percent_interval_of_an_interaction_covers_95_percent_at_three_seeds():
    rng = np.random.default_rng(0)
    true = 0.4  # f(ij) of 1.4 over 0.2 + 0.5 + 0.3
    means = np.array([1.4, 0.5, 0.8, 0.3])
    draws = means[:, None] + 0.27 * rng.standard_normal((6000, 4, 3))
    found = [contrast(list(draw), [1, -1, -1, 1], ci=0.95) for draw in draws]
    covered = np.mean([one.low <= true <= one.high for one in found])
    assert 0.93 < covered < 0.97


def test_a_test_at_the_detectable_effect_finds_it_four_times_in_five():
    rng = np.random.default_rng(1)
    effect = minimal_detectable_effect(0.27 * math.sqrt(4 / 3), 8)
    draws = 0.27 * rng.standard_normal((6000, 4, 3))
    draws[:, 0] += effect
    found = np.mean([contrast(list(d), [1, -1, -1, 1], ci=0.95).p < 0.05 for d in draws])
    assert found == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(
    ("seeds", "cell_count", "pooled", "paired"),
    [(3, 2, 0.83, 1.25), (3, 4, 1.00, 1.76), (5, 2, 0.55, 0.64), (5, 4, 0.72, 0.91)],
)
def test_detectable_effects_are_those_of_the_specification(seeds, cell_count, pooled, paired):
    se = 0.27 * math.sqrt(cell_count / seeds)  # section 4: s = .27, main effect and interaction
    assert minimal_detectable_effect(se, cell_count * (seeds - 1)) == pytest.approx(
        pooled, abs=0.005
    )
    assert minimal_detectable_effect(se, seeds - 1) == pytest.approx(paired, abs=0.005)


def test_the_first_step_of_holm_over_28_pairs_is_that_of_the_specification():
    se = 0.27 * math.sqrt(4 / 5)
    assert minimal_detectable_effect(se, 16, alpha=0.05 / 28) == pytest.approx(1.13, abs=0.005)
    assert minimal_detectable_effect(se, 4, alpha=0.05 / 28) == pytest.approx(2.2, abs=0.03)


@pytest.mark.parametrize("df", [4, 8, 16, 40])
def test_the_detectable_effect_agrees_with_the_noncentral_t_of_scipy(df):
    delta = minimal_detectable_effect(1.0, df)
    critical = stats.t.ppf(0.975, df)
    power = stats.nct.sf(critical, df, delta) + stats.nct.cdf(-critical, df, delta)
    assert power == pytest.approx(0.8, abs=1e-5)
