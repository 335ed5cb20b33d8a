import numpy as np
import pytest

from results.statistics.aggregates import study_aggregates
from results.statistics.collecting import collect
from results.statistics.efficiency import efficiency_curves, metric_of
from results.statistics.errors import StatisticsError
from results.statistics.options import Options


def test_each_point_is_the_aggregate_at_that_point(noisy_data):
    games, found = efficiency_curves(noisy_data, Options(resamples=100))
    assert games == tuple(noisy_data.study.games)
    assert found[0].env_frames.tolist() == [100_000, 200_000, 300_000, 400_000]
    for point, at in ((1, 200_000), (3, None)):
        options = Options(resamples=100, at=at)
        there = study_aggregates(collect(noisy_data, options), options)
        for one, own in zip(found, there.of("mean"), strict=True):
            assert one.values[point] == pytest.approx(own.value)
            assert one.low[point] < one.values[point] < one.high[point]


def test_the_iqm_is_for_many_games():
    assert metric_of(("Pong",) * 9) == "mean"
    assert metric_of(("Pong",) * 10) == "iqm"


def test_games_with_unequal_runs_are_all_used(make_study, make_data):
    data = make_data(
        make_study(), lambda on, game, seed: float(seed), missing=[("base", "Pong", 2)]
    )
    base = efficiency_curves(data, Options(partial=True, resamples=50))[1][0]
    assert (base.arm, base.runs) == ("base", 2)
    assert base.values[-1] == pytest.approx((0.5 + 1 + 1) / 3)
    assert np.isfinite(base.low).all()


def test_a_study_tested_only_at_its_end_has_no_curve(make_study, make_data):
    data = make_data(make_study(), lambda on, game, seed: float(seed), points=1)
    with pytest.raises(StatisticsError, match="not evaluated at two common points"):
        efficiency_curves(data, Options())
    with pytest.raises(StatisticsError, match="leave out --measure"):
        efficiency_curves(data, Options(measure="auc"))
