import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from results.statistics.cells import MEAN
from results.statistics.collecting import collect
from results.statistics.compared import BASE, FULL
from results.statistics.contrasts import (
    ADD_ONE_IN,
    LEAVE_ONE_OUT,
    effects,
    effects_frame,
    interactions,
    interactions_frame,
)
from results.statistics.judgement import CANNOT_TELL, label
from results.statistics.options import Options
from results.statistics.simultaneous import holm

THREE = {"a": ("on",), "b": ("on",), "c": ("on",)}
EVERYTHING = ("factorial",)


def effects_of(data, **options):
    found = effects(data.study, collect(data, Options(**options)), ci=0.95)
    return {(one.kind, one.name, one.scope): one for one in found}


def interactions_of(data, **options):
    found = interactions(data.study, collect(data, Options(**options)), ci=0.95)
    return {(one.first, one.second, one.background, one.scope): one for one in found}


def jitter(seed):
    return 0.01 * (seed - 1)  # seeds 0, 1, 2: a spread, and a mean of 0


def table(f):
    """A score that looks the set of toggles up: f({"ab": ...}), the same on every game."""
    return lambda on, game, seed: f["".join(sorted(on))] + jitter(seed)


def test_effects_are_those_worked_out_by_hand(make_study, make_data):
    f = {"": 0.1, "a": 0.4, "b": 0.2, "ab": 0.9}
    found = effects_of(make_data(make_study({"a": ("on",), "b": ("on",)}), table(f)))
    values = {
        (kind, name): one.estimate.value for (kind, name, s), one in found.items() if s == MEAN
    }
    assert values == pytest.approx(
        {
            (ADD_ONE_IN, "a"): 0.3,
            (ADD_ONE_IN, "b"): 0.1,
            (LEAVE_ONE_OUT, "a"): 0.7,
            (LEAVE_ONE_OUT, "b"): 0.5,
        }
    )
    assert found[ADD_ONE_IN, "a", "Pong"].arms == "base+a − base"
    assert found[LEAVE_ONE_OUT, "a", "Pong"].arms == "full − base+b"


def test_an_effect_is_the_t_interval_of_seed_means_over_games(make_study, make_data):
    noise = np.random.default_rng(0).normal(size=(2, 3, 3))
    study = make_study({"a": ("on",)})
    data = make_data(study, lambda on, g, s: noise[len(on), study.games.index(g), s])
    one = effects_of(data)[ADD_ONE_IN, "a", MEAN].estimate
    means = noise.mean(axis=1)
    assert one.value == pytest.approx(means[1].mean() - means[0].mean())
    pooled = np.sqrt((means[0].var(ddof=1) + means[1].var(ddof=1)) / 2)
    assert one.se == pytest.approx(pooled * np.sqrt(2 / 3))
    assert one.df == 4


@pytest.mark.parametrize("toggles", [dict.fromkeys("ab", ("on",)), THREE])
def test_an_additive_table_has_no_interaction_anywhere(
    make_study, make_data, additive_score, toggles
):
    effect = {"a": 0.3, "b": -0.2, "c": 0.7}
    study = make_study(toggles, designs=EVERYTHING)
    found = interactions_of(make_data(study, additive_score(effect)))
    assert len(found) == len(study.toggles) * (len(study.toggles) - 1) // 2 * 2 * 4
    assert max(abs(one.estimate.value) for one in found.values()) < 1e-9
    added = effects_of(make_data(study, additive_score(effect)))
    for (kind, name, _), one in added.items():
        assert one.estimate.value == pytest.approx(effect[name]), kind


@pytest.mark.parametrize("planted", [0.6, -0.6])
def test_a_planted_interaction_is_recovered_at_base_and_at_full(make_study, make_data, planted):
    def score(on, game, seed):
        return 0.2 + 0.3 * len(on) + planted * ("a" in on and "c" in on) + jitter(seed)

    found = interactions_of(make_data(make_study(THREE, designs=EVERYTHING), score))
    for background in (BASE, FULL):
        assert found["a", "c", background, MEAN].estimate.value == pytest.approx(planted)
        assert found["a", "c", background, MEAN].significant
        assert found["a", "b", background, MEAN].estimate.value == pytest.approx(0, abs=1e-9)
        assert not found["a", "b", background, MEAN].significant


def test_a_third_order_term_shows_at_full_and_not_at_base(make_study, make_data):
    data = make_data(
        make_study(THREE, designs=EVERYTHING), lambda on, g, s: 0.2 + (len(on) == 3) + jitter(s)
    )
    found = interactions_of(data)
    assert found["a", "b", BASE, MEAN].estimate.value == pytest.approx(0, abs=1e-9)
    assert found["a", "b", FULL, MEAN].estimate.value == pytest.approx(1)


def test_with_two_toggles_base_and_full_are_the_same_four_cells(noisy_data):
    found = interactions_of(noisy_data)
    at_base = found["augmentation", "ratio", BASE, MEAN]
    at_full = found["augmentation", "ratio", FULL, MEAN]
    assert dataclasses.replace(at_full, background=BASE) == at_base
    assert at_base.family == 1
    assert at_base.p_holm == pytest.approx(at_base.estimate.p)


def test_leave_one_out_minus_add_one_in_is_the_interaction_of_two_toggles(noisy_data):
    added, pairs = effects_of(noisy_data), interactions_of(noisy_data)
    for name in ("augmentation", "ratio"):
        difference = (
            added[LEAVE_ONE_OUT, name, MEAN].estimate.value
            - added[ADD_ONE_IN, name, MEAN].estimate.value
        )
        interaction = pairs["augmentation", "ratio", BASE, MEAN].estimate.value
        assert difference == pytest.approx(interaction)


def test_relabelling_the_toggles_relabels_the_answers_and_no_more(make_study, make_data):
    f = {"": 0.1, "a": 0.4, "b": 0.2, "c": 0.3, "ab": 0.9, "ac": 0.2, "bc": 0.7, "abc": 1.1}
    swap = {"a": "c", "b": "b", "c": "a"}
    straight = make_data(make_study(THREE, designs=EVERYTHING), table(f))
    turned = make_data(
        make_study(THREE, designs=EVERYTHING),
        lambda on, g, s: f["".join(sorted(swap[t] for t in on))] + jitter(s),
    )
    here, there = interactions_of(straight), interactions_of(turned)
    assert here["a", "b", BASE, MEAN].estimate.value == pytest.approx(0.4)
    for background in (BASE, FULL):
        one, other = here["a", "b", background, MEAN], there["b", "c", background, MEAN]
        assert one.estimate.value == pytest.approx(other.estimate.value)
        assert (one.label, one.p_holm) == (other.label, pytest.approx(other.p_holm))
        assert one.first_alone.value == pytest.approx(other.second_alone.value)


def test_a_cell_that_was_not_run_makes_its_interactions_nan_never_zero(make_study, make_data):
    study = make_study({**THREE, "d": ("on",)})  # base, full, leave one out, add one in: no pairs
    found = interactions_of(make_data(study, lambda on, g, s: 0.2 * len(on) + jitter(s)))
    assert all(np.isnan(one.estimate.value) for one in found.values())
    one = found["a", "b", BASE, MEAN]
    assert one.estimate.note == "not in the study: [a + b]"
    assert (one.label, one.significant, one.family) == ("", False, 0)


def test_a_cell_without_runs_is_nan_where_it_is_needed_and_nowhere_else(make_study, make_data):
    gone = [
        ("base+a", game, seed) for game in ("Pong", "CrazyClimber", "Assault") for seed in range(3)
    ]
    study = make_study({"a": ("on",), "b": ("on",)})
    data = make_data(study, lambda on, g, s: 0.2 * len(on) + jitter(s), missing=gone)
    found = effects_of(data, partial=True)
    assert np.isnan(found[ADD_ONE_IN, "a", MEAN].estimate.value)
    assert found[ADD_ONE_IN, "a", MEAN].estimate.note == "no seed has every game yet: base+a"
    assert found[ADD_ONE_IN, "a", "Pong"].estimate.note == "no run yet: base+a"
    assert found[ADD_ONE_IN, "b", MEAN].estimate.value == pytest.approx(0.2)
    assert np.isnan(interactions_of(data, partial=True)["a", "b", BASE, MEAN].estimate.value)


def test_leaving_an_arm_out_of_the_comparison_is_a_missing_cell(noisy_data):
    found = effects_of(noisy_data, arms=("base", "base+ratio"))
    assert np.isnan(found[ADD_ONE_IN, "augmentation", MEAN].estimate.value)
    assert np.isfinite(found[ADD_ONE_IN, "ratio", MEAN].estimate.value)


def test_one_seed_gives_points_and_no_label(one_seed_data):
    one = interactions_of(one_seed_data)["augmentation", "ratio", BASE, MEAN]
    assert np.isfinite(one.estimate.value)
    assert one.estimate.note == "one seed: no interval"
    assert (one.label, one.significant, one.crossover) == (CANNOT_TELL, False, ())
    assert np.isnan([one.p_holm, one.simultaneous_low]).all()


def test_levels_of_a_factor_are_each_compared_with_the_factor_off(make_study, make_data):
    study = make_study({"a": ("on",), "algorithm": ("sac", "ppo")}, designs=EVERYTHING)
    level = {None: 0.0, "sac": 0.2, "ppo": 0.5}

    def score(on, game, seed):
        chosen = on.get("algorithm")
        both = 0.3 * ("a" in on and chosen == "sac")
        return 0.1 + 0.4 * ("a" in on) + level[chosen] + both + jitter(seed)

    data = make_data(study, score)
    found = effects_of(data)
    assert found[ADD_ONE_IN, "algorithm:sac", MEAN].estimate.value == pytest.approx(0.2)
    assert found[LEAVE_ONE_OUT, "algorithm:ppo", MEAN].estimate.value == pytest.approx(0.5)
    assert found[LEAVE_ONE_OUT, "algorithm:sac", MEAN].estimate.value == pytest.approx(0.5)
    pairs = interactions_of(data)
    assert pairs["a", "algorithm:sac", BASE, MEAN].estimate.value == pytest.approx(0.3)
    assert pairs["a", "algorithm:ppo", BASE, MEAN].estimate.value == pytest.approx(0, abs=1e-9)
    assert ("algorithm:sac", "algorithm:ppo", BASE, MEAN) not in pairs


def test_holms_steps_are_those_worked_out_by_hand():
    # sorted .01 .02 .02 .9: times 4, 3, 2, 1 is .04 .06 .04 .9, and none may fall: .04 .06 .06 .9
    assert holm([0.02, 0.9, 0.01, 0.02]) == pytest.approx([0.06, 0.9, 0.04, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


@settings(deadline=None, max_examples=8)  # each collects garbage in statsmodels
@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holms_steps_are_those_of_statsmodels(p_values):
    theirs = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(list(theirs))


def test_the_family_is_every_distinct_pair_interaction_and_holm_adjusts_over_it(
    make_study, make_data, additive_score
):
    study = make_study(THREE, designs=EVERYTHING)
    data = make_data(study, additive_score(dict.fromkeys("abc", 0.2), noise=0.3))
    mean = [one for key, one in interactions_of(data).items() if key[3] == MEAN]
    assert {one.family for one in mean} == {6}  # 3 pairs at base, 3 at full, no two alike
    adjusted = multipletests([one.estimate.p for one in mean], method="holm")[1]
    assert [one.p_holm for one in mean] == pytest.approx(list(adjusted))
    for one in mean:
        bonferroni = one.estimate.at_level(1 - 0.05 / 6)
        assert bonferroni[0] <= one.simultaneous_low < one.estimate.low
        assert one.estimate.high < one.simultaneous_high <= bonferroni[1]
        assert one.estimate.p <= one.p_max_t <= one.p_holm


@pytest.mark.parametrize(
    ("cells", "word"),
    [
        ({"": 0.0, "a": 0.2, "b": 0.3, "ab": 0.9}, "synergy"),
        ({"": 0.0, "a": 0.2, "b": 0.3, "ab": 0.3}, "redundancy"),
        ({"": 0.0, "a": 0.2, "b": 0.3, "ab": 0.25}, "interference"),
        ({"": 0.5, "a": 0.3, "b": 0.8, "ab": 0.9}, "helps"),
        ({"": 0.5, "a": 0.3, "b": 0.8, "ab": 0.2}, "harms"),
        ({"": 0.5, "a": 0.3, "b": 0.8, "ab": 0.6}, CANNOT_TELL),  # plain addition, f(ab) < f(b)
    ],
)
def test_a_pair_gets_the_label_that_its_four_cells_define(make_study, make_data, cells, word):
    data = make_data(make_study({"a": ("on",), "b": ("on",)}), table(cells))
    assert interactions_of(data)["a", "b", BASE, MEAN].label == word


def test_a_label_needs_the_simultaneous_interval_to_exclude_zero(make_study, make_data):
    noise = np.array([-0.2, 0.0, 0.2])
    f = {"": 0.0, "a": 0.2, "b": 0.3, "ab": 0.9}
    study = make_study({"a": ("on",), "b": ("on",)})
    one = interactions_of(make_data(study, lambda on, g, s: f["".join(sorted(on))] + noise[s]))[
        "a", "b", BASE, MEAN
    ]
    assert one.simultaneous_low < 0 < one.estimate.value
    assert one.label == CANNOT_TELL


def test_the_boundary_between_redundancy_and_interference_is_the_better_single():
    arguments = {"alone": (0.2, 0.3), "singles": (0.5, 0.6)}
    assert label(-0.1, both=0.6, **arguments) == "redundancy"
    assert label(-0.1, both=0.59, **arguments) == "interference"
    assert label(0.1, alone=(0.0, 0.3), singles=(0.5, 0.6), both=0.9) == "helps"


def test_an_effect_that_turns_around_is_a_crossover_and_a_shrinking_one_is_not(
    make_study, make_data
):
    study = make_study({"a": ("on",), "b": ("on",)})
    turned = {"": 0.2, "a": 0.6, "b": 0.9, "ab": 0.7}  # a: +.4 without b, -.2 with b
    shrunk = {"": 0.2, "a": 0.6, "b": 0.9, "ab": 1.0}
    of = {
        name: interactions_of(make_data(study, table(f)))["a", "b", BASE, MEAN]
        for name, f in (("turned", turned), ("shrunk", shrunk))
    }
    assert of["turned"].crossover == ("a",)
    assert of["shrunk"].crossover == ()
    assert of["shrunk"].label == "redundancy"


def test_a_crossover_needs_both_effects_to_be_clear_of_zero(make_study, make_data):
    study = make_study({"a": ("on",), "b": ("on",)})
    f = {"": 0.2, "a": 0.6, "b": 0.9, "ab": 0.895}  # the effect of a with b: -.005, spread .01
    one = interactions_of(make_data(study, table(f)))["a", "b", BASE, MEAN]
    assert one.first_with.value < 0 < one.first_alone.value
    assert one.crossover == ()


def test_an_interaction_on_the_floor_of_a_game_says_so(make_study, make_data):
    def score(on, game, seed):
        if game == "Pong":
            return 0.0 if len(on) < 2 else 0.8
        return 0.4 + 0.2 * len(on) + jitter(seed)

    found = interactions_of(make_data(make_study({"a": ("on",), "b": ("on",)}), score))
    assert found["a", "b", BASE, MEAN].floor == ("Pong",)
    assert found["a", "b", BASE, "Assault"].floor == ()
    assert found["a", "b", BASE, "Pong"].estimate.note == "all seeds equal: no interval"


def test_frames_hold_a_tidy_row_per_contrast(noisy_data):
    scores = collect(noisy_data, Options())
    added = effects_frame(effects(noisy_data.study, scores, ci=0.95))
    assert len(added) == 2 * 2 * 4
    assert {"effect", "name", "scope", "value", "low", "high", "mde", "note"} <= set(added)
    pairs = interactions_frame(interactions(noisy_data.study, scores, ci=0.95))
    assert len(pairs) == 1 * 2 * 4
    assert {"first", "second", "background", "p_holm", "label", "crossover"} <= set(pairs)
