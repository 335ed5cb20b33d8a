import math

import numpy as np
import pytest

from results.statistics.bootstrap import Bootstrap
from results.statistics.cells import MEAN, Cells
from results.statistics.collecting import collect
from results.statistics.options import Options

BASE = frozenset()
A = frozenset({("a", "on")})
EFFECT = {A: 1.0, BASE: -1.0}


def cells_of(make_study, make_data, runs, **options):
    """Cells base and base+a with these scores per seed, on one game."""
    study = make_study(
        {"a": ("on",), "b": ("on",)},
        designs=("base", "add_one_in"),
        games=("Assault",),
        seeds=range(len(runs)),
    )
    data = make_data(study, lambda on, g, s: runs[s] + ("a" in on), **options)
    return Cells.of(study, collect(data, Options(partial=True)))


def test_the_deviations_of_a_resample_are_widened_for_few_seeds(make_study, make_data):
    runs = [0.0, 1.0, 5.0]
    cells = cells_of(make_study, make_data, runs)
    low, high = Bootstrap(cells, resamples=20_000, seed=0).interval({A: 1.0}, MEAN, ci=0.9)
    every = [np.mean([x, y, z]) for x in runs for y in runs for z in runs]  # all 27 resamples
    ends = np.quantile(every, [0.05, 0.95], method="inverted_cdf")
    widened = 3.0 + (ends - 2.0) * math.sqrt(3 / 2)
    assert (low, high) == pytest.approx(tuple(widened), abs=1e-9)


def test_the_same_seed_gives_the_same_interval_and_another_one_another(make_study, make_data):
    cells = cells_of(make_study, make_data, list(np.random.default_rng(0).normal(size=6)))
    first, again, other = (
        Bootstrap(cells, resamples=500, seed=seed).interval(EFFECT, MEAN, ci=0.95)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_an_interval_does_not_depend_on_what_was_asked_before(make_study, make_data):
    cells = cells_of(make_study, make_data, [0.0, 0.5, 2.0])
    one = Bootstrap(cells, resamples=300, seed=1)
    one.interval({BASE: 1.0}, "Assault", ci=0.95)
    fresh = Bootstrap(cells, resamples=300, seed=1)
    assert one.interval(EFFECT, MEAN, ci=0.95) == fresh.interval(EFFECT, MEAN, ci=0.95)


def test_cells_of_one_agent_are_resampled_apart(make_study, make_data):
    cells = cells_of(make_study, make_data, [0.0, 0.5, 2.0])  # both have these runs, plus 1
    low, high = Bootstrap(cells, resamples=500, seed=1).interval(EFFECT, MEAN, ci=0.95)
    assert low < 1 < high


def test_two_seeds_a_missing_cell_and_no_weights_have_no_interval(make_study, make_data):
    alone = Bootstrap(cells_of(make_study, make_data, [0.3, 0.9]), resamples=9, seed=0)
    several = Bootstrap(cells_of(make_study, make_data, [0.3, 0.4, 0.9]), resamples=9, seed=0)
    missing = frozenset({("c", "on")})
    for ends in (
        alone.interval(EFFECT, MEAN, ci=0.95),
        several.interval({missing: 1.0, BASE: -1.0}, MEAN, ci=0.95),
        several.interval({}, MEAN, ci=0.95),
    ):
        assert np.isnan(ends).all()
