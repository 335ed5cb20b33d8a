import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from results.database.records import ImportSourceRecord
from results.statistics.cells import Cells
from results.statistics.collecting import collect
from results.statistics.errors import StatisticsError
from results.statistics.options import Options
from results.statistics.power import (
    Question,
    published_spread,
    questions,
    stated_spread,
)
from results.statistics.study_power import Asked, observed_spread, pilot_spread, study_power

EFFECT = Question("effect", 2, 2)
PAIR = Question("interaction", 4, 4)
FIRST_OF_28 = Question("first", 4, 4, 28)


@pytest.mark.parametrize(
    ("question", "seeds", "rho", "expected"),
    [  # section 4 of the statistics: s = .27
        (EFFECT, 3, None, 0.83), (PAIR, 3, None, 1.00), (EFFECT, 3, 0.0, 1.25),
        (PAIR, 3, 0.0, 1.76), (EFFECT, 5, None, 0.55), (PAIR, 5, None, 0.72),
        (EFFECT, 5, 0.0, 0.64), (PAIR, 5, 0.0, 0.91), (FIRST_OF_28, 5, None, 1.13),
        (FIRST_OF_28, 5, 0.0, 2.2),
    ],
)  # fmt: skip
def test_what_is_detectable_is_what_the_specification_worked_out(question, seeds, rho, expected):
    found = question.detectable(0.27, seeds, alpha=0.05, rho=rho)
    assert found == pytest.approx(expected, abs=0.05 if expected == 2.2 else 0.006)


def test_simulated_tests_find_the_detectable_effect_four_times_in_five():
    rng = np.random.default_rng(0)
    true = PAIR.detectable(1.0, 4, alpha=0.05)
    runs = rng.standard_normal((20_000, 4, 4))
    estimate = runs.mean(axis=2) @ [1, -1, -1, 1] + true
    se = np.sqrt(runs.var(axis=2, ddof=1).mean(axis=1))
    found = np.abs(estimate / se) > stats.t.ppf(0.975, 12)
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_one_seed_detects_nothing():
    assert math.isnan(PAIR.detectable(0.27, 1, alpha=0.05))


@pytest.mark.parametrize("effect", [0.05, 0.3, 0.72, 5.0])
def test_the_seeds_needed_are_enough_and_one_fewer_is_not(effect):
    seeds = PAIR.seeds_needed(0.27, effect, alpha=0.05)
    assert PAIR.detectable(0.27, seeds, alpha=0.05) <= effect
    if seeds > 2:
        assert PAIR.detectable(0.27, seeds - 1, alpha=0.05) > effect


def test_an_effect_that_no_number_of_seeds_finds_says_so():
    assert PAIR.seeds_needed(0.27, 0.001, alpha=0.05) is None


def test_the_published_spread_of_the_three_games_is_that_of_their_mean():
    spread = published_spread(["Pong", "crazy_climber", "Assault"])
    assert spread.sd == pytest.approx(math.sqrt(0.17**2 + 0.6**2 + 0.5**2) / 3)
    assert published_spread(["Pong", "MsPacman"]) is None


def test_the_observed_spread_is_pooled_over_cells(make_study, make_data):
    study = make_study({"a": ("on",)}, games=("Assault",), seeds=(0, 1, 2))
    data = make_data(study, lambda on, game, seed: len(on) + (1 + len(on)) * 0.1 * seed, points=1)
    cells = Cells.of(study, collect(data, Options()))
    spread = observed_spread(cells, rho=0.0, ci=0.95, source="here")
    assert spread.sd == pytest.approx(math.sqrt((0.02 + 0.08) / 4))  # 2 cells, 2 df each
    assert spread.df == 4
    assert spread.low == pytest.approx(spread.sd * math.sqrt(4 / stats.chi2.ppf(0.975, 4)))
    assert spread.low < spread.sd < spread.high


@pytest.mark.parametrize(
    ("seeds", "score", "why"),
    [((0,), lambda on, g, s: 0.1, "one seed"), ((0, 1), lambda on, g, s: 0.1, "are equal")],
)
def test_a_pilot_without_a_spread_is_refused_with_the_remedy(
    make_study, make_data, seeds, score, why
):
    study = make_study({"a": ("on",)}, games=("Assault",), seeds=seeds)
    with pytest.raises(StatisticsError, match=f"{why}.*--sd"):
        pilot_spread(make_data(study, score, points=1), Options())


def names_of(study):
    return [(one.name, one.df_per_seed, one.family) for one in questions(study)]


def test_a_study_answers_what_its_arms_allow(make_study):
    toggles = dict.fromkeys("abc", ("on",))
    assert names_of(make_study(toggles, designs=("base",))) == []
    assert names_of(make_study(toggles, designs=("full", "leave_one_out"))) == [
        ("effect of a toggle", 2, 1)
    ]
    assert names_of(make_study(toggles, designs=("pairs_in",)))[1:] == [
        ("interaction of a pair", 4, 1),
        ("interaction, first of 3 (Holm)", 4, 3),
    ]
    both = names_of(make_study(toggles, designs=("pairs_in", "pairs_out")))
    assert ("interaction, first of 6 (Holm)", 4, 6) in both


def test_averages_have_the_weights_of_their_design(make_study):
    study = make_study(dict.fromkeys("abcdef", ("on",)), designs=("fractional",))
    effect, pair, first = questions(study)
    assert (effect.weight, effect.df_per_seed) == (4 / 32, 31)
    assert (pair.weight, pair.df_per_seed) == (16 / 32, 31)  # SE = 4 s / √(cells × seeds)
    assert first.family == 15


def test_the_standard_error_of_an_average_is_that_of_the_regression(make_study, make_data):
    from results.statistics.ols import averages

    study = make_study(
        {"a": ("on",), "b": ("low", "high"), "c": ("on",)}, designs=("factorial",),
        games=("Assault",), seeds=(0, 1),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    data = make_data(study, lambda on, game, seed: rng.standard_normal(), points=1)
    found = averages(study, Cells.of(study, collect(data, Options())), ci=0.95)
    widest = max(one.estimate.se / one.estimate.sd for one in found.effects)
    pair = max(one.estimate.se / one.estimate.sd for one in found.interactions)
    by_name = {one.name: one for one in questions(study)}
    assert math.sqrt(by_name["averaged effect"].weight / 2) == pytest.approx(widest)
    assert math.sqrt(by_name["averaged interaction"].weight / 2) == pytest.approx(pair)
    assert found.effects[0].estimate.df == by_name["averaged effect"].df_per_seed


def test_a_study_table_has_its_own_seeds_and_shrinks_with_more(make_study):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("pairs_in",), seeds=range(7))
    found = study_power(study, stated_spread(0.27, "a test"), Asked(targets=(0.5,)))
    assert found.own_seeds == 7
    assert 7 in set(found.detectable["seeds"])
    for _, rows in found.detectable.groupby("question"):
        assert rows["detectable"].is_monotonic_decreasing
    assert found.needed["seeds"].notna().all()
    assert found.needed["seeds_low"].isna().all()


def test_a_spread_of_runs_on_the_floor_says_so(make_study, make_data):
    """Agents that learn nothing hardly differ: their spread promises too much."""
    study = make_study({"a": ("on",)}, games=("Pong", "Assault"))

    def score(on, game, seed):
        return 0.01 * seed if game == "Pong" else 0.8 + 0.1 * seed

    source = pilot_spread(make_data(study, score, points=1), Options()).source
    assert "at the floor stand on Pong 2 of 2 arms: agents that learn will spread more" in source
    higher = make_data(study, lambda on, game, seed: 0.8 + 0.1 * seed, points=1)
    assert "floor" not in pilot_spread(higher, Options()).source


def test_a_spread_says_whether_its_runs_were_imported(make_study, make_data):
    data = make_data(make_study(), lambda on, game, seed: 0.8 + 0.1 * seed, points=1)
    file = ImportSourceRecord("a.csv", "0" * 64, "csv", "{}", "p", None, False)
    imported = dataclasses.replace(data, sources=(file,))
    assert pilot_spread(data, Options()).source.startswith("the recorded runs of synthetic on")
    assert pilot_spread(imported, Options()).source.startswith("the imported runs of synthetic on")
