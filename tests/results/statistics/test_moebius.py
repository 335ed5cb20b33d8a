import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.statistics.cells import MEAN, Cells
from results.statistics.collecting import collect
from results.statistics.compared import BASE
from results.statistics.contrasts import ADD_ONE_IN, LEAVE_ONE_OUT, cell_effects, cell_interactions
from results.statistics.moebius import moebius_terms, moebius_weights, terms_frame
from results.statistics.options import Options

THREE = dict.fromkeys("abc", ("on",))
TERMS = {"": 0.1, "a": 0.3, "b": -0.2, "c": 0.5, "ab": 0.2, "ac": -0.4, "bc": 0.1, "abc": 0.7}


def planted(on, game, seed):
    """The sum of the terms of all subsets, and a spread over seeds."""
    return sum(m for names, m in TERMS.items() if set(names) <= set(on)) + 0.01 * (seed - 1)


def cells_of(study, data):
    return Cells.of(study, collect(data, Options(partial=True)))


@pytest.fixture
def cells(make_study, make_data):
    study = make_study(THREE, designs=("factorial",))
    return study, cells_of(study, make_data(study, planted))


def test_the_weights_are_signs_by_how_much_a_subset_lacks() -> None:
    on = frozenset({("a", "on"), ("b", "on"), ("c", "on")})
    weights = moebius_weights(on)
    assert len(weights) == 8
    assert weights[on] == 1
    assert weights[frozenset({("a", "on")})] == 1
    assert weights[frozenset({("a", "on"), ("b", "on")})] == weights[frozenset()] == -1


def test_planted_terms_of_every_order_are_recovered(cells) -> None:
    found = {one.names: one.estimate.value for one in moebius_terms(*cells, ci=0.95)
             if one.scope == MEAN}  # fmt: skip
    expected = {tuple(names): m for names, m in TERMS.items() if names}
    assert found == pytest.approx(expected)
    assert [len(names) for names in found] == [1, 1, 1, 2, 2, 2, 3]


def test_orders_one_and_two_are_the_effects_and_interactions_at_the_base(cells) -> None:
    terms = {(one.scope, *one.names): one.estimate for one in moebius_terms(*cells, ci=0.95)}
    for effect in cell_effects(*cells, ci=0.95):
        if effect.kind == ADD_ONE_IN:
            assert terms[effect.scope, effect.name] == effect.estimate
    for pair in cell_interactions(*cells, ci=0.95):
        if pair.background == BASE:
            theirs = terms[pair.scope, pair.first, pair.second]
            assert theirs.value == pytest.approx(pair.estimate.value)
            assert (theirs.low, theirs.p) == pytest.approx((pair.estimate.low, pair.estimate.p))


@given(st.sampled_from("abc"))
def test_leaving_out_minus_adding_is_the_sum_of_the_higher_terms(name) -> None:
    rest = "".join(other for other in "abc" if other != name)
    f = {key: sum(m for names, m in TERMS.items() if set(names) <= set(key)) for key in TERMS}
    left_out = f["abc"] - f[rest]
    added = f[name] - f[""]
    higher = sum(m for names, m in TERMS.items() if name in names and len(names) > 1)
    assert left_out - added == pytest.approx(higher)


def test_the_same_holds_of_the_estimates(cells) -> None:
    effects = {(e.kind, e.name): e.estimate.value for e in cell_effects(*cells, ci=0.95)
               if e.scope == MEAN}  # fmt: skip
    terms = [t for t in moebius_terms(*cells, ci=0.95, smallest=2) if t.scope == MEAN]
    for name in "abc":
        higher = sum(t.estimate.value for t in terms if name in t.names)
        difference = effects[LEAVE_ONE_OUT, name] - effects[ADD_ONE_IN, name]
        assert difference == pytest.approx(higher)


def test_only_sets_with_all_their_subsets_have_a_term(make_study, make_data) -> None:
    study = make_study(THREE, designs=("factorial",))
    lacking = dataclasses.replace(
        study, arms=tuple(arm for arm in study.arms if arm.name != "full-b")
    )
    names = {one.names for one in moebius_terms(
        lacking, cells_of(lacking, make_data(lacking, planted)), ci=0.95
    )}  # fmt: skip
    assert ("b", "c") in names
    assert ("a", "c") not in names
    assert ("a", "b", "c") not in names


def test_a_cell_without_runs_makes_the_terms_above_it_nan(make_study, make_data) -> None:
    study = make_study(THREE, designs=("factorial",))
    gone = [("full-b", game, seed) for game in study.games for seed in study.seeds]
    cells = cells_of(study, make_data(study, planted, missing=gone))
    found = {one.names: one.estimate for one in moebius_terms(study, cells, ci=0.95)
             if one.scope == MEAN}  # fmt: skip
    assert math.isnan(found["a", "c"].value)
    assert found["a", "c"].note == "no seed has every game yet: full-b"
    assert found["a", "b"].value == pytest.approx(0.2)


def test_levels_of_one_factor_are_in_no_set_together(
    make_study, make_data, additive_score
) -> None:
    study = make_study({"a": ("x", "y"), "b": ("on",)}, designs=("factorial",))
    data = make_data(study, additive_score({"a": 0.1, "b": 0.2}))
    names = {one.names for one in moebius_terms(study, cells_of(study, data), ci=0.95)}
    assert names == {("a:x",), ("a:y",), ("b",), ("a:x", "b"), ("a:y", "b")}


def test_the_frame_has_a_row_per_term(cells) -> None:
    frame = terms_frame(moebius_terms(*cells, ci=0.95, smallest=3))
    assert list(frame["set"]) == ["a × b × c"] * 4
    assert list(frame["order"]) == [3] * 4
