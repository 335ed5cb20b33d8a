"""Several sequential tests together: what is claimed, and how often falsely."""

import itertools

import numpy as np
import pytest

from results.statistics.sequential import looks, nested_looks
from results.statistics.step_down import claimed, levels


def test_the_level_is_shared_by_what_is_left():
    assert levels(4, 0.12) == pytest.approx((0.03, 0.04, 0.06, 0.12))
    assert levels(1, 0.05) == (0.05,)


def at_levels(p, alpha):
    return {name: [value <= level for level in levels(len(p), alpha)] for name, value in p.items()}


@pytest.mark.parametrize(
    ("p", "told"),
    [
        ({"a": 0.016, "b": 0.024, "c": 0.05}, {"a", "b", "c"}),  # .0167, .025, .05
        ({"a": 0.016, "b": 0.026, "c": 0.05}, {"a"}),
        ({"a": 0.017, "b": 0.02, "c": 0.001}, {"a", "b", "c"}),
        ({"a": 0.017, "b": 0.02, "c": 0.02}, set()),
        ({"a": 0.05}, {"a"}),
    ],
)
def test_each_claim_frees_its_share_for_the_rest(p, told):
    assert claimed(at_levels(p, 0.05)) == told


def by_holm(p, alpha):
    """From the smallest p on, each at the level shared by what is left, until one is above it."""
    told = set()
    for place, one in enumerate(sorted(p, key=p.__getitem__)):
        if p[one] > alpha / (len(p) - place):
            break
        told.add(one)
    return told


def test_of_tests_that_look_once_it_claims_what_holms_method_does():
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = dict(enumerate(rng.beta(0.3, 3, size=rng.integers(1, 9))))
        assert claimed(at_levels(p, 0.05)) == by_holm(p, 0.05)


def test_a_set_that_nobody_rejects_keeps_all_that_it_holds_from_being_claimed():
    """Levels that are not nested: a is rejected at α/2 only, so the set {a} is not."""
    assert claimed({"a": [True, False], "b": [True, True]}) == {"b"}
    assert claimed({"a": [False, True], "b": [False, True]}) == set()


SCORES = np.random.default_rng(5).normal(size=(2, 4))


@pytest.mark.parametrize("alphas", [(0.1, 0.12, 0.4), (0.2, 0.25, 0.3), (0.06, 0.5, 0.9)])
def test_every_one_of_nested_levels_is_exact_and_holds_what_the_lower_ones_reject(alphas):
    """Of all ways to deal two batches of two, at most the level's share reject at any look."""
    deals = list(itertools.permutations(range(4)))
    rejected = np.zeros(len(alphas))
    for deal in itertools.product(deals, deals):
        dealt = np.array([row[list(order)] for row, order in zip(SCORES, deal, strict=True)])
        found = nested_looks(dealt[:, :2], dealt[:, 2:], planned=2, alphas=alphas)
        for look in range(2):
            at = [own[look].rejected for own in found]
            assert at == sorted(at)
        rejected += [own[-1].rejected for own in found]
    assert (rejected <= np.array(alphas) * len(deals) ** 2 + 1e-9).all()


def test_the_lowest_level_is_the_test_by_itself():
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(3, 4)), rng.normal(size=(3, 4)) + 1
    nested = nested_looks(first, second, planned=3, alphas=(0.02, 0.1))
    assert nested[0] == looks(first, second, planned=3, alpha=0.02)


def test_levels_by_themselves_are_not_nested():
    """At .012 a way to deal crosses early and leaves too little for one that .005 lets cross."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        first, second = rng.normal(size=(2, 4)), rng.normal(size=(2, 4)) + 1.5
        low, high = (looks(first, second, planned=2, alpha=alpha) for alpha in (0.05, 0.06))
        if low[-1].rejected and not high[-1].rejected:
            break
    else:
        pytest.fail("every higher level rejected what the lower one did")
    nested = nested_looks(first, second, planned=2, alphas=(0.05, 0.06))
    assert nested[1][-1].rejected


def claims_of(arms, *, planned, alpha):
    """Which arms are told from the first one: by the method, and at an equal share each.

    Args:
        arms: [1 + m, batches, seeds].
        planned: Batches at most.
        alpha: Joint level.
    """
    shares = levels(len(arms) - 1, alpha)
    tested = {
        place: nested_looks(arms[0], arm, planned=planned, alphas=shares)
        for place, arm in enumerate(arms[1:])
    }
    together = claimed({one: [own[-1].rejected for own in at] for one, at in tested.items()})
    return together, {one for one, at in tested.items() if at[0][-1].rejected}


def false_claims(sims, *, equal, shifted, planned, batch, alpha, seed):
    """How often one of the equal arms is told from the base, beside arms that differ from it."""
    rng = np.random.default_rng(seed)
    wrong = 0
    for _ in range(sims):
        arms = rng.standard_exponential((1 + equal + shifted, planned, batch))
        arms[1 + equal :] += 3.0
        found, _ = claims_of(arms, planned=planned, alpha=alpha)
        wrong += any(one < equal for one in found)
    return wrong / sims


@pytest.mark.parametrize(("equal", "shifted"), [(3, 0), (2, 2)])
def test_false_claims_are_as_rare_as_the_joint_level_says(equal, shifted):
    rate = false_claims(
        300, equal=equal, shifted=shifted, planned=2, batch=3, alpha=0.2, seed=equal
    )
    assert rate <= 0.2 + 3 * np.sqrt(0.2 * 0.8 / 300)


@pytest.mark.slow
@pytest.mark.parametrize(("equal", "shifted"), [(8, 0), (4, 4)])
def test_false_claims_of_eight_effects_in_three_looks_of_five_seeds(equal, shifted):
    rate = false_claims(
        1000, equal=equal, shifted=shifted, planned=3, batch=5, alpha=0.05, seed=equal
    )
    assert rate <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_more_is_claimed_than_at_an_equal_share_each_and_never_less():
    rng = np.random.default_rng(4)
    together = apart = 0
    for _ in range(60):
        arms = rng.normal(size=(5, 2, 4))
        arms[1:] += np.array([2.2, 2.2, 1.5, 1.5])[:, None, None]
        found, alone = claims_of(arms, planned=2, alpha=0.1)
        assert found >= alone
        together, apart = together + len(found), apart + len(alone)
    assert together > 1.05 * apart


def test_dealing_every_pair_in_the_same_way_keeps_no_level_where_pairs_share_an_arm():
    """The joint maximum of AdaStop, with eight equal arms, an equal base, five seeds, one look."""
    rng = np.random.default_rng(1)
    signs = np.array([
        [-1.0 if place in chosen else 1.0 for place in range(10)]
        for chosen in itertools.combinations(range(10), 5)
    ])  # fmt: skip
    wrong = 0
    for _ in range(12):
        base, *others = rng.normal(size=(9, 500, 5))
        largest = np.max(
            [np.abs(np.concatenate([base, other], axis=1) @ signs.T) for other in others], axis=0
        )
        as_large = (largest >= largest[:, :1] - 1e-9).sum(axis=1)  # the way that was seen is first
        wrong += int((as_large <= 0.05 * len(signs)).sum())
    assert wrong / 6000 > 0.05 + 3 * np.sqrt(0.05 * 0.95 / 6000)
