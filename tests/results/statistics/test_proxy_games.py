import math

import numpy as np
import pytest

from results.statistics.collecting import collect
from results.statistics.errors import StatisticsError
from results.statistics.game_subsets import best_subsets, log_normalised
from results.statistics.options import Options
from results.statistics.proxy_games import fitness, proxy_games
from results.tables import render
from results.tables.games import proxies_table, subsets_table

FIVE = ("Pong", "CrazyClimber", "Assault", "MsPacman")


@pytest.mark.parametrize(
    ("score", "increase", "spread", "expected"),
    [
        (1.0, 1.0, 0.0, 1.0),
        (3.0, 1.0, 0.0, 1.0),  # better than human is not more reasonable
        (0.5, 0.5, 1.0, 0.5),  # cube root of 1/8
        (-0.2, 1.0, 0.0, 0.0),
        (1.0, -0.5, 0.0, 0.0),
    ],
)
def test_fitness_is_the_geometric_mean_of_the_three_criteria(score, increase, spread, expected):
    assert fitness(score, increase, spread) == pytest.approx(expected)


def test_fitness_is_not_known_where_a_criterion_is_not():
    assert math.isnan(fitness(1.0, 1.0, math.nan))


def test_games_are_ranked_by_score_rise_and_spread(make_study, make_data):
    ends = {"Pong": (0.9, 1.1), "Assault": (0.1, 1.9), "MsPacman": (-0.1, -0.3)}
    study = make_study({}, designs=("base",), games=tuple(ends), seeds=(0, 1))
    found = proxy_games(make_data(study, lambda on, g, s: ends[g][s], points=5), Options())
    assert [one.game for one in found] == ["Pong", "Assault", "MsPacman"]
    pong, assault, pacman = found
    assert (pong.score, pong.increase) == (pytest.approx(1.0), pytest.approx(1.0))
    assert pong.spread == pytest.approx(np.std([0.9, 1.1], ddof=1))
    assert assault.spread == pytest.approx(np.std([0.1, 1.9], ddof=1))
    assert (pacman.increase, pacman.fitness) == (pytest.approx(-1.0), 0.0)
    assert pacman.spread == pytest.approx(np.std([-0.1, -0.3], ddof=1) / 0.1)
    text = render(proxies_table("x", found, 400_000), "markdown")
    assert "Spearman" in text


def test_the_horizon_is_where_it_is_asked_for(make_study, make_data):
    study = make_study({}, designs=("base",), games=("Pong",), seeds=(0, 1))
    data = make_data(study, lambda on, g, s: 1.0 + 0.1 * s, points=8)
    (half,) = proxy_games(data, Options(at=200_000))
    assert half.score == pytest.approx(0.525)
    assert half.points == 4


def test_one_seed_and_one_point_have_no_fitness(make_study, make_data):
    study = make_study({}, designs=("base",), games=("Pong",), seeds=(0,))
    (one,) = proxy_games(make_data(study, lambda on, g, s: 0.5, points=1), Options())
    assert math.isnan(one.fitness)
    assert math.isnan(one.spread)
    assert math.isnan(one.increase)


def test_random_play_and_below_is_zero_and_human_is_two():
    assert log_normalised(np.array([-1.0, 0.0, 0.99])) == pytest.approx([0, 0, 2])


def methods(make_study, make_data, count):
    """Methods of one strength each: MsPacman is exactly the median, the others are noise."""
    toggles = {f"m{i}": ("on",) for i in range(count)}
    study = make_study(toggles, designs=("base", "add_one_in"), games=FIVE, seeds=(0,))
    rng = np.random.default_rng(1)
    strength = {tuple(arm.toggles): float(rng.uniform(0.2, 2)) for arm in study.arms}
    shift = {"Pong": -5.0, "CrazyClimber": 0.0, "Assault": 5.0, "MsPacman": 0.0}

    def score(on, game, seed):
        noise = float(rng.uniform(0, 1)) if game in ("Pong", "Assault") else 0.0
        return strength[tuple(on)] + shift[game] + noise

    return make_data(study, score, points=1)


def test_the_game_that_is_the_median_is_found_and_held_out_methods_are_predicted(
    make_study, make_data
):
    scores = collect(methods(make_study, make_data, 11), Options())
    found = best_subsets(scores, 1)
    assert found.searched == 4
    assert {one.games for one in found.best[:2]} == {("CrazyClimber",), ("MsPacman",)}
    assert found.best[0].weights == pytest.approx((1.0,))
    assert found.best[0].error == pytest.approx(0, abs=1e-9)
    assert found.honest_error == pytest.approx(0, abs=1e-9)
    assert found.baseline_error > 0.05
    assert found.honest_r2 == pytest.approx(1)
    assert "2210.02019" in subsets_table("x", found).caption


@pytest.mark.parametrize(
    ("count", "size", "why"),
    [(3, 2, "at least 5 arms"), (11, 4, "no smaller than the benchmark")],
)
def test_a_search_without_an_answer_is_refused(make_study, make_data, count, size, why):
    scores = collect(methods(make_study, make_data, count), Options())
    with pytest.raises(StatisticsError, match=why):
        best_subsets(scores, size)
