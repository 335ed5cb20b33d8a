import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.statistics.cells import MEAN, Cells
from results.statistics.collecting import collect
from results.statistics.moebius import moebius_weights
from results.statistics.options import Options
from results.statistics.shapley import (
    players_of,
    shapley_interaction_weights,
    shapley_values,
    shapley_weights,
)


def on(names: str):
    return frozenset((name, "on") for name in names)


def value(weights, f) -> float:
    return sum(weight * f[cell] for cell, weight in weights.items())


def subsets(names: str):
    return [on(part) for size in range(len(names) + 1)
            for part in itertools.combinations(names, size)]  # fmt: skip


numbers = st.floats(-5, 5).map(lambda x: round(x, 3))
games = st.integers(2, 5).flatmap(
    lambda n: st.lists(numbers, min_size=2**n, max_size=2**n).map(
        lambda values: ("abcde"[:n], dict(zip(subsets("abcde"[:n]), values, strict=True)))
    )
)


def test_three_gloves_are_shared_as_in_the_textbook() -> None:
    worth = {cell: float(("a", "on") in cell and len(cell) > 1) for cell in subsets("abc")}
    shares = [value(shapley_weights(on("abc"), (name, "on")), worth) for name in "abc"]
    assert shares == pytest.approx([2 / 3, 1 / 6, 1 / 6])  # a has the left glove


def test_two_toggles_share_their_interaction_in_halves() -> None:
    f = {on(""): 0.1, on("a"): 0.4, on("b"): 0.2, on("ab"): 0.9}
    assert value(shapley_weights(on("ab"), ("a", "on")), f) == pytest.approx(0.3 + 0.4 / 2)
    assert value(shapley_weights(on("ab"), ("b", "on")), f) == pytest.approx(0.1 + 0.4 / 2)
    both = shapley_interaction_weights(on("ab"), ("a", "on"), ("b", "on"))
    assert value(both, f) == pytest.approx(0.4)


@given(games)
def test_the_shares_add_up_to_full_minus_base(game) -> None:
    names, f = game
    total = sum(value(shapley_weights(on(names), (name, "on")), f) for name in names)
    assert total == pytest.approx(f[on(names)] - f[on("")], abs=1e-9)


@given(games)
def test_at_order_two_a_share_is_the_main_effect_and_half_the_interactions(game) -> None:
    names, values = game
    terms = {cell: values[cell] if len(cell) <= 2 else 0.0 for cell in values}
    f = {cell: sum(terms[part] for part in terms if part <= cell) for cell in terms}
    for name in names:
        halves = sum(terms[on(name + other)] for other in names if other != name) / 2
        share = value(shapley_weights(on(names), (name, "on")), f)
        assert share == pytest.approx(terms[on(name)] + halves, abs=1e-8)
        for other in names:
            if other != name:
                pair = shapley_interaction_weights(on(names), (name, "on"), (other, "on"))
                assert value(pair, f) == pytest.approx(terms[on(name + other)], abs=1e-8)


@given(games)
def test_a_share_spreads_each_moebius_term_evenly_over_its_toggles(game) -> None:
    names, f = game
    for name in names:
        terms = [value(moebius_weights(cell), f) / len(cell) for cell in f if (name, "on") in cell]
        share = value(shapley_weights(on(names), (name, "on")), f)
        assert share == pytest.approx(sum(terms), abs=1e-8)


@settings(deadline=None)
@given(games, st.randoms())
def test_relabelling_the_toggles_relabels_the_shares(game, random) -> None:
    names, f = game
    shuffled = list(names)
    random.shuffle(shuffled)
    turn = dict(zip(names, shuffled, strict=True))
    turned = {on("".join(turn[name] for name, _ in cell)): value for cell, value in f.items()}
    for name in names:
        assert value(shapley_weights(on(names), (turn[name], "on")), turned) == pytest.approx(
            value(shapley_weights(on(names), (name, "on")), f), abs=1e-9
        )


def shares_of(study, data):
    cells = Cells.of(study, collect(data, Options(partial=True)))
    return cells, {(o.scope, o.name): o for o in shapley_values(study, cells, ci=0.95)}


def test_the_shares_of_a_study_add_up_on_every_game(make_study, make_data):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("factorial",))
    noise = np.random.default_rng(0).normal(size=(8, 3, 3))
    order = [arm.name for arm in study.arms]
    by_cell = {frozenset(arm.toggles): order.index(arm.name) for arm in study.arms}
    data = make_data(
        study, lambda on, g, s: noise[by_cell[frozenset(on)], study.games.index(g), s]
    )
    cells, found = shares_of(study, data)
    for scope in cells.scopes:
        total = sum(found[scope, name].estimate.value for name in "abc")
        gain = cells.mean(players_of(study), scope) - cells.mean(frozenset(), scope)
        assert total == pytest.approx(gain)
    one = found[MEAN, "a"].estimate
    weights = found[MEAN, "a"].weights
    assert one.df == 8 * 2
    assert one.se == pytest.approx(one.sd * np.sqrt(sum(w**2 for w in weights.values()) / 3))


def test_a_factor_plays_at_its_level_in_full(make_study, make_data, additive_score):
    study = make_study({"a": ("x", "y"), "b": ("on",)}, designs=("factorial",))
    _, found = shares_of(study, make_data(study, additive_score({"a": 0.3, "b": 0.1})))
    assert {name for _, name in found} == {"a:y", "b"}
    assert found[MEAN, "a:y"].estimate.value == pytest.approx(0.3)


def test_without_all_cells_there_is_no_share_and_the_missing_ones_are_named(
    noisy_data, make_study
):
    study = make_study({"augmentation": ("on",), "ratio": ("on",), "c": ("on",)})
    cells = Cells.of(noisy_data.study, collect(noisy_data, Options()))
    [one] = [o for o in shapley_values(study, cells, ci=0.95)
             if (o.scope, o.name) == (MEAN, "c")]  # fmt: skip
    assert np.isnan(one.estimate.value)
    assert one.estimate.note.startswith("not in the study: [c]")
