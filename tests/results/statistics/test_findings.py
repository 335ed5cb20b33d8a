import dataclasses
import math

import numpy as np
import pytest

from results.statistics.cells import MEAN
from results.statistics.collecting import collect
from results.statistics.compared import BASE
from results.statistics.findings import Check, excludes, findings, study_findings
from results.statistics.intervals import missing_estimate
from results.statistics.options import Options


def noise(on, game, seed):
    key = [seed, *"|".join([game, *sorted(on)]).encode()]
    return 0.5 + 0.2 * float(np.random.default_rng(key).standard_normal())


def found_of(study, data, **options):
    chosen = Options(resamples=200, **options)
    return findings(study, collect(data, chosen), chosen)


@pytest.fixture
def found(make_study, make_data):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("factorial",), seeds=range(4))
    return found_of(study, make_data(study, noise))


def test_the_numbers_have_a_row_per_effect_with_all_checks(found):
    frame = found.effect_numbers
    assert len(frame) == 4 * 3 * 4  # kinds, toggles, scopes
    assert set(frame["effect"]) == {"add_one_in", "leave_one_out", "averaged", "shapley"}
    assert frame[["bootstrap_low", "bootstrap_high", "paired", "rho"]].notna().all(axis=None)
    assert (frame["bootstrap_low"] < frame["value"]).all()
    assert frame["paired"].to_numpy() == pytest.approx(frame["value"].to_numpy())


def test_the_numbers_have_a_row_per_interaction_and_per_higher_term(found):
    frame = found.interaction_numbers
    pairs = frame[frame["order"] == 2]
    assert list(pairs["background"].value_counts()) == [12, 12, 12]
    assert pairs[["on_log", "on_rank", "bootstrap_low", "p_max_t"]].notna().all(axis=None)
    assert pairs[pairs["scope"] == "Pong"]["on_logit"].notna().all()
    assert pairs[pairs["scope"] == "Assault"]["on_logit"].isna().all()
    higher = frame[frame["order"] == 3]
    assert list(higher["first"]) == ["a × b × c"] * 4


def test_rho_is_that_of_the_scope(found):
    frame = found.effect_numbers
    assert set(frame[frame["scope"] == MEAN]["rho"]) == {found.pairing.rho}
    assert frame.groupby("scope")["rho"].nunique().max() == 1
    assert frame["rho"].nunique() == 4


def test_the_calibration_is_of_the_pairs_at_base_and_in_full(found):
    assert found.calibration.family == 6


def test_the_calibration_of_a_fraction_is_of_its_averaged_pairs(make_study, make_data):
    study = make_study(dict.fromkeys("abcde", ("on",)), designs=("fractional",))
    assert found_of(study, make_data(study, noise)).calibration.family == 10


def test_a_bootstrap_disagrees_where_only_one_interval_excludes_zero(found):
    [one] = [o for o in found.interactions
             if (o.scope, o.background, o.first, o.second) == (MEAN, BASE, "a", "b")]  # fmt: skip
    clear = dataclasses.replace(one.estimate, low=0.1, high=0.5)
    nothing = missing_estimate("")
    assert Check(-0.1, 0.5, nothing).disagrees(clear)
    assert not Check(0.2, 0.5, nothing).disagrees(clear)
    assert not Check(math.nan, math.nan, nothing).disagrees(clear)
    assert excludes(-0.2, -0.1)
    assert not excludes(-0.1, 0.0)


def test_a_study_of_one_toggle_has_effects_and_nothing_else(make_study, make_data):
    study = make_study({"a": ("on",)})
    found = found_of(study, make_data(study, noise))
    assert found.interactions == ()
    assert found.terms == ()
    assert found.calibration.family == 0
    assert len(found.effect_numbers) == 4 * 4


@pytest.mark.parametrize(
    ("both", "interaction", "word"), [(1.6, 0.60, "synergy"), (0.75, -0.25, "cannot tell")]
)
def test_the_example_of_the_readme_is_worked_out_right(
    make_study, make_data, both, interaction, word
):
    means = {(): 0.3, ("a",): 0.7, ("b",): 0.6, ("a", "b"): both}
    study = make_study(
        {"a": ("on",), "b": ("on",)}, designs=("factorial",), games=("Assault",), seeds=range(3)
    )
    data = make_data(study, lambda on, g, seed: means[tuple(sorted(on))] + 0.1 * (seed - 1))
    found = study_findings(data, Options(resamples=50))
    pair = next(one for one in found.interactions if one.background == "base")
    assert pair.estimate.value == pytest.approx(interaction)
    assert pair.estimate.high - pair.estimate.value == pytest.approx(0.27, abs=0.005)
    assert pair.estimate.mde == pytest.approx(0.37, abs=0.005)
    assert pair.label == word
    shares = [one.estimate.value for one in found.effects
              if one.kind == "shapley" and one.scope == "mean of games"]  # fmt: skip
    assert shares == pytest.approx([0.4 + interaction / 2, 0.3 + interaction / 2])
