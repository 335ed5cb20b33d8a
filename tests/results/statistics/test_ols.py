import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from results.statistics.cells import MEAN, Cells
from results.statistics.collecting import collect
from results.statistics.compared import crossing
from results.statistics.judgement import CANNOT_TELL
from results.statistics.ols import averages
from results.statistics.options import Options

THREE = dict.fromkeys("abc", ("on",))
FIVE = dict.fromkeys("abcde", ("on",))
SIX = dict.fromkeys("abcdef", ("on",))


def noise_of(on, game, seed, size=1.0):
    """Independent from run to run, and the same for the same run."""
    key = [seed, *"|".join([game, *sorted(on), *map(str, on.values())]).encode()]
    return size * float(np.random.default_rng(key).standard_normal())


def found_of(study, data, ci=0.95):
    cells = Cells.of(study, collect(data, Options(partial=True)))
    found = averages(study, cells, ci=ci)
    assert found is not None
    mains = {one.name: one for one in found.effects if one.scope == MEAN}
    pairs = {(one.first, one.second): one for one in found.interactions if one.scope == MEAN}
    return found, mains, pairs, cells


def test_averages_of_a_factorial_are_differences_of_means(make_study, make_data):
    study = make_study(THREE, designs=("factorial",))
    table = {key: v for key, v in zip(
        ["", "a", "b", "c", "ab", "ac", "bc", "abc"],
        [0.1, 0.5, -0.2, 0.9, 0.4, 2.0, 0.3, -1.0], strict=True)}  # fmt: skip
    data = make_data(
        study, lambda on, g, s: table["".join(sorted(on))] + noise_of(on, g, s, size=0.1)
    )
    _, mains, pairs, cells = found_of(study, data)
    f = {"".join(sorted(t for t, _ in cell)): cells.mean(cell, MEAN) for cell in cells.arms}
    effect_of_a = np.mean([f["a" + rest] - f[rest] for rest in ("", "b", "c", "bc")])
    # the keys of the table are sorted, so "a" comes first in each of them
    assert mains["a"].estimate.value == pytest.approx(effect_of_a)
    at_base = f["ab"] - f["a"] - f["b"] + f[""]
    with_c = f["abc"] - f["ac"] - f["bc"] + f["c"]
    assert pairs["a", "b"].estimate.value == pytest.approx((at_base + with_c) / 2)
    assert pairs["a", "b"].first_alone.value == pytest.approx(
        (f["a"] - f[""] + f["ac"] - f["c"]) / 2
    )
    assert pairs["a", "b"].second_with.value == pytest.approx(
        (f["ab"] - f["a"] + f["abc"] - f["ac"]) / 2
    )


def test_the_interval_rests_on_what_cell_and_seed_leave_over(make_study, make_data):
    study = make_study(THREE, designs=("factorial",), seeds=range(4))
    data = make_data(study, lambda on, g, s: noise_of(on, g, s) + 5 * s)
    _, mains, pairs, cells = found_of(study, data)
    runs = np.array([cells.runs[cell, MEAN] for cell in cells.arms])
    left = runs - runs.mean(axis=1, keepdims=True) - runs.mean(axis=0) + runs.mean()
    df = 7 * 3
    sd = np.sqrt((left**2).sum() / df)
    main, pair = mains["a"].estimate, pairs["a", "b"].estimate
    assert (main.df, main.sd) == (df, pytest.approx(sd))
    assert main.se == pytest.approx(2 * sd / np.sqrt(32))
    assert pair.se == pytest.approx(4 * sd / np.sqrt(32))  # section 3: 4 s / sqrt(N)
    assert pair.high - pair.value == pytest.approx(stats.t.ppf(0.975, df) * pair.se)


def test_a_seed_that_lifts_all_cells_changes_nothing(make_study, make_data):
    study = make_study(SIX, designs=("fractional",))
    quiet = make_data(study, lambda on, g, s: noise_of(on, g, s, size=0.2))
    lifted = make_data(study, lambda on, g, s: noise_of(on, g, s, size=0.2) + 3 * s)
    one, other = (found_of(study, data)[1]["a"].estimate for data in (quiet, lifted))
    assert other.value == pytest.approx(one.value)
    assert other.se == pytest.approx(one.se)


@pytest.mark.parametrize("toggles", [5, 6, 7, 8])
def test_a_fraction_recovers_every_effect_and_pair(make_study, make_data, toggles):
    names = "abcdefgh"[:toggles]
    rng = np.random.default_rng(toggles)
    main = {name: rng.normal() for name in names}
    pair = {(i, j): rng.normal() for i in names for j in names if i < j}

    def score(on, game, seed):
        return sum(main[t] for t in on) + sum(
            value for (i, j), value in pair.items() if i in on and j in on
        )

    study = make_study(dict.fromkeys(names, ("on",)), designs=("fractional",), games=("Assault",),
                       seeds=(0, 1))  # fmt: skip
    _, mains, pairs, _ = found_of(study, make_data(study, score))
    assert {key: one.estimate.value for key, one in pairs.items()} == pytest.approx(pair)
    for name in names:
        half = sum(value for key, value in pair.items() if name in key) / 2
        assert mains[name].estimate.value == pytest.approx(main[name] + half)


def test_added_cells_do_not_go_into_the_averages(make_study, make_data):
    designs = ("base", "full", "add_one_in", "leave_one_out", "fractional")
    plain = make_study(FIVE, designs=("fractional",))
    study = make_study(FIVE, designs=designs)
    assert len(study.arms) == 16 + 1 + 5  # full and every leave-two-out are in the fraction
    values = {}
    for one in (plain, study):
        data = make_data(one, lambda on, g, s: noise_of(on, g, s))
        values[one.designs] = found_of(one, data)[1]["a"].estimate
    assert values[designs] == values["fractional",]


def test_levels_of_a_factor_are_averaged_against_the_factor_off(make_study, make_data):
    study = make_study({"a": ("on",), "b": ("x", "y")}, designs=("factorial",))
    level = {None: 0.0, "x": 0.3, "y": -0.2}

    def score(on, game, seed):
        both = 0.6 * ("a" in on and on.get("b") == "x")
        return level[on.get("b")] + 0.1 * ("a" in on) + both

    _, mains, pairs, _ = found_of(study, make_data(study, score))
    assert mains["b:x"].estimate.value == pytest.approx(0.3 + 0.6 / 2)
    assert mains["b:y"].estimate.value == pytest.approx(-0.2)
    assert mains["a"].estimate.value == pytest.approx(0.1 + 0.6 / 3)
    assert pairs["a", "b:x"].estimate.value == pytest.approx(0.6)
    assert pairs["a", "b:y"].estimate.value == pytest.approx(0, abs=1e-9)
    assert ("b:x", "b:y") not in pairs
    assert pairs["a", "b:x"].first_alone.value == pytest.approx(0.1)


def test_a_missing_cell_widens_the_averages_and_biases_none(make_study, make_data):
    study = make_study(SIX, designs=("fractional",))

    def score(on, game, seed):
        return 0.3 * ("a" in on) + 0.4 * ("a" in on and "b" in on) + noise_of(on, game, seed, 1e-6)

    whole = found_of(study, make_data(study, score))[2]["a", "b"].estimate
    gone = [("base", game, seed) for game in study.games for seed in study.seeds]
    found, _, pairs, _ = found_of(study, make_data(study, score, missing=gone))
    assert found.absent[MEAN] == 1
    lacking = pairs["a", "b"].estimate
    assert lacking.value == pytest.approx(0.4, abs=1e-4)
    assert lacking.se / lacking.sd > whole.se / whole.sd
    assert pairs["a", "b"].weights.keys() == {
        frozenset(arm.toggles.items()) for arm in study.arms if arm.name != "base"
    }


def test_unequal_seeds_widen_the_averages_and_are_said(make_study, make_data):
    study = make_study(SIX, designs=("fractional",))
    score = lambda on, g, s: noise_of(on, g, s)  # noqa: E731
    gone = [("base", game, 0) for game in study.games]
    one = found_of(study, make_data(study, score))[1]["a"].estimate
    effect = found_of(study, make_data(study, score, missing=gone))[1]["a"]
    assert effect.estimate.se / effect.estimate.sd > one.se / one.sd
    assert (effect.estimate.fewest, effect.estimate.most) == (2, 3)
    assert effect.weights == {}  # no contrast of cell means


def test_a_saturated_fraction_without_one_cell_says_nothing(make_study, make_data):
    study = make_study(FIVE, designs=("fractional",))  # 16 cells, 16 coefficients
    gone = [("full", game, seed) for game in study.games for seed in study.seeds]
    _, mains, pairs, _ = found_of(
        study, make_data(study, lambda on, g, s: noise_of(on, g, s), missing=gone)
    )
    for one in (*mains.values(), *pairs.values()):
        assert math.isnan(one.estimate.value)
        assert one.estimate.note == "no seed has every game yet: full"
    assert all(pair.label == "" for pair in pairs.values())


def test_a_pair_that_is_no_agent_has_no_average_and_the_others_have(make_study, make_data):
    study = make_study(SIX, designs=("fractional",))
    without = dataclasses.replace(
        study, arms=tuple(arm for arm in study.arms if not {"a", "b"} <= arm.toggles.keys())
    )

    def score(on, game, seed):
        return 0.3 * ("c" in on and "d" in on) + noise_of(on, game, seed, 1e-6)

    _, _, pairs, _ = found_of(without, make_data(without, score))
    assert math.isnan(pairs["a", "b"].estimate.value)
    assert pairs["a", "b"].estimate.note.startswith("not defined: [")
    assert pairs["c", "d"].estimate.value == pytest.approx(0.3, abs=1e-4)


def test_a_pair_is_not_named_by_an_average_that_the_cells_do_not_tell(make_study, make_data):
    study = make_study(THREE, designs=("factorial",))
    without = dataclasses.replace(
        study, arms=tuple(arm for arm in study.arms if not {"a", "c"} <= arm.toggles.keys())
    )

    def score(on, game, seed):  # a harms alone, and helps with b
        together = 0.9 * ("a" in on and "b" in on)
        return 0.3 * ("b" in on) - 0.4 * ("a" in on) + together + noise_of(on, game, seed, 0.01)

    _, mains, pairs, _ = found_of(without, make_data(without, score))
    assert math.isnan(mains["a"].estimate.value)
    assert pairs["a", "b"].estimate.low > 0.8
    assert math.isnan(pairs["a", "b"].first_alone.value)
    assert pairs["a", "b"].label == CANNOT_TELL


def test_one_seed_gives_points_and_the_words(make_study, make_data):
    study = make_study(SIX, designs=("fractional",), seeds=(4,))
    _, mains, pairs, _ = found_of(study, make_data(study, lambda on, g, s: 0.3 * ("a" in on)))
    assert mains["a"].estimate.value == pytest.approx(0.3)
    for one in (mains["a"], pairs["a", "b"]):
        assert one.estimate.note == "one seed: no interval"
        assert math.isnan(one.estimate.high)
    assert pairs["a", "b"].label == "cannot tell"


def test_a_screen_finds_main_effects_and_no_pairs(make_study, make_data):
    study = make_study(SIX, designs=("plackett_burman",))
    data = make_data(study, lambda on, g, s: 0.3 * ("a" in on) + noise_of(on, g, s, 0.01))
    found, mains, pairs, _ = found_of(study, data)
    assert pairs == {}
    assert mains["a"].estimate.value == pytest.approx(0.3, abs=0.02)
    assert mains["b"].estimate.value == pytest.approx(0, abs=0.02)
    assert found.crossing.pairs is False


def test_the_test_of_fit_sees_an_interaction_of_three_and_no_pair(make_study, make_data):
    study = make_study(dict.fromkeys("abcd", ("on",)), designs=("factorial",), seeds=range(4))

    def of_order(order):
        return make_data(study, lambda on, g, s: (
            2.0 * (set("abcd"[:order]) <= set(on)) + noise_of(on, g, s, 0.5)
        ))  # fmt: skip

    assert found_of(study, of_order(3))[0].lack_of_fit[MEAN] < 1e-3
    assert found_of(study, of_order(2))[0].lack_of_fit[MEAN] > 0.01


def test_the_largest_crossed_design_of_a_study_is_averaged(make_study):
    of = {
        designs: crossing(make_study(toggles, designs=designs))
        for toggles, designs in (
            (SIX, ("fractional", "plackett_burman")),
            (THREE, ("base", "full", "leave_one_out", "add_one_in")),  # all eight cells
            (dict.fromkeys("abcd", ("on",)), ("base", "full", "add_one_in")),
            (FIVE, ("factorial", "fractional")),
        )
    }
    names = [one.design if one else None for one in of.values()]
    assert names == ["fractional", "factorial", None, "factorial"]


def test_averaged_pairs_are_one_family_with_a_common_variance(make_study, make_data):
    study = make_study(SIX, designs=("fractional",))
    _, _, pairs, _ = found_of(study, make_data(study, lambda on, g, s: noise_of(on, g, s)))
    assert {one.family for one in pairs.values()} == {15}
    for one in pairs.values():
        wide = one.estimate.at_level(1 - 0.05 / 15)
        assert wide[0] <= one.simultaneous_low < one.estimate.low
        assert one.estimate.p <= one.p_max_t <= one.p_holm


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_averaged_intervals_cover_95_percent(make_study, make_data, seeds):
    study = make_study(FIVE, designs=("fractional",), games=("Assault",), seeds=range(seeds))
    _, _, pairs, _ = found_of(study, make_data(study, lambda on, g, s: noise_of(on, g, s)))
    weights = np.array(list(pairs["a", "b"].weights.values()))  # the cells of one contrast
    rng = np.random.default_rng(seeds)
    runs = 0.27 * rng.standard_normal((8_000, 16, seeds)) + rng.standard_normal((8_000, 1, seeds))
    left = runs - runs.mean(axis=2, keepdims=True)
    left = left - left.mean(axis=1, keepdims=True)
    df = 15 * (seeds - 1)
    sd = np.sqrt((left**2).sum(axis=(1, 2)) / df)
    half = stats.t.ppf(0.975, df) * sd * np.sqrt((weights**2).sum() / seeds)
    covered = np.abs(runs.mean(axis=2) @ weights) <= half
    assert pairs["a", "b"].estimate.df == df
    assert 0.93 < covered.mean() < 0.97
