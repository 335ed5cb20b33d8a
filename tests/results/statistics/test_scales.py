import math

import numpy as np
import pytest

from results.statistics.cells import MEAN, Cells
from results.statistics.collecting import collect
from results.statistics.normalize import Reference
from results.statistics.options import Options
from results.statistics.scales import LOG, LOGIT, RANK, Scales, Signs, rescale

REFERENCE = Reference("Assault", 200.0, 700.0, "by hand")
SQUARE = {
    frozenset(): 1.0,
    frozenset({("a", "on")}): -1.0,
    frozenset({("b", "on")}): -1.0,
    frozenset({("a", "on"), ("b", "on")}): 1.0,
}


def test_the_log_is_of_the_distance_from_the_floor_and_a_tenth_of_the_gap():
    returns = np.array([150.0, 650.0])  # the lowest is below the random player's 200
    assert rescale(returns, LOG, "Assault", REFERENCE) == pytest.approx(
        [math.log(50), math.log(550)]
    )
    pong = Reference("Pong", -20.7, 14.6, "")
    assert rescale(np.array([-21.0, 0.0]), LOG, "Pong", pong) == pytest.approx(
        [math.log(3.53), math.log(24.53)]
    )


def test_ranks_are_shares_of_all_runs_and_ties_share_theirs():
    returns = np.array([5.0, 1.0, np.nan, 5.0, 9.0])
    assert rescale(returns, RANK, "Assault", REFERENCE) == pytest.approx(
        [2.5 / 4, 1 / 4, np.nan, 2.5 / 4, 1], nan_ok=True
    )


def test_the_logit_is_symmetric_and_finite_at_the_bounds():
    found = rescale(np.array([-21.0, 0.0, 21.0]), LOGIT, "Pong", REFERENCE)
    assert found == pytest.approx([-math.log(85), 0, math.log(85)])  # .5 point of 43


def test_a_return_beyond_the_known_bounds_moves_them():
    assert np.isfinite(rescale(np.array([-25.0, 30.0]), LOGIT, "Pong", REFERENCE)).all()
    assert np.isfinite(rescale(np.array([-25.0, 30.0]), LOG, "Pong", REFERENCE)).all()


def test_a_game_without_bounds_has_no_logit():
    with pytest.raises(ValueError, match="no lowest and highest"):
        rescale(np.array([1.0]), LOGIT, "Assault", REFERENCE)


def test_a_scale_on_which_the_sign_is_opposite_is_named():
    assert Signs(0.4, {LOG: -0.1, RANK: 0.2, LOGIT: math.nan}).turned == ("log",)
    assert Signs(-0.4, {LOG: -0.1, RANK: 0.2, LOGIT: 0.3}).turned == ("rank", "logit")
    assert Signs(0.0, {LOG: -0.1, RANK: 0.2, LOGIT: 0.3}).turned == ()
    assert Signs(math.nan, {LOG: -0.1, RANK: 0.2, LOGIT: 0.3}).turned == ()
    assert Signs(0.3, {LOG: -1e-12, RANK: 0.0, LOGIT: 0.3}).turned == ()


def scales_of(make_study, make_data, games, score):
    study = make_study({"a": ("on",), "b": ("on",)}, games=games)
    scores = collect(make_data(study, score), Options())
    return Scales(study, scores, Cells.of(study, scores))


def test_every_scale_gives_the_contrast_of_its_own_means(make_study, make_data):
    value = {0: 0.1, 1: 0.3, 2: 0.9}
    scales = scales_of(make_study, make_data, ("Pong",), lambda on, g, s: value[len(on)])
    found = scales.signs(SQUARE, "Pong")
    returns = np.array([-20.7 + 35.3 * value[n] for n in (0, 1, 2)])
    logs = np.log(returns + 21 + 3.53)
    assert found.score == pytest.approx(0.4)
    assert found.others[LOG] == pytest.approx(logs[2] - 2 * logs[1] + logs[0])
    assert found.others[RANK] == pytest.approx((11 - 2 * 6.5 + 2) / 12)  # ties of 3, 6, 3 runs
    place = (returns + 21.5) / 43
    logit = np.log(place / (1 - place))
    assert found.others[LOGIT] == pytest.approx(logit[2] - 2 * logit[1] + logit[0])


def test_the_mean_has_a_logit_only_if_all_its_games_have(make_study, make_data):
    score = lambda on, g, s: 0.2 + 0.3 * len(on)  # noqa: E731
    both = scales_of(make_study, make_data, ("Pong", "Assault"), score)
    assert math.isnan(both.signs(SQUARE, MEAN).others[LOGIT])
    assert math.isfinite(both.signs(SQUARE, MEAN).others[LOG])
    assert math.isfinite(both.signs(SQUARE, "Pong").others[LOGIT])
    assert math.isnan(both.signs(SQUARE, "Assault").others[LOGIT])
    alone = scales_of(make_study, make_data, ("Pong",), score)
    assert math.isfinite(alone.signs(SQUARE, MEAN).others[LOGIT])


def test_a_contrast_with_a_missing_cell_or_without_weights_has_no_sign(make_study, make_data):
    scales = scales_of(make_study, make_data, ("Pong",), lambda on, g, s: 0.1)
    missing = {frozenset({("c", "on")}): 1.0, frozenset(): -1.0}
    for weights in ({}, missing):
        found = scales.signs(weights, MEAN)
        assert np.isnan([found.score, *found.others.values()]).all()
