"""The group-sequential permutation test, on cases that can be enumerated."""

import itertools

import numpy as np
import pytest

from results.statistics.sequential import batches_of, can_reject, looks


def one_look(first, second, alpha=0.05):
    (look,) = looks(np.array([first]), np.array([second]), planned=1, alpha=alpha)
    return look


def test_the_p_value_of_one_look_counts_the_ways_to_deal():
    # 20 ways to deal six scores; only the seen one and its mirror differ by 9 and more
    look = one_look([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert (look.difference, look.p) == (3.0, 2 / 20)
    # 6 ways; {0, 2} against {1, 3}: |difference of sums| is 2 or 4 in four of them, 0 in two
    assert one_look([0.0, 2.0], [1.0, 3.0]).p == 4 / 6


def test_a_look_rejects_only_where_the_level_leaves_room_for_it():
    apart = ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert one_look(*apart, alpha=0.1).rejected  # 2 of 20 may cross
    assert not one_look(*apart, alpha=0.09).rejected


def test_too_few_ways_to_deal_can_reject_nothing():
    assert can_reject(3, 1, 0.1)  # 20 ways: one and its mirror are a tenth
    assert not can_reject(3, 1, 0.09)
    assert can_reject(3, 2, 0.09)  # 400 ways


def test_equal_scores_are_never_told_apart():
    look = one_look([0.1] * 4, [0.1] * 4, alpha=0.5)
    assert (look.difference, look.p, look.rejected) == (0.0, 1.0, False)


@pytest.mark.parametrize("alpha", [0.06, 0.12, 0.25, 0.5])
def test_of_all_ways_to_deal_two_batches_at_most_alpha_reject_at_any_look(alpha):
    scores = np.random.default_rng(3).normal(size=(2, 4))
    rejected = first = 0
    deals = list(itertools.permutations(range(4)))
    for deal in itertools.product(deals, deals):
        dealt = np.array([row[list(order)] for row, order in zip(scores, deal, strict=True)])
        found = looks(dealt[:, :2], dealt[:, 2:], planned=2, alpha=alpha)
        first += found[0].rejected
        rejected += found[1].rejected
    assert first <= alpha / 2 * len(deals) ** 2 + 1e-9
    assert rejected <= alpha * len(deals) ** 2 + 1e-9
    assert rejected > 0 or alpha * 36 < 2  # a pair of ways, at least, where there is room


def rates(shift, *, sims, batch, planned, alpha, seed):
    """How often the test rejects at the last look, and how often plain looks at p would."""
    rng = np.random.default_rng(seed)
    tested = peeked = 0
    for _ in range(sims):
        first = rng.standard_exponential((planned, batch))
        second = rng.standard_exponential((planned, batch)) + shift
        found = looks(first, second, planned=planned, alpha=alpha)
        tested += found[-1].rejected
        peeked += any(look.p <= alpha for look in found)
    return tested / sims, peeked / sims


def test_looking_again_keeps_the_level_while_plain_p_values_do_not():
    tested, peeked = rates(0.0, sims=1000, batch=3, planned=2, alpha=0.2, seed=1)
    assert tested <= 0.2 + 3 * np.sqrt(0.2 * 0.8 / 1000)
    assert peeked > 0.25


def test_a_planted_difference_is_found():
    tested, _ = rates(2.0, sims=60, batch=3, planned=3, alpha=0.1, seed=6)
    assert tested > 0.9


def test_a_rejection_is_never_taken_back_and_earlier_looks_do_not_change():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    second[0] += 10
    found = looks(first, second, planned=4, alpha=0.05)
    assert [look.rejected for look in found] == [True] * 4  # 252^4 ways: drawn
    for number in range(1, 5):
        assert looks(first[:number], second[:number], planned=4, alpha=0.05) == found[:number]


@pytest.mark.parametrize("planned", [1, 2, 6])
def test_boundaries_fall_as_alpha_grows_and_rise_with_the_looks_to_come(planned):
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(1, 5)), rng.normal(size=(1, 5))

    def boundary(planned, alpha):
        return looks(first, second, planned=planned, alpha=alpha)[0].boundary

    levels = [boundary(planned, alpha) for alpha in (0.01, 0.05, 0.2, 0.8)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > levels[-1]
    assert boundary(1, 0.2) <= boundary(2, 0.2) < boundary(6, 0.2)


def test_the_two_arms_may_change_places():
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(2, 3)), rng.normal(size=(2, 3)) + 1
    there = looks(first, second, planned=2, alpha=0.1)
    back = looks(second, first, planned=2, alpha=0.1)
    assert [(x.p, x.rejected) for x in there] == [(x.p, x.rejected) for x in back]
    assert [x.difference for x in there] == pytest.approx([-x.difference for x in back])


def test_batches_end_where_a_seed_is_missing():
    scores = {0: 0.0, 1: 0.1, 2: 0.2, 3: 0.3, 5: 0.5}
    assert batches_of(scores, range(7), 2) == ((0.0, 0.1), (0.2, 0.3))
    assert batches_of({}, range(7), 2) == ()


@pytest.mark.parametrize(
    ("first", "second", "planned", "alpha"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3)), 1, 0.05),
        (np.zeros((1, 3)), np.zeros((1, 4)), 1, 0.05),
        (np.full((1, 3), np.nan), np.zeros((1, 3)), 1, 0.05),
        (np.zeros((1, 3)), np.zeros((1, 3)), 1, 1.0),
    ],
)
def test_what_cannot_be_tested_is_refused(first, second, planned, alpha):
    with pytest.raises(ValueError, match=r"batches|finite"):
        looks(first, second, planned=planned, alpha=alpha)
