import math

import numpy as np
import pytest
from scipy import stats

from results.statistics.cells import MEAN, Cells
from results.statistics.collecting import collect
from results.statistics.options import Options
from results.statistics.pairing import TOO_FEW_SHARED, Pairing, paired, pairing

BASE = frozenset()
A = frozenset({("a", "on")})


def cells_of(make_study, make_data, table, missing=()):
    """Cells base, full, base+a, base+b (in that order) with the scores table[cell][seed]."""
    study = make_study(
        {"a": ("on",), "b": ("on",)},
        designs=("base", "full", "add_one_in"),
        games=("Assault",),
        seeds=range(len(table[0])),
    )
    order = [arm.name for arm in study.arms]
    keys = {frozenset(arm.toggles.items()): order.index(arm.name) for arm in study.arms}
    data = make_data(
        study, lambda on, g, s: table[keys[frozenset(on.items())]][s], missing=missing
    )
    return Cells.of(study, collect(data, Options(partial=True)))


def test_rho_is_the_intraclass_correlation_worked_out_by_hand(make_study, make_data):
    table = [[1, 2, 6], [2, 2, 5], [0, 3, 6], [1, 1, 7]]  # cell means 3, 3, 3, 3
    one = pairing(cells_of(make_study, make_data, table), MEAN, ci=0.95)
    # seed means −2, −1, 3 around 3: MS_seed = 4 (4 + 1 + 9) / 2 = 28; the rest is 62 − 56 = 6 / 6
    assert one.rho == pytest.approx((28 - 1) / (28 + 3 * 1))
    assert (one.seeds, one.cells) == (3, 4)
    f_low = 28 / stats.f.ppf(0.975, 2, 6)
    f_high = 28 * stats.f.ppf(0.975, 6, 2)
    assert one.low == pytest.approx((f_low - 1) / (f_low + 3))
    assert one.high == pytest.approx((f_high - 1) / (f_high + 3))


def test_what_a_cell_adds_to_all_its_seeds_does_not_count(make_study, make_data):
    table = np.random.default_rng(0).normal(size=(4, 5))
    plain = pairing(cells_of(make_study, make_data, table), MEAN, ci=0.95)
    lifted = table + np.array([[0.0], [3.0], [-1.0], [9.0]])
    assert pairing(cells_of(make_study, make_data, lifted), MEAN, ci=0.95).rho == pytest.approx(
        plain.rho
    )


def test_the_limits_of_rho_cover_the_truth():
    rng = np.random.default_rng(2)
    rho, n, c, hits = 0.4, 5, 6, []
    for _ in range(1500):
        shared, own = rng.standard_normal((n, 1)), rng.standard_normal((n, c))
        x = math.sqrt(rho) * shared + math.sqrt(1 - rho) * own
        centred = x - x.mean(axis=0)
        of_seed = centred.mean(axis=1)
        f = (c * (of_seed**2).sum() / (n - 1)) / (
            ((centred - of_seed[:, None]) ** 2).sum() / ((n - 1) * (c - 1))
        )
        df = (n - 1, (n - 1) * (c - 1))
        ends = f / stats.f.ppf(0.975, *df), f * stats.f.ppf(0.975, *df[::-1])
        low, high = ((one - 1) / (one + c - 1) for one in ends)
        hits.append(low <= rho <= high)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)


def test_a_paired_contrast_is_the_t_test_of_the_differences(make_study, make_data):
    table = np.random.default_rng(1).normal(size=(4, 4)) + 5 * np.arange(4)
    cells = cells_of(make_study, make_data, table)
    one = paired(cells, {A: 1.0, BASE: -1.0}, MEAN, ci=0.9)
    theirs = stats.ttest_rel(table[2], table[0])
    ends = theirs.confidence_interval(0.9)
    assert one.p == pytest.approx(theirs.pvalue)
    assert (one.low, one.high) == pytest.approx((ends.low, ends.high))
    assert one.df == 3


def test_only_seeds_that_all_cells_of_the_contrast_have_are_paired(make_study, make_data):
    table = [[1, 2, 9], [0, 0, 0], [2, 4, 5], [0, 0, 0]]
    cells = cells_of(make_study, make_data, table, missing=[("base+a", "Assault", 2)])
    one = paired(cells, {A: 1.0, BASE: -1.0}, MEAN, ci=0.95)
    assert one.value == pytest.approx(1.5)
    fewer = [("base+a", "Assault", 2), ("base", "Assault", 0)]
    none = paired(
        cells_of(make_study, make_data, table, missing=fewer), {A: 1.0, BASE: -1.0}, MEAN, ci=0.95
    )
    assert math.isnan(none.value)
    assert none.note == TOO_FEW_SHARED


def test_pairing_helps_only_where_rho_outweighs_the_degrees_of_freedom():
    # three seeds: t(2) = 4.30 against t(4) = 2.78 for a difference, so rho must exceed .58
    def with_low(low):
        return Pairing(rho=0.9, low=low, high=1.0, seeds=3, cells=8)

    assert not with_low(0.57).helps(2, ci=0.95)
    assert with_low(0.59).helps(2, ci=0.95)
    assert not with_low(0.59).helps(4, ci=0.95)  # t(8) = 2.31: .71
    assert with_low(0.72).helps(4, ci=0.95)
    assert not with_low(math.nan).helps(2, ci=0.95)


def test_one_seed_has_no_correlation_and_equal_runs_none_either(make_study, make_data):
    for table in ([[0.1], [0.2], [0.3], [0.4]], [[0.5] * 3] * 4):
        one = pairing(cells_of(make_study, make_data, table), MEAN, ci=0.95)
        assert math.isnan(one.rho)
        assert not one.helps(2, ci=0.95)


def test_runs_that_differ_by_the_seed_alone_correlate_fully(make_study, make_data):
    one = pairing(cells_of(make_study, make_data, [[0.1, 0.2, 0.4]] * 4), MEAN, ci=0.95)
    assert one.rho == 1
    assert one.helps(4, ci=0.95)
