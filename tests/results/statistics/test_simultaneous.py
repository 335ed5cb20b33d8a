import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from results.statistics.simultaneous import (
    DRAWS,
    adjust,
    holm,
    null_of_cells,
    null_of_model,
    two_sided,
)

SQUARE = np.array([[1.0, -1.0, -1.0, 1.0]])


def pairs_at_base(toggles: int) -> np.ndarray:
    """The interactions of all pairs at the base: [pairs, base and singles and pairs]."""
    pairs = [(i, j) for i in range(toggles) for j in range(i + 1, toggles)]
    weights = np.zeros((len(pairs), 1 + toggles + len(pairs)))
    for row, (i, j) in enumerate(pairs):
        weights[row, [0, 1 + i, 1 + j, 1 + toggles + row]] = [1, -1, -1, 1]
    return weights


def test_simulated_p_values_of_one_contrast_are_uniform() -> None:
    p = null_of_cells(SQUARE, [3, 3, 3, 3])[:, 0]
    assert p.shape == (DRAWS,)
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_two_sided_p_values_are_those_of_scipy() -> None:
    t = np.array([[0.0, -2.5], [1.0, 3.0]])
    expected = 2 * stats.t.sf(np.abs(t), [4, 8])
    assert two_sided(t, np.array([4, 8])) == pytest.approx(expected)


def test_independent_contrasts_get_the_level_of_sidak() -> None:
    apart = np.kron(np.eye(5), [[1.0, -1.0]])
    level = adjust(null_of_cells(apart, [4] * 10), [0.5] * 5, ci=0.95).level
    assert level == pytest.approx(1 - 0.95 ** (1 / 5), abs=0.0015)


def test_contrasts_that_are_one_keep_their_level() -> None:
    same = np.vstack([SQUARE, -SQUARE, 2 * SQUARE])
    level = adjust(null_of_cells(same, [3] * 4), [0.5] * 3, ci=0.95).level
    assert level == pytest.approx(0.05, abs=0.005)


def test_one_contrast_alone_is_not_adjusted() -> None:
    found = adjust(null_of_cells(SQUARE, [3] * 4), [0.0312], ci=0.95)
    assert found.level == pytest.approx(0.05)
    assert found.p == pytest.approx([0.0312], abs=0.01)


def test_pairs_that_share_cells_need_less_than_bonferroni() -> None:
    level = adjust(null_of_cells(pairs_at_base(8), [5] * 37), [0.5] * 28, ci=0.95).level
    assert 1.15 * 0.05 / 28 < level < 0.05 / 5


def test_stepping_down_is_worked_out_by_hand() -> None:
    null = np.array([[0.01, 0.5], [0.5, 0.02], [0.9, 0.9], [0.04, 0.9]])
    found = adjust(null, [0.02, 0.6], ci=0.95)
    # the smallest, .02: rows with a minimum of at most .02 are two of four, but Holm says .04
    assert found.p[0] == pytest.approx(0.04)
    assert found.p[1] == pytest.approx(0.6)  # alone: half of its column, and never below itself


def test_a_step_looks_only_at_the_contrasts_that_are_left() -> None:
    null = np.full((10, 3), 0.95)
    null[0:2, 2], null[2:5, 0], null[5:9, 1] = 0.15, 0.25, 0.35
    # steps in order of p: .2 of all rows reach the first; then .3 of the two left; then .4
    assert adjust(null, [0.3, 0.4, 0.2], ci=0.95).p == pytest.approx((0.3, 0.4, 0.2))


def test_an_empty_family_has_no_p_values() -> None:
    assert adjust(np.empty((4, 0)), [], ci=0.9).p == ()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(1e-6, 1), min_size=3, max_size=3))
def test_adjusted_p_values_lie_between_the_plain_ones_and_holms(p_values) -> None:
    found = adjust(null_of_cells(pairs_at_base(3), [3] * 7), p_values, ci=0.95)
    for plain, mine, theirs in zip(p_values, found.p, holm(p_values), strict=True):
        assert plain - 1e-12 <= mine <= theirs + 1e-12


def test_the_model_and_the_cells_agree_where_they_are_the_same() -> None:
    one = np.abs(null_of_model(np.eye(1), 8)[:, 0])
    other = null_of_cells(SQUARE, [3] * 4)[:, 0]
    assert np.quantile(one, 0.05) == pytest.approx(np.quantile(other, 0.05), abs=0.006)


def test_estimates_of_a_model_that_are_opposites_are_one() -> None:
    opposite = np.array([[1.0, -1.0], [-1.0, 1.0]])
    p = null_of_model(opposite, 5)
    assert p[:, 0] == pytest.approx(p[:, 1])


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_a_study_of_one_agent_finds_an_interaction_in_at_most_one_of_twenty(seeds: int) -> None:
    weights, studies = pairs_at_base(6), 4_000
    cells = weights.shape[1]
    rng = np.random.default_rng(seeds)
    runs = 0.4 + 0.27 * rng.standard_normal((studies, cells, seeds))
    involved = (weights != 0).astype(float)
    variance = runs.var(axis=2) * seeds @ involved.T / (4 * (seeds - 1))
    t = runs.mean(axis=2) @ weights.T / np.sqrt(variance * 4 / seeds)
    p = two_sided(t, np.full(len(weights), 4 * (seeds - 1)))
    level = adjust(null_of_cells(weights, [seeds] * cells), [1.0] * 15, ci=0.95).level
    found_by_interval = (p.min(axis=1) <= level).mean()
    found_by_holm = np.mean([min(holm(row)) <= 0.05 for row in p])
    noise = 3 * np.sqrt(0.05 * 0.95 / studies)
    assert found_by_holm <= 0.05 + noise
    assert 0.05 - noise - 0.005 <= found_by_interval <= 0.05 + noise
