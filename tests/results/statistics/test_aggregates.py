import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from rliable import library, metrics

from results.statistics import progress, stratified
from results.statistics.aggregates import (
    ALL,
    METRICS,
    _every_metric,
    aggregate,
    aggregates_frame,
    clipped_mean,
    human_gap,
    iqm,
    mean,
    median,
    optimality_gap,
    study_aggregates,
)
from results.statistics.collecting import collect
from results.statistics.errors import StatisticsError
from results.statistics.improvement import probability_of_improvement
from results.statistics.options import Options

HAND = np.array([[0.0, 1.0, 2.0, 9.0], [2.0, 3.0, 4.0, 11.0]])  # 2 runs x 4 games
matrices = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-100, 100),
)


def of(scores, seed=0, resamples=200):
    return aggregate("base", np.asarray(scores), ci=0.95, resamples=resamples, seed=seed)


def test_aggregates_are_those_worked_out_by_hand():
    assert mean(HAND) == 4.0  # per-game means 1, 2, 3, 10
    assert median(HAND) == 2.5
    assert iqm(HAND) == pytest.approx((2 + 2 + 3 + 4) / 4)  # 0 1 | 2 2 3 4 | 9 11
    assert optimality_gap(HAND) == pytest.approx(1 / 8)  # only the 0 falls short of 1


@settings(deadline=None)
@given(matrices)
def test_the_aggregates_are_those_of_rliable(scores):
    assert mean(scores) == pytest.approx(metrics.aggregate_mean(scores), abs=1e-9)
    assert median(scores) == pytest.approx(metrics.aggregate_median(scores), abs=1e-9)
    assert iqm(scores) == pytest.approx(metrics.aggregate_iqm(scores), abs=1e-9)
    assert optimality_gap(scores) == pytest.approx(
        metrics.aggregate_optimality_gap(scores), abs=1e-9
    )


@settings(deadline=None)
@given(matrices)
def test_the_iqm_lies_between_the_least_and_the_greatest_score(scores):
    assert scores.min() - 1e-9 <= iqm(scores) <= scores.max() + 1e-9


@settings(deadline=None)
@given(matrices, st.randoms())
def test_the_order_of_the_runs_changes_nothing(scores, random):
    order = list(range(len(scores)))
    random.shuffle(order)
    for metric in METRICS.values():
        assert metric(scores[order]) == pytest.approx(metric(scores), abs=1e-9)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    scores = np.random.default_rng(0).normal(size=(5, 3))
    assert of(scores, seed=1) == of(scores, seed=1)
    assert of(scores, seed=1) != of(scores, seed=2)


def test_the_interval_of_an_arm_does_not_depend_on_what_was_computed_before():
    scores = np.random.default_rng(0).normal(size=(5, 3))
    alone = of(scores)
    of(scores + 1)
    assert of(scores) == alone


def test_the_global_generator_is_left_as_it_was():
    np.random.seed(123)  # noqa: NPY002  what a user may have done
    expected = np.random.random(3)  # noqa: NPY002
    np.random.seed(123)  # noqa: NPY002
    of(HAND)
    assert np.random.random(3).tolist() == expected.tolist()  # noqa: NPY002


def test_the_global_generator_is_left_as_it_was_even_after_a_failure(monkeypatch, tmp_path):
    def fail(*_, **__):
        np.random.random()  # noqa: NPY002
        raise RuntimeError("inside")

    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path))
    monkeypatch.setattr("rliable.library.StratifiedBootstrap.update_indices", fail)
    stratified._kept_rows.cache_clear()
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    with pytest.raises(RuntimeError, match="inside"):
        of(HAND)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_the_interval_holds_the_estimate_and_grows_with_its_level():
    scores = np.random.default_rng(3).normal(size=(6, 4))
    for narrow, wide in zip(
        aggregate("a", scores, ci=0.5, resamples=500, seed=0),
        aggregate("a", scores, ci=0.99, resamples=500, seed=0),
        strict=True,
    ):
        assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_one_run_has_values_but_no_interval_and_says_why():
    for one in of(HAND[:1]):
        assert np.isfinite(one.value)
        assert np.isnan([one.low, one.high]).all()
        assert one.note == "one seed: no interval"
        assert one.runs == 1


def test_runs_that_are_all_equal_have_no_interval_rather_than_a_certain_one():
    for one in of([[0.3, 1.0], [0.3, 1.0]]):
        assert np.isnan([one.low, one.high]).all()
        assert one.note == "all seeds equal: no interval"


def test_no_run_gives_no_value():
    for one in of(np.empty((0, 3))):
        assert np.isnan(one.value)
        assert (one.runs, one.note) == (0, "a game has no run yet")


def test_infinite_scores_are_refused():
    with pytest.raises(StatisticsError, match="hold 1 that are infinite"):
        of([[np.inf, 0.2], [0.1, 0.2]])


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((2, 0))])
def test_what_is_not_a_matrix_of_runs_and_games_is_refused(wrong):
    with pytest.raises(StatisticsError, match="runs x games"):
        of(wrong)


def test_a_study_has_every_metric_of_every_arm(noisy_data):
    options = Options(resamples=200, seed=7)
    aggregates = study_aggregates(collect(noisy_data, options), options)
    assert [(one.arm, one.metric) for one in aggregates.values] == [
        (arm.name, metric) for arm in noisy_data.study.arms for metric in ALL
    ]
    assert (aggregates.resamples, aggregates.seed, aggregates.normalization) == (
        200,
        7,
        "wang2016",
    )
    frame = aggregates_frame(aggregates)
    assert frame["runs"].tolist() == [3] * 24
    assert frame[["value", "low", "high"]].notna().all(axis=None)


def test_with_uneven_runs_every_game_weighs_the_same():
    scores = stratified.packed([np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.5, 0.7])])
    assert mean(scores) == pytest.approx((1.5 + 0.6) / 2)
    assert median(scores) == pytest.approx((1.5 + 0.6) / 2)
    assert optimality_gap(scores) == pytest.approx(1 - (0.75 + 0.6) / 2)
    assert human_gap(scores) == pytest.approx(1 - (1.0 + 0.6) / 2)
    # weights 1/8 for the four, 1/4 for the two: 0 | .5 .7 1 | 2 3 lie outside the middle half
    # below: 0 (1/8) goes, .5 would make 3/8; above: 3 and 2 (2/8) go
    assert iqm(scores) == pytest.approx((0.5 / 4 + 0.7 / 4 + 1 / 8) / (5 / 8))
    by_metric = {one.metric: one for one in of(scores, resamples=400)}
    for one in by_metric.values():
        assert one.low < one.value < one.high
        assert (one.runs, one.most_runs, one.games) == (2, 4, 2)


@settings(deadline=None)
@given(matrices)
def test_a_game_whose_runs_all_stand_twice_changes_no_mean(scores):
    twice = stratified.packed([np.tile(scores[:, 0], 2), *scores[:, 1:].T])
    for metric in (mean, median, optimality_gap, clipped_mean, human_gap):
        assert metric(twice) == pytest.approx(metric(scores), abs=1e-9)


def test_the_clipped_ones_take_every_games_mean_between_0_and_1():
    scores = np.array([[-1.0, 0.0, 3.0], [0.0, 1.0, 5.0]])  # means -0.5, 0.5, 4
    assert clipped_mean(scores) == pytest.approx((0 + 0.5 + 1) / 3)
    assert human_gap(scores) == pytest.approx(1 - (-0.5 + 0.5 + 1) / 3)


def test_the_bootstrap_of_uneven_runs_agrees_with_rliable_where_it_can():
    scores = np.random.default_rng(0).normal(size=(6, 5))
    calls = {"ci": 0.9, "resamples": 2000, "seed": 3}
    low, high = stratified._rliable("a", _every_metric, [scores], **calls)
    low_too, high_too = stratified._uneven("a", _every_metric, [scores], **calls)
    width = high - low
    assert (np.abs(low - low_too) < 0.08 * width).all()
    assert (np.abs(high - high_too) < 0.08 * width).all()


@pytest.mark.parametrize("kept", [True, False])
def test_the_intervals_are_those_of_rliable_to_the_last_digit(monkeypatch, kept):
    if not kept:
        monkeypatch.setattr(stratified, "MOST_KEPT", 0)
    rng = np.random.default_rng(1)
    one, other, points = (
        rng.normal(size=(5, 3)),
        rng.normal(size=(4, 3)),
        rng.normal(size=(3, 2, 4)),
    )
    cases = (
        (_every_metric, [one]),
        (lambda drawn: mean(np.moveaxis(drawn, -1, -3)), [points]),
        (lambda x, y: probability_of_improvement(x, y)[:, None], [one, other]),
    )
    for statistic, samples in cases:

        def of_one(*drawn, statistic=statistic):
            return statistic(*(sample[None] for sample in drawn))[0]

        ours = stratified._rliable("a", statistic, samples, ci=0.9, resamples=600, seed=7)
        np.random.seed(7)  # noqa: NPY002  rliable draws from the global generator
        _, theirs = library.get_interval_estimates(
            {"a": samples[0] if len(samples) == 1 else samples},
            of_one,
            reps=600,
            confidence_interval_size=0.9,
        )
        assert np.array(ours).tolist() == theirs["a"].tolist()


def test_games_with_unequal_runs_are_all_used_and_counted(make_study, make_data):
    data = make_data(
        make_study(), lambda on, game, seed: float(seed), missing=[("base", "Pong", 2)]
    )
    options = Options(partial=True, resamples=50)
    aggregates = study_aggregates(collect(data, options), options)
    counts = {one.arm: (one.runs, one.most_runs) for one in aggregates.values}
    assert (counts["base"], counts["full"]) == ((2, 3), (3, 3))
    assert aggregates.uneven
    first = aggregates.values[0]
    assert (first.arm, first.metric) == ("base", "mean")
    assert first.value == pytest.approx((0.5 + 1 + 1) / 3)


@pytest.mark.parametrize(("runs", "shown"), [(3, ["mean"]), (4, ["mean", "iqm"])])
def test_over_one_game_what_is_the_mean_by_another_name_is_not_shown(
    make_study, make_data, runs, shown
):
    study = make_study(games=("Pong",), seeds=tuple(range(runs)))
    data = make_data(study, lambda on, game, seed: float(seed))
    options = Options(resamples=50)
    aggregates = study_aggregates(collect(data, options), options)
    assert list(aggregates.shown) == [*shown, "optimality_gap"]


def test_a_second_call_reads_what_the_first_one_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))
    scores = np.random.default_rng(0).normal(size=(5, 3))
    first = of(scores)

    def fail(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(stratified, "_rliable", fail)
    assert of(scores) == first
    for other in (scores + 1e-9, scores[:, ::-1]):
        with pytest.raises(AssertionError, match="computed again"):
            of(other)
    with pytest.raises(AssertionError, match="computed again"):
        of(scores, seed=9)


def test_a_damaged_or_forbidden_cache_costs_only_time(monkeypatch, tmp_path):
    folder = tmp_path / "cache"
    monkeypatch.setenv("ABLATE_CACHE", str(folder))
    scores = np.random.default_rng(0).normal(size=(5, 3))
    first = of(scores)
    [kept] = folder.iterdir()
    for rubbish in ("", "[]", '{"low": [1], "high": []}'):
        kept.write_text(rubbish)
        assert of(scores) == first
    monkeypatch.setenv("ABLATE_CACHE", str(kept))  # a file, where a folder should be
    assert of(scores) == first


def test_who_watches_is_told_up_to_the_last_resample(monkeypatch, tmp_path):
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path))
    told = []
    with progress.watched(lambda *words: told.append(words)):
        of(np.random.default_rng(0).normal(size=(5, 3)), resamples=620)
    assert told == [("bootstrap of aggregates", done, 620) for done in (250, 500, 620)]


def test_renaming_and_reordering_arms_moves_no_number(make_study, make_data, additive_score):
    options = Options(resamples=100)
    score = additive_score({"augmentation": 0.2, "ratio": 0.5}, noise=0.3)
    data = make_data(make_study(), score)
    here = study_aggregates(collect(data, options), options).values
    turned = Options(resamples=100, arms=tuple(arm.name for arm in data.study.arms)[::-1])
    there = study_aggregates(collect(data, turned), turned).values
    assert sorted(here, key=repr) == sorted(there, key=repr)
