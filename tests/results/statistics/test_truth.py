"""Planted effects come back with their sign, size and label; intervals cover as they promise."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import stats

from results.statistics.bootstrap import Bootstrap
from results.statistics.cells import MEAN, Cells
from results.statistics.collecting import collect
from results.statistics.compared import BASE, FULL
from results.statistics.contrasts import ADD_ONE_IN
from results.statistics.findings import findings
from results.statistics.intervals import contrast
from results.statistics.ols import AVERAGED
from results.statistics.options import Options
from results.statistics.shapley import SHAPLEY
from results.statistics.simultaneous import adjust, null_of_cells

SPREAD = 0.03
SCORES = {  # of a pair: neither, only the first, only the second, both
    "additive": (0.3, 0.7, 0.6, 1.0),
    "synergy": (0.3, 0.7, 0.6, 1.6),
    "redundancy": (0.3, 0.7, 0.6, 0.75),
    "interference": (0.3, 0.9, 0.8, 0.5),
    "helps": (0.6, 0.3, 0.9, 1.2),
    "harms": (0.6, 0.3, 0.9, 0.1),
}


def spread(on, game, seed, size=SPREAD):
    key = [seed, *"|".join([game, *sorted(on)]).encode()]
    return size * float(np.random.default_rng(key).standard_normal())


def pair_score(kind):
    """The pair a, b as planted; everything else adds .1."""
    neither, first, second, both = SCORES[kind]

    def score(on, game, seed):
        value = {(0, 0): neither, (1, 0): first, (0, 1): second, (1, 1): both}
        planted = value["a" in on, "b" in on]
        return planted + 0.1 * len(set(on) - {"a", "b"}) + spread(on, game, seed)

    return score


def found_of(study, data, **options):
    chosen = Options(**options)
    return findings(study, collect(data, chosen), chosen)


def pairs_of(found, background):
    return {
        (one.first, one.second): one
        for one in found.interactions
        if one.background == background and one.scope == MEAN
    }


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize(
    ("names", "designs", "backgrounds"),
    [
        ("ab", ("factorial",), (BASE, FULL)),
        ("abcd", ("factorial",), (BASE, FULL, AVERAGED)),
        ("abcde", ("fractional",), (AVERAGED,)),
        ("abcdef", ("pairs_in", "pairs_out"), (BASE, FULL)),
    ],
)
def test_a_planted_pair_comes_back_in_every_design(
    make_study, make_data, kind, names, designs, backgrounds
):
    study = make_study(dict.fromkeys(names, ("on",)), designs=designs, games=("Assault",),
                       seeds=range(5))  # fmt: skip
    found = found_of(study, make_data(study, pair_score(kind)))
    neither, first, second, both = SCORES[kind]
    planted = both - first - second + neither
    for background in backgrounds:
        pairs = pairs_of(found, background)
        one = pairs["a", "b"]
        assert one.estimate.value == pytest.approx(planted, abs=0.12)
        expected = "cannot tell" if kind == "additive" else kind
        assert one.label == expected
        assert one.significant == (kind != "additive")
        others = [pair for key, pair in pairs.items() if key != ("a", "b")]
        assert {pair.label for pair in others} <= {"cannot tell"}


def test_a_factorial_of_six_toggles_tells_every_planted_pair_from_the_rest(six_toggles):
    found = found_of(six_toggles.study, six_toggles, games=("Assault", "CrazyClimber", "MsPacman"))
    planted = {
        ("augmentation", "ratio"): (0.6, "synergy"),
        ("resets", "exploration"): (-0.3, "redundancy"),
        ("exploration", "auxiliary"): (-0.7, "interference"),
    }
    for background in (BASE, FULL, AVERAGED):
        pairs = pairs_of(found, background)
        assert len(pairs) == 15
        for key, one in pairs.items():
            size, word = planted.get(key, (0.0, "cannot tell"))
            assert one.estimate.value == pytest.approx(size, abs=0.25 if background != AVERAGED
                                                       else 0.06)  # fmt: skip
            assert one.significant == (key in planted), (background, key)
            if background == BASE:
                assert one.label == word
    on_pong = found_of(six_toggles.study, six_toggles, games=("Pong",))
    hidden = pairs_of(on_pong, BASE)["exploration", "auxiliary"]
    assert hidden.floor == ("Pong",)
    assert hidden.label != "interference"


def test_additive_effects_are_the_same_in_every_estimand(make_study, make_data):
    effect = {"a": 0.5, "b": -0.3, "c": 0.2}
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("factorial",), seeds=(0, 1))
    found = found_of(study, make_data(study, lambda on, g, s: sum(effect[t] for t in on)))
    kinds = {one.kind for one in found.effects}
    assert kinds == {ADD_ONE_IN, "leave_one_out", AVERAGED, SHAPLEY}
    for one in found.effects:
        assert one.estimate.value == pytest.approx(effect[one.name]), one.kind
    assert max(abs(one.estimate.value) for one in found.interactions) < 1e-9
    assert max(abs(one.estimate.value) for one in found.terms) < 1e-9


def test_a_floor_feigns_a_synergy_and_is_flagged(make_study, make_data):
    """Section 6: latent −3, −1.5, −1.5, 0 and a floor at −1 show I = +1 where latent I = 0."""

    def score(on, game, seed):
        latent = {0: -3.0, 1: -1.5, 2: 0.0}[len(on)]
        return max(latent, -1.0) + (abs(spread(on, game, seed)) if latent > -1 else 0.0)

    study = make_study({"a": ("on",), "b": ("on",)}, games=("Assault",), seeds=range(5))
    one = pairs_of(found_of(study, make_data(study, score)), BASE)["a", "b"]
    assert one.estimate.value == pytest.approx(1, abs=0.1)
    assert one.estimate.value > 0
    assert one.floor == ("Assault",)


def test_a_ceiling_feigns_a_redundancy_and_is_flagged(make_study, make_data):
    top = (21 + 20.7) / (14.6 + 20.7)  # Pong, in human-normalised score

    def score(on, game, seed):
        return min(0.5 + 0.6 * len(on), top) - abs(spread(on, game, seed, 0.01))

    study = make_study({"a": ("on",), "b": ("on",)}, games=("Pong",), seeds=range(5))
    one = pairs_of(found_of(study, make_data(study, score)), BASE)["a", "b"]
    assert one.label == "redundancy"
    assert one.ceiling == ("Pong",)
    assert one.floor == ()


def test_what_only_multiplies_is_a_matter_of_the_scale(make_study, make_data):
    """Returns that double and triple: synergy on the score, less than additive on the log."""

    def score(on, game, seed):
        factor = {0: 1.0, 1: 3.0, 2: 7.0}[len(on)]  # 1 + 2 + 2 < 7 < 3 * 3
        return 0.3 * factor + spread(on, game, seed, 0.01)

    study = make_study({"a": ("on",), "b": ("on",)}, games=("Assault",), seeds=range(4))
    found = found_of(study, make_data(study, score))
    one = pairs_of(found, BASE)["a", "b"]
    assert one.label == "synergy"
    assert "log" in found.signs(one.weights, MEAN).turned


def test_relabelling_the_toggles_relabels_everything(make_study, make_data):
    turn = dict(zip("abcd", "cdba", strict=True))
    toggles = dict.fromkeys("abcd", ("on",))
    study = make_study(toggles, designs=("factorial",), games=("Assault",))
    straight = found_of(study, make_data(study, pair_score("interference")))
    back = {new: old for old, new in turn.items()}
    score = pair_score("interference")
    turned = found_of(study, make_data(
        study, lambda on, g, s: score({back[t]: level for t, level in on.items()}, g, s)
    ))  # fmt: skip
    here = {(e.kind, e.name, e.scope): e.estimate for e in straight.effects}
    there = {(e.kind, e.name, e.scope): e.estimate for e in turned.effects}
    for (kind, name, scope), estimate in here.items():
        other = there[kind, turn[name], scope]
        assert (other.value, other.low) == pytest.approx((estimate.value, estimate.low))
    for background in (BASE, FULL, AVERAGED):
        pairs = pairs_of(turned, background)
        for (first, second), one in pairs_of(straight, background).items():
            key = tuple(sorted((turn[first], turn[second])))
            assert pairs[key].estimate.value == pytest.approx(one.estimate.value)
            assert pairs[key].label == one.label
            assert pairs[key].p_holm == pytest.approx(one.p_holm)


def test_a_missing_cell_is_nan_in_every_estimand_that_needs_it_and_never_zero(
    make_study, make_data
):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("factorial",))
    gone = [("base+a", game, seed) for game in study.games for seed in study.seeds]
    data = make_data(study, lambda on, g, s: 0.5 + spread(on, g, s), missing=gone)
    found = found_of(study, data, partial=True)
    for one in found.effects:
        needs_it = {frozenset({("a", "on")})} & one.weights.keys()
        if one.kind in (ADD_ONE_IN, "leave_one_out", SHAPLEY):
            assert np.isnan(one.estimate.value) == bool(needs_it), (one.kind, one.name)
            assert bool(one.estimate.note) == bool(needs_it)
    assert np.isnan(pairs_of(found, BASE)["a", "b"].estimate.value)
    assert np.isfinite(pairs_of(found, BASE)["b", "c"].estimate.value)
    averaged = pairs_of(found, AVERAGED)["a", "b"].estimate
    assert np.isfinite(averaged.value)
    whole = pairs_of(
        found_of(study, make_data(study, lambda on, g, s: spread(on, g, s))), AVERAGED
    )
    whole_estimate = whole["a", "b"].estimate
    assert averaged.se / averaged.sd > whole_estimate.se / whole_estimate.sd


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_pooled_and_simultaneous_intervals_cover_what_they_promise(seeds):
    """Pairs at the base of five toggles, with planted effects, 6,000 studies."""
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    weights = np.zeros((len(pairs), 16))
    for row, (i, j) in enumerate(pairs):
        weights[row, [0, 1 + i, 1 + j, 6 + row]] = [1, -1, -1, 1]
    rng = np.random.default_rng(seeds)
    true = rng.normal(size=16)
    runs = true[:, None] + 0.27 * rng.standard_normal((6_000, 16, seeds))
    involved = (weights != 0).astype(float)
    df = 4 * (seeds - 1)
    sd = np.sqrt((runs.var(axis=2) * seeds) @ involved.T / df)
    error = np.abs(runs.mean(axis=2) @ weights.T - weights @ true)
    se = sd * np.sqrt(4 / seeds)
    alone = error <= stats.t.ppf(0.975, df) * se
    level = adjust(null_of_cells(weights, [seeds] * 16), [1.0] * len(pairs), ci=0.95).level
    together = (error <= stats.t.ppf(1 - level / 2, df) * se).all(axis=1)
    for study, row in itertools.product(range(10), range(len(pairs))):  # what is simulated is ours
        used = weights[row] != 0
        one = contrast(list(runs[study, used]), weights[row, used].tolist(), ci=0.95)
        assert one.high - one.low == pytest.approx(2 * stats.t.ppf(0.975, df) * se[study, row])
        assert abs(one.value - weights[row] @ true) == pytest.approx(error[study, row])
        low, high = one.at_level(1 - level)
        assert high - low == pytest.approx(2 * stats.t.ppf(1 - level / 2, df) * se[study, row])
    assert 0.93 < alone.mean() < 0.97
    assert 0.93 < together.mean() < 0.97


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [(3, 0.90), (5, 0.945), (10, 0.93)],  # section 4, widened
)
def test_the_bootstrap_covers_about_what_the_specification_says(
    make_study, make_data, seeds, expected
):
    study = make_study({"a": ("on",), "b": ("on",)}, games=("Assault",), seeds=range(seeds))
    data = make_data(study, lambda on, g, s: 0.0)
    cells = Cells.of(study, collect(data, Options()))
    square = {cell: 1.0 if len(cell) != 1 else -1.0 for cell in cells.arms}
    rng = np.random.default_rng(seeds)
    covered = []
    for draw in range(400):
        runs = {key: rng.standard_normal(seeds) for key in cells.runs}
        one = Bootstrap(dataclasses.replace(cells, runs=runs), resamples=400, seed=draw)
        low, high = one.interval(square, MEAN, ci=0.95)
        covered.append(low <= 0 <= high)
    assert np.mean(covered) == pytest.approx(expected, abs=0.045)
