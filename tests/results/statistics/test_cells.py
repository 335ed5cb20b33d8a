import numpy as np
import pytest

from results.statistics.cells import MEAN, Cells, on_floor
from results.statistics.collecting import collect
from results.statistics.compared import items
from results.statistics.options import Options


def on(**levels):
    return frozenset(levels.items())


@pytest.fixture
def cells(make_study, make_data):
    by_game = {"Pong": 0.0, "CrazyClimber": 0.3, "Assault": 0.6}
    study = make_study({"a": ("on",), "b": ("on",)})
    data = make_data(study, lambda on, game, seed: by_game[game] + len(on) + seed)
    return Cells.of(study, collect(data, Options()))


def test_items_are_toggles_and_factors_have_one_per_level(make_study):
    study = make_study({"a": ("on",), "algorithm": ("ppo", "sac")})
    assert [item.name for item in items(study)] == ["a", "algorithm:ppo", "algorithm:sac"]


def test_a_cell_holds_one_value_per_seed_per_game_and_on_the_mean(cells):
    assert cells.scopes == (MEAN, "Pong", "CrazyClimber", "Assault")
    assert cells.runs[on(a="on"), "Assault"] == pytest.approx([1.6, 2.6, 3.6])
    assert cells.runs[on(a="on"), MEAN] == pytest.approx([1.3, 2.3, 3.3])


def test_a_contrast_is_spelled_with_arm_names(cells):
    assert cells.spell({on(a="on"): 1, on(): -1}) == "base+a − base"
    square = {on(a="on", b="on"): 1, on(a="on"): -1, on(b="on"): -1, on(): 1}
    assert cells.spell(square) == "full + base − base+a − base+b"


def test_a_cell_that_was_never_planned_makes_the_contrast_nan_and_says_which(cells):
    one = cells.estimate({on(c="ppo"): 1, on(): -1}, MEAN, ci=0.95)
    assert np.isnan(one.value)
    assert one.note == "not in the study: [c:ppo]"


def test_a_cell_is_on_the_floor_when_it_is_hardly_better_than_random():
    assert on_floor(np.array([0.04, 0.06]))
    assert on_floor(np.array([-0.4]))  # below random is a floor too
    assert not on_floor(np.array([0.051]))
    assert not on_floor(np.empty(0))


def test_the_floor_of_a_contrast_names_the_games(cells, make_study, make_data):
    study = make_study({"a": ("on",)})
    data = make_data(study, lambda on, game, seed: 0.0 if game == "Pong" and not on else 0.5)
    cells = Cells.of(study, collect(data, Options()))
    effect = {on(a="on"): 1, on(): -1}
    assert cells.floor(effect, MEAN) == ("Pong",)
    assert cells.floor(effect, "Pong") == ("Pong",)
    assert cells.floor(effect, "Assault") == ()
