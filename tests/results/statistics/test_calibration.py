import math

import numpy as np
import pytest

from results.statistics.calibration import calibrate
from results.statistics.cells import MEAN, Cells
from results.statistics.collecting import collect
from results.statistics.options import Options

SIX = dict.fromkeys("abcdef", ("on",))


def noise(on, game, seed):
    key = [seed, *"|".join([game, *sorted(on)]).encode()]
    return float(np.random.default_rng(key).standard_normal())


def cells_of(make_study, make_data, score, seeds):
    study = make_study(SIX, designs=("pairs_in",), games=("Assault",), seeds=range(seeds))
    return Cells.of(study, collect(make_data(study, score), Options()))


def family():
    names = "abcdef"
    pairs = [(i, j) for i in names for j in names if i < j]

    def cell(*on):
        return frozenset((name, "on") for name in on)

    return [{cell(i, j): 1.0, cell(i): -1.0, cell(j): -1.0, cell(): 1.0} for i, j in pairs]


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_normal_scores_find_nothing_true_in_at_most_one_of_twenty(make_study, make_data, seeds):
    cells = cells_of(make_study, make_data, noise, seeds)
    found = calibrate(cells, family(), MEAN, ci=0.95, seed=0)
    assert found.family == 15
    assert found.holm <= 0.06  # 2,000 deals: .05 with a standard error of .005
    assert found.max_t <= 0.065
    assert found.alone == pytest.approx(0.05, abs=0.01)


def test_large_effects_do_not_count_as_false_findings(make_study, make_data):
    plain = calibrate(cells_of(make_study, make_data, noise, 4), family(), MEAN, ci=0.95, seed=0)
    lifted = cells_of(
        make_study, make_data, lambda on, g, s: noise(on, g, s) + 50 * len(on) ** 2, 4
    )
    found = calibrate(lifted, family(), MEAN, ci=0.95, seed=0)
    assert found.holm == plain.holm
    assert found.halves == plain.halves


def test_halves_of_one_arm_are_all_ways_to_split_its_seeds(make_study, make_data):
    found = calibrate(cells_of(make_study, make_data, noise, 4), [], MEAN, ci=0.95, seed=0)
    assert found.splits == 22 * 6  # 4 choose 2, in 1 + 6 + 15 arms
    assert found.halves == pytest.approx(0.05, abs=0.04)
    assert (found.family, found.deals) == (0, 0)
    few = calibrate(cells_of(make_study, make_data, noise, 3), [], MEAN, ci=0.95, seed=0)
    assert few.splits == 0
    assert math.isnan(few.halves)


def test_halves_that_differ_are_found(make_study, make_data):
    cells = cells_of(make_study, make_data, lambda on, g, s: (s % 2) + 0.01 * noise(on, g, s), 6)
    found = calibrate(cells, [], MEAN, ci=0.95, seed=0)
    assert found.halves == pytest.approx(2 / 20)  # odd against even: 2 of the 20 splits of six


def test_the_same_seed_deals_the_same(make_study, make_data):
    cells = cells_of(make_study, make_data, noise, 3)
    one, same, other = (calibrate(cells, family(), MEAN, ci=0.9, seed=s) for s in (1, 1, 2))
    assert (one.holm, one.alone) == (same.holm, same.alone)
    assert one.alone != other.alone


@pytest.mark.parametrize("score", [noise, lambda on, g, s: 0.3])
def test_runs_without_a_spread_are_not_dealt(make_study, make_data, score):
    cells = cells_of(make_study, make_data, score, 1 if score is noise else 3)
    assert calibrate(cells, family(), MEAN, ci=0.95, seed=0).deals == 0
