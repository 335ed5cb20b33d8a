import dataclasses
import math

import numpy as np
import pytest

from results.figures import draw
from results.figures.interference import clustered, tile_of
from results.statistics.errors import StatisticsError
from results.statistics.intervals import contrast, missing_estimate
from results.statistics.options import Options

ESTIMATE = contrast([np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.1, 0.2])], [1, -1], ci=0.95)


def test_a_tile_carries_estimate_and_half_width():
    tile = tile_of(ESTIMATE, floor=False)
    assert tile.estimate == pytest.approx(0.1)
    assert tile.half_width == pytest.approx(ESTIMATE.high - ESTIMATE.value)
    assert not tile.excludes_zero


def test_what_is_smaller_than_detectable_cannot_be_told_unless_it_is_significant():
    assert abs(ESTIMATE.value) < ESTIMATE.mde
    assert tile_of(ESTIMATE, floor=False).cannot_tell
    assert not tile_of(ESTIMATE, floor=False, significant=True).cannot_tell
    larger = dataclasses.replace(ESTIMATE, value=-1.01 * ESTIMATE.mde)
    assert not tile_of(larger, floor=False).cannot_tell


@pytest.mark.parametrize(
    ("low", "high", "excludes"), [(0.1, 0.3, True), (-0.3, -0.1, True), (-0.1, 0.3, False)]
)
def test_the_dot_follows_the_unadjusted_interval(low, high, excludes):
    estimate = dataclasses.replace(ESTIMATE, low=low, high=high)
    assert tile_of(estimate, floor=False).excludes_zero == excludes


@pytest.mark.parametrize(
    ("designs", "lacking"),
    [
        (("add_one_in",), r"base and add_one_in\) lack the arms \[base\]\."),
        (("full",), r"base and add_one_in\) lack the arms .*\[base\].*leave_one_out\) lack"),
        (("base", "full"), r"lack the arms \[augmentation\], \[ratio\]\."),
    ],
)
@pytest.mark.parametrize("kind", ["effects", "interference"])
def test_arms_that_no_effect_can_do_without_are_named(
    kind, designs, lacking, make_study, make_data, additive_score
):
    score = additive_score({"augmentation": 0.1, "ratio": 0.2})
    with pytest.raises(StatisticsError, match=f"no effect to show.*{lacking}"):
        draw(kind, make_data(make_study(designs=designs), score), Options())


def test_a_map_of_which_no_number_is_there_yet_is_refused(make_study, make_data, additive_score):
    study = make_study()
    missing = [(a.name, g, s) for a in study.arms[1:] for g in study.games for s in study.seeds]
    score = additive_score({"augmentation": 0.1, "ratio": 0.2})
    with pytest.raises(StatisticsError, match="no seed has every game yet"):
        draw("interference", make_data(study, score, missing=missing), Options(partial=True))


@pytest.mark.parametrize("kind", ["effects", "interference"])
@pytest.mark.parametrize(
    ("seeds", "says"),
    [
        ((0,), "one seed: no effect can be told from chance"),
        (range(2), "few seeds: only very large effects are visible"),
        (range(5), "few seeds: only very large effects are visible"),
        (range(6), None),
    ],
)
def test_the_foot_says_what_few_seeds_cannot_show(
    kind, seeds, says, make_study, make_data, additive_score, named, cut_words_of
):
    score = additive_score({"augmentation": 0.1, "ratio": 0.2}, noise=0.1)
    figure = draw(
        kind, make_data(make_study(seeds=tuple(seeds)), score, points=1), Options()
    ).figure
    (foot,) = named(figure, "foot note")
    assert foot.get_text().splitlines()[1:] == ([says] if says else [])
    assert cut_words_of(figure) == []


def test_one_seed_gives_a_tile_without_half_width_and_without_judgement():
    one = contrast([np.array([0.3]), np.array([0.1])], [1, -1], ci=0.95)
    tile = tile_of(one, floor=True)
    assert tile.estimate == pytest.approx(0.2)
    assert tile.half_width is None
    assert (tile.excludes_zero, tile.cannot_tell, tile.significant) == (False, False, False)
    assert tile.floor_limited


@pytest.mark.parametrize(
    ("note", "state"),
    [
        ("no run yet: base", "missing"),
        ("not defined: [a + b]", "undefined"),
        ("not in the study: [a + b]", ""),
    ],
)
def test_what_was_not_run_has_no_number_and_says_why(note, state):
    tile = tile_of(missing_estimate(note), floor=False)
    assert math.isnan(tile.estimate)
    assert tile.state == state


def test_a_ceiling_marks_the_tile():
    assert tile_of(ESTIMATE, floor=False, ceiling=True).ceiling_limited


def test_a_study_without_toggles_has_no_map(make_study, make_data, additive_score):
    data = make_data(make_study({}, designs=("base",)), additive_score({}))
    with pytest.raises(StatisticsError, match="no toggle"):
        draw("interference", data, Options())


def planted(on, game, seed):
    key = [seed, *"|".join([game, *sorted(on)]).encode()]
    noise = 0.05 * float(np.random.default_rng(key).standard_normal())
    return 0.2 * len(on) + 0.6 * ("a" in on and "b" in on) + noise


def test_a_fraction_maps_its_averages_below_the_diagonal_and_on_it(make_study, make_data, named):
    study = make_study(dict.fromkeys("abcde", ("on",)), designs=("fractional",), games=("Pong",))
    drawn = draw("interference", make_data(study, planted), Options(resamples=50))
    assert len(named(drawn.figure, "tile")) == 5 + 10
    assert len(named(drawn.figure, "significant")) == 1  # the planted pair a, b
    assert "below the diagonal: averaged over the rest)" in drawn.caption


def test_a_pair_that_is_no_agent_is_crossed_out_on_the_map(make_study, make_data, named):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("pairs_in",), games=("Pong",))
    without = dataclasses.replace(
        study, arms=tuple(arm for arm in study.arms if set(arm.toggles) != {"a", "b"})
    )
    figure = draw("interference", make_data(without, planted), Options(resamples=50)).figure
    strokes = [line.get_xydata().mean(axis=0).tolist() for line in named(figure, "undefined")]
    assert [place for place in strokes if place[1] > place[0]] == [[0.5, 1.5]] * 2
    assert len(named(figure, "tile")) == 3 + 2
    assert named(figure, "missing") == []


def test_a_cell_that_waits_is_a_question_mark_on_the_map(make_study, make_data, named):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("pairs_in",), games=("Pong",))
    missing = [("full-c", "Pong", seed) for seed in study.seeds]
    data = make_data(study, planted, missing=missing)
    figure = draw("interference", data, Options(resamples=50, partial=True)).figure
    assert len(named(figure, "missing")) == 1
    assert len(named(figure, "tile")) == 3 + 2


def test_toggles_that_reinforce_each_other_stand_side_by_side():
    names = list("abcde")
    closeness = {(i, j): 0.0 for i in names for j in names if i < j}
    closeness |= {("a", "d"): 1.0, ("b", "e"): 0.8}
    order = clustered(names, closeness)
    assert sorted(order) == names
    assert abs(order.index("a") - order.index("d")) == 1
    assert abs(order.index("b") - order.index("e")) == 1
    assert order.index("a") < order.index("e")


@pytest.mark.parametrize(
    ("names", "closeness"),
    [
        ("abc", {("a", "c"): 1.0, ("a", "b"): 0.0, ("b", "c"): 0.0}),  # few
        ("abcd", {("a", "d"): 1.0}),  # hardly any pair known
        ("abcd", {pair: 0.5 for pair in [("a", "b"), ("a", "c"), ("b", "d")]}),  # all equal
    ],
)
def test_the_order_of_the_study_stays_where_clusters_mean_nothing(names, closeness):
    assert clustered(list(names), closeness) == list(names)


def test_a_full_agent_that_cannot_be_is_crossed_out_and_not_left_empty(
    make_study, make_data, named
):
    """Two toggles exclude each other, so no cell of a factorial with both is an agent."""
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("factorial",), games=("Assault",))
    arms = tuple(arm for arm in study.arms if not {"a", "b"} <= set(arm.toggles))
    study = dataclasses.replace(study, arms=arms)
    data = make_data(study, lambda on, game, seed: 0.3 * len(on) + 0.1 * (seed * len(on) % 3))
    drawn = draw("interference", data, Options(resamples=20))
    crosses = named(drawn.figure, "undefined")
    # a×b at the base, three L on the diagonal, three pairs within the full agent: two strokes each
    assert len(crosses) == 2 * (1 + 3 + 3)


def test_a_screen_shows_its_averaged_effects_not_the_one_that_is_there_by_chance(
    make_study, make_data, words_of, named
):
    study = make_study(
        dict.fromkeys("abcdef", ("on",)), designs=("base", "plackett_burman"), games=("Assault",)
    )
    singles = [arm for arm in study.arms if len(arm.toggles) == 1]
    assert 0 < len(singles) < 3
    data = make_data(study, lambda on, game, seed: 0.2 * len(on) + 0.05 * (seed * len(on) % 3))
    drawn = draw("interference", data, Options(resamples=20))
    assert "effect of the toggle\naveraged over the rest" in words_of(drawn.figure)
    assert len(named(drawn.figure, "tile")) == 6
