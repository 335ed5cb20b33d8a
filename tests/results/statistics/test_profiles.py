import numpy as np
import pytest
from rliable import library

from results.statistics.collecting import collect
from results.statistics.options import Options
from results.statistics.profiles import performance_profiles, shares_above
from results.statistics.stratified import packed


def test_the_shares_are_those_of_rliable_and_strict():
    scores = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, 3.0]])
    thresholds = np.array([-1.0, 0.0, 1.0, 2.5, 3.0])
    assert shares_above(scores, thresholds).tolist() == pytest.approx([1, 5 / 6, 1 / 3, 1 / 6, 0])
    assert shares_above(scores, thresholds) == pytest.approx(
        library.score_distributions(scores, thresholds)
    )


def test_every_game_weighs_the_same_however_many_runs_it_has():
    scores = packed([np.array([0.0, 1.0, 2.0, 3.0]), np.array([5.0])])
    assert shares_above(scores, np.array([0.5])).tolist() == [(3 / 4 + 1) / 2]


def test_profiles_fall_from_one_within_their_bands(noisy_data):
    options = Options(resamples=100)
    games, found = performance_profiles(collect(noisy_data, options), options)
    assert games == tuple(noisy_data.study.games)
    for one in found:
        assert (np.diff(one.shares) <= 0).all()
        assert (one.low <= one.high).all()
        assert one.runs == 3


def test_single_runs_have_a_profile_and_no_band(one_seed_data):
    options = Options(resamples=50)
    for one in performance_profiles(collect(one_seed_data, options), options)[1]:
        assert np.isfinite(one.shares).all()
        assert np.isnan(one.low).all()
