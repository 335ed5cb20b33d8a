import math

import numpy as np

from results.figures import aggregate_intervals, style
from results.statistics.aggregates import METRICS, Aggregates, aggregate

ARMS = ("base", "base+ratio", "full")


def aggregates_of(runs=3):
    rng = np.random.default_rng(0)
    values = {arm: rng.normal(0.5, 0.2, size=(runs, 3)) for arm in ARMS[:2]}
    values["full"] = np.empty((0, 3))
    found = tuple(
        one for arm in ARMS for one in aggregate(arm, values[arm], ci=0.95, resamples=50, seed=0)
    )
    games = ("Pong", "Assault", "CrazyClimber")
    return Aggregates(found, games, (), "wang2016", 400_000, 0.95, 50, 0)


def figure_of(aggregates):
    with style.house_style():
        return aggregate_intervals.draw(aggregates, arms=ARMS, reference="base", note="the note")


def test_every_aggregate_has_a_panel_that_says_what_is_better(words_of):
    words = words_of(figure_of(aggregates_of()))
    assert {"Mean", "Median", "IQM", "Optimality gap"} <= set(words)
    assert words.count("higher is better") == 3
    assert words.count("lower is better") == 1
    assert words.count("HNS") == 4


def test_bars_run_from_low_to_high():
    aggregates = aggregates_of()
    figure = figure_of(aggregates)
    for axes, metric in zip(figure.axes, METRICS, strict=True):
        wanted = {
            (one.low, one.high)
            for one in aggregates.values
            if one.metric == metric and math.isfinite(one.low)
        }
        bars = [patch for patch in axes.patches if patch.get_gid() == "interval"]
        assert len(bars) == 2
        for bar in bars:
            low, high = bar.get_x(), bar.get_x() + bar.get_width()
            assert any(math.isclose(low, a) and math.isclose(high, b) for a, b in wanted)


def test_estimates_stand_where_they_should_and_the_base_runs_through(named):
    aggregates = aggregates_of()
    figure = figure_of(aggregates)
    points = {round(float(line.get_xdata()[0]), 9) for line in named(figure, "point")}
    wanted = {
        round(one.value, 9) for one in aggregates.values if one.runs and one.metric in METRICS
    }
    assert points == wanted
    base = [one.value for one in aggregates.values if one.arm == "base"][: len(METRICS)]
    assert [line.get_xdata()[0] for line in named(figure, "reference")] == base


def test_one_seed_gives_points_and_no_bars(named):
    figure = figure_of(aggregates_of(runs=1))
    assert named(figure, "interval") == []
    assert len(named(figure, "point")) == 8


def test_an_arm_without_runs_is_named_and_has_no_number(named, words_of):
    figure = figure_of(aggregates_of())
    assert "full (n = 0)" in words_of(figure)
    assert [text.get_text() for text in named(figure, "missing")] == ["no complete runs"] * 4


def test_no_text_is_cut(cut_words_of):
    assert cut_words_of(figure_of(aggregates_of())) == []


def test_in_one_column_the_panels_stand_two_by_two(cut_words_of):
    with style.house_style():
        figure = aggregate_intervals.draw(
            aggregates_of(), arms=ARMS, reference="base", note="long " * 30, width=style.ONE_COLUMN
        )
    assert figure.get_size_inches()[0] == style.ONE_COLUMN
    places = [axes.get_position() for axes in figure.axes]
    assert len({round(place.x0, 6) for place in places}) == 2
    assert cut_words_of(figure) == []
