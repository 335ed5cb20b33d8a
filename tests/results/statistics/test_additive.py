import math

import pytest

from results.statistics.additive import (
    combinations,
    combinations_frame,
    gap_weights,
    predicted_weights,
)
from results.statistics.cells import MEAN, Cells
from results.statistics.collecting import collect
from results.statistics.compared import BASE
from results.statistics.contrasts import cell_interactions
from results.statistics.moebius import moebius_weights
from results.statistics.options import Options


def on(names):
    return frozenset((name, "on") for name in names)


def found_of(study, data, **options):
    cells = Cells.of(study, collect(data, Options(**options)))
    return {(one.arm, one.scope): one for one in combinations(study, cells, ci=0.95)}, cells


def test_a_gap_is_the_sum_of_the_moebius_terms_of_two_and_more():
    total: dict = {}
    for names in ("ab", "ac", "bc", "abc"):
        for cell, weight in moebius_weights(on(names)).items():
            total[cell] = total.get(cell, 0) + weight
    total = {cell: weight for cell, weight in total.items() if weight}
    assert gap_weights(on("abc")) == total


def test_the_base_and_single_toggles_predict_themselves():
    assert predicted_weights(on("")) == {on(""): 1}
    assert predicted_weights(on("a")) == {on("a"): 1}
    assert predicted_weights(on("abc")) == {on("a"): 1, on("b"): 1, on("c"): 1, on(""): -2}


def test_effects_that_add_up_leave_no_gap(make_study, make_data, additive_score):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("factorial",), games=("Assault",))
    data = make_data(study, additive_score({"a": 0.1, "b": 0.2, "c": -0.4}), points=1)
    found, _ = found_of(study, data)
    assert len(found) == 2 * 8
    assert found["full", MEAN].predicted.value == pytest.approx(0.5 - 0.1)
    gaps = [one.gap.value for one in found.values() if len(one.on) > 1]
    assert len(gaps) == 2 * 4
    assert max(map(abs, gaps)) < 1e-9


def test_the_gap_of_a_pair_is_its_interaction_at_the_base(make_study, make_data, additive_score):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("pairs_in",))
    score = additive_score(dict.fromkeys("abc", 0.1), noise=0.2)
    found, cells = found_of(study, make_data(study, score, points=1))
    for pair in cell_interactions(study, cells, ci=0.95):
        if pair.background == BASE:
            (one,) = [
                one
                for one in found.values()
                if set(one.on) == {pair.first, pair.second} and one.scope == pair.scope
            ]
            assert one.gap.value == pytest.approx(pair.estimate.value)
            assert one.gap.high == pytest.approx(pair.estimate.high)


def test_a_planted_gap_is_found_and_the_simultaneous_interval_is_the_wider(
    make_study, make_data, additive_score
):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("factorial",), games=("Assault",))
    plain = additive_score(dict.fromkeys("abc", 0.1), noise=0.03)
    data = make_data(study, lambda o, g, s: plain(o, g, s) + (len(o) == 3), points=1)
    found, _ = found_of(study, data)
    assert found["full", MEAN].simultaneous_low > 0
    assert found["full", MEAN].p_holm < 0.05
    for one in found.values():
        if len(one.on) > 1:
            assert one.simultaneous_low < one.gap.low < one.gap.high < one.simultaneous_high


def test_a_missing_single_leaves_its_combinations_without_a_prediction(
    make_study, make_data, additive_score
):
    study = make_study(dict.fromkeys("ab", ("on",)), designs=("factorial",), games=("Assault",))
    missing = [("base+a", "Assault", seed) for seed in study.seeds]
    data = make_data(study, additive_score({"a": 0.1, "b": 0.1}), missing=missing, points=1)
    found, _ = found_of(study, data, partial=True)
    full = found["full", MEAN]
    assert math.isfinite(full.score.value)
    assert math.isnan(full.predicted.value)
    assert math.isnan(full.gap.value)
    assert "base+a" in full.gap.note
    frame = combinations_frame(tuple(found.values()))
    assert frame.set_index(["arm", "scope"])["gap_value"].isna().all()
