import dataclasses

import numpy as np
import pytest
from scipy import stats

from results.statistics.collecting import collect
from results.statistics.options import Options
from results.statistics.score_curves import MOST_POINTS, score_curves

SCORES = {(False, 0): 0.2, (False, 1): 0.6, (True, 0): 1.0, (True, 1): 1.2}


@pytest.fixture
def data(make_study, make_data):
    study = make_study({"a": ("on",)}, games=("Pong", "Assault"), seeds=(0, 1))
    shift = {"Pong": -0.1, "Assault": 0.1}
    return make_data(study, lambda on, game, seed: SCORES["a" in on, seed] + shift[game])


def curves_of(data, **options):
    chosen = Options(**options)
    return score_curves(data, collect(data, chosen), chosen)


def test_each_point_is_the_mean_over_games_then_seeds_with_the_pooled_interval(data):
    frame = curves_of(data).frame.set_index(["arm", "env_frames"])
    assert frame.loc[("base", 400_000), "value"] == pytest.approx(0.4)
    assert frame.loc[("base", 100_000), "value"] == pytest.approx(0.1)
    sd = np.sqrt((0.08 + 0.02) / 2)  # sums of squares 0.08 and 0.02, one df each
    half = stats.t.ppf(0.975, 2) * sd / np.sqrt(2)
    last = frame.loc[("base", 400_000)]
    assert last["high"] - last["value"] == pytest.approx(half)
    assert last["value"] - last["low"] == pytest.approx(half)


def test_the_last_point_is_the_score_of_the_arm(data):
    chosen = Options()
    scores = collect(data, chosen)
    last = curves_of(data).frame.groupby("arm").last()
    for arm in scores.arms:
        assert last.loc[arm, "value"] == pytest.approx(scores.matrices().seed_means(arm).mean())


def test_curves_end_where_the_arms_are_compared(data):
    assert curves_of(data, at=200_000).env_frames.tolist() == [100_000, 200_000]


def test_a_run_that_stopped_is_not_carried_on_for_ever(data):
    rows = data.evaluations
    gone = (rows["arm"] == "base") & (rows["seed"] == 1) & (rows["env_frames"] > 100_000)
    cut = dataclasses.replace(data, evaluations=rows[~gone])
    frame = curves_of(cut, partial=True).frame
    seeds = frame[frame["arm"] == "base"].set_index("env_frames")["seeds"]
    assert seeds.to_dict() == {100_000: 2, 200_000: 2, 300_000: 1, 400_000: 1}


def test_one_seed_has_no_band(make_study, make_data):
    study = make_study({"a": ("on",)}, games=("Pong",), seeds=(0,))
    frame = curves_of(make_data(study, lambda on, game, seed: 0.5)).frame
    assert frame["low"].isna().all()
    assert np.isfinite(frame["value"]).all()


def test_many_points_are_thinned_and_the_last_is_kept(make_study, make_data):
    study = make_study({"a": ("on",)}, games=("Pong",), seeds=(0,))
    data = make_data(study, lambda on, game, seed: 0.5, points=200, episodes=1)
    grid = curves_of(data).env_frames
    assert len(grid) == MOST_POINTS
    assert grid[-1] == 400_000
