import dataclasses

import numpy as np
import pytest
from matplotlib.text import Text

from results.figures import contrasts, draw
from results.figures.contrasts import tile_of
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


def test_what_was_not_run_is_a_missing_tile_not_zero():
    assert tile_of(missing_estimate("no run yet"), floor=False).estimate is None


def test_a_study_without_toggles_has_no_map(make_study, make_data, additive_score):
    data = make_data(make_study({}, designs=("base",)), additive_score({}))
    with pytest.raises(StatisticsError, match="no toggle"):
        draw("interference", data, Options())


def planted(on, game, seed):
    key = [seed, *"|".join([game, *sorted(on)]).encode()]
    noise = 0.05 * float(np.random.default_rng(key).standard_normal())
    return 0.2 * len(on) + 0.6 * ("a" in on and "b" in on) + noise


def test_a_fraction_has_a_forest_of_averages_and_no_map(make_study, make_data):
    study = make_study(dict.fromkeys("abcde", ("on",)), designs=("fractional",))
    data = make_data(study, planted)
    drawn = draw("effects", data, Options())
    shown = {text.get_text() for text in drawn.figure.findobj(match=Text)}
    assert "Interactions averaged over everything else that is crossed" in shown
    assert "a × b" in shown
    assert "averaged" in set(drawn.numbers["effect"])
    with pytest.raises(StatisticsError, match=r"its design fractional crosses.*'effects'"):
        draw("interference", data, Options())


def test_a_pair_that_is_no_agent_is_crossed_out_on_the_map(make_study, make_data, monkeypatch):
    panels = []
    drawn = contrasts.interference_map.draw
    monkeypatch.setattr(
        contrasts.interference_map,
        "draw",
        lambda found, *rest, **more: panels.extend(found) or drawn(found, *rest, **more),
    )
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("pairs_in",))
    without = dataclasses.replace(
        study, arms=tuple(arm for arm in study.arms if set(arm.toggles) != {"a", "b"})
    )
    draw("interference", make_data(without, planted), Options())
    assert {panel.undefined for panel in panels} == {frozenset({("a", "b")})}
