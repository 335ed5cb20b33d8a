import itertools
import math

import numpy as np
import pytest

from results.statistics import subset_search
from results.statistics.subset_search import loo_errors, search


def test_leave_one_out_errors_are_those_of_fitting_without_each_method():
    rng = np.random.default_rng(0)
    x, y = rng.random((9, 4)), rng.random(9)
    chosen = np.array([[0, 2], [1, 3]])
    for row, games in enumerate(chosen):
        errors = []
        for out in range(9):
            kept = np.arange(9) != out
            w = np.linalg.lstsq(x[kept][:, games], y[kept], rcond=None)[0]
            errors.append(y[out] - x[out, games] @ w)
        expected = np.sqrt(np.mean(np.square(errors)))
        assert loo_errors(x, y, chosen)[row] == pytest.approx(expected)


def test_a_subset_that_cannot_be_fitted_is_never_the_best():
    x = np.ones((6, 3))
    x[:, 2] = np.arange(6)
    errors = loo_errors(x, np.arange(6.0), np.array([[0, 1], [0, 2]]))
    assert errors[0] == np.inf
    assert errors[1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("batch", [1, 2_000])
def test_the_search_finds_what_comparing_all_of_them_finds(monkeypatch, size, batch):
    monkeypatch.setattr(subset_search, "BATCH", batch)
    rng = np.random.default_rng(size)
    for _ in range(3):
        features = rng.random((14, 9)) + 2 * rng.random((14, 1))
        features[:, 6] = features[:, 1]  # no subset with both can be fitted
        features[:, 7] = features[:, 2] + features[:, 3]
        target = np.median(features, axis=1) + 0.1 * rng.random(14)
        every = np.array(list(itertools.combinations(range(9), size)))
        errors = loo_errors(features, target, every)
        order = np.argsort(errors, kind="stable")[:4]
        chosen, found = search(features, target, size, kept=4)
        assert found == pytest.approx(errors[order])
        assert [set(one) for one in chosen[:1]] == [set(every[order[0]].tolist())] or (
            found[0] == pytest.approx(found[1])
        )


def test_it_tells_how_far_it_is():
    rng = np.random.default_rng(0)
    told = []
    search(rng.random((12, 30)), rng.random(12), 4, kept=1, told=lambda *one: told.append(one))
    steps = math.comb(30, 2)
    assert told == [(256, steps), (steps, steps)]


def test_what_cannot_be_fitted_at_all_has_no_answer():
    chosen, errors = search(np.ones((6, 4)), np.arange(6.0), 2, kept=3)
    assert chosen == []
    assert len(errors) == 0
