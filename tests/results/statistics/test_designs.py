import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.database.records import ToggleRecord
from results.statistics.designs import (
    DESIGNS,
    design_cells,
    design_problem,
    design_words,
    fraction,
    off_in_two_level_designs,
    requested,
    screen,
)
from results.statistics.errors import StatisticsError


def toggles(*levels: int):
    """Toggles a, b, ... with so many levels each, the first in full."""
    return tuple(
        ToggleRecord(name, ("on",) if n == 1 else tuple("xyz"[:n]), "on" if n == 1 else "x")
        for name, n in zip("abcdefghijklmnopqrstuvwxyz", levels, strict=False)
    )


def plain(number: int):
    return toggles(*[1] * number)


def names(cells) -> list[str]:
    return ["".join(cell) for cell in cells]


def model(matrix: np.ndarray) -> np.ndarray:
    """Columns of the mean, every main effect and every pair, in −1 and 1."""
    pairs = [
        matrix[:, i] * matrix[:, j] for i, j in itertools.combinations(range(matrix.shape[1]), 2)
    ]
    return np.column_stack([np.ones(len(matrix)), matrix, *pairs])


@pytest.mark.parametrize(("number", "cells"), [(5, 16), (6, 32), (7, 64), (8, 64)])
def test_main_effects_and_pairs_of_a_fraction_are_orthogonal(number: int, cells: int) -> None:
    matrix = fraction(number).matrix
    assert matrix.shape == (cells, number)
    columns = model(matrix)
    assert np.array_equal(columns.T @ columns / cells, np.eye(columns.shape[1]))


@pytest.mark.parametrize(("number", "resolution"), [(5, 5), (6, 6), (7, 7), (8, 5)])
def test_the_resolution_is_the_smallest_number_of_columns_with_a_constant_product(
    number: int, resolution: int
) -> None:
    matrix = fraction(number).matrix
    constant = [
        size
        for size in range(1, number + 1)
        for chosen in itertools.combinations(range(number), size)
        if len(set(matrix[:, chosen].prod(axis=1))) == 1
    ]
    assert min(constant) == resolution == fraction(number).resolution


@pytest.mark.parametrize(("number", "holds"), [(5, False), (6, True), (7, False), (8, False)])
def test_only_the_fraction_of_six_holds_the_base(number: int, holds: bool) -> None:
    assert ({} in design_cells("fractional", plain(number))) is holds
    full = dict.fromkeys("abcdefgh"[:number], "on")
    assert full in design_cells("fractional", plain(number))


@pytest.mark.parametrize(("number", "cells"), [(5, 12), (11, 12), (12, 16), (16, 20), (23, 24)])
def test_the_main_effects_of_a_screen_are_orthogonal(number: int, cells: int) -> None:
    matrix = screen(number).matrix
    columns = np.column_stack([np.ones(len(matrix)), matrix])
    assert np.array_equal(columns.T @ columns / cells, np.eye(number + 1))


def test_no_pair_is_one_with_a_main_effect_in_the_smallest_screen() -> None:
    matrix = screen(5).matrix
    alias = model(matrix)[:, 6:].T @ matrix / 12
    assert np.abs(alias).max() == pytest.approx(1 / 3)


def test_pairs_have_the_cells_of_the_specification() -> None:
    assert len(design_cells("pairs_in", plain(8))) == 1 + 8 + 28 == 37
    assert names(design_cells("pairs_in", plain(3))) == ["", "a", "b", "c", "ab", "ac", "bc"]
    assert names(design_cells("pairs_out", plain(4)))[:3] == ["abcd", "bcd", "acd"]
    assert names(design_cells("pairs_out", plain(4)))[5:8] == ["cd", "bd", "bc"]
    assert len(design_cells("pairs_out", plain(8))) == 37


def test_a_factorial_crosses_all_levels_and_the_base() -> None:
    found = design_cells("factorial", toggles(1, 2))
    assert found == (
        {}, {"b": "x"}, {"b": "y"}, {"a": "on"}, {"a": "on", "b": "x"}, {"a": "on", "b": "y"},
    )  # fmt: skip


def test_pairs_in_crosses_levels_of_different_factors_only() -> None:
    found = design_cells("pairs_in", toggles(2, 2))
    assert len(found) == 1 + 4 + 4
    assert {"a": "y", "b": "y"} in found


def test_a_fraction_has_a_factor_at_its_level_in_full_or_off() -> None:
    five = toggles(2, 1, 1, 1, 1)
    assert {cell.get("a") for cell in design_cells("fractional", five)} == {None, "x"}
    assert off_in_two_level_designs(five) == ("a:y",)


@pytest.mark.parametrize(
    ("design", "number", "words"),
    [
        ("pairs_in", 1, "which crosses two toggles at a time, and the study has 1 toggle"),
        ("pairs_out", 1, "nearest: 'add_one_in'"),
        ("factorial", 11, "2,048 cells, and 1,024 is the most; nearest: 'plackett_burman'"),
        ("fractional", 4, "the study has 4 toggles; nearest: 'factorial', all 16 cells"),
        ("fractional", 9, "the study has 9 toggles; nearest: 'plackett_burman'"),
        ("plackett_burman", 4, "for 5 to 23 toggles, and the study has 4 toggles; nearest: 'fact"),
        ("plackett_burman", 24, "bundle toggles"),
    ],
)  # fmt: skip
def test_a_design_that_cannot_be_made_names_the_nearest_that_can(design, number, words) -> None:
    assert words in design_problem(design, plain(number))
    with pytest.raises(StatisticsError, match="do not allow the design '"):
        design_cells(design, plain(number))


def test_a_factorial_of_many_levels_is_counted_with_them() -> None:
    assert "'fractional'" in design_problem("factorial", toggles(3, 3, 3, 3, 3, 1))
    assert design_problem("factorial", toggles(3, 3, 3, 3, 3)) == ""  # 4^5 = 1,024


def test_the_words_of_a_fraction_show_its_generators_and_letters() -> None:
    assert design_words("fractional", toggles(1, 2, 1, 1, 1, 1, 1, 1)) == (
        "fractional: 64 of 256 cells, resolution V (G = ABCD, H = ABEF) with A = a, B = b:x, "
        "C = c, D = d, E = e, F = f, G = g, H = h; pair interactions are mixed with those of 3 "
        "or more toggles only"
    )
    assert "12 of 32 cells, resolution III" in design_words("plackett_burman", plain(5))
    assert design_words("factorial", plain(3)) == ""


@given(st.sampled_from(DESIGNS), st.lists(st.integers(1, 3), min_size=0, max_size=9))
def test_the_cells_of_a_design_are_distinct_and_of_known_levels(design, levels) -> None:
    records = toggles(*levels)
    if design_problem(design, records):
        return
    found = design_cells(design, records)
    keys = [frozenset(cell.items()) for cell in found]
    known = {toggle.name: toggle.levels for toggle in records}
    assert all(level in known[name] for cell in found for name, level in cell.items())
    if design not in ("leave_one_out", "pairs_in", "pairs_out") or len(levels) > 2:
        assert len(set(keys)) == len(keys)
    assert requested([design], records) == set(keys)


def test_designs_of_older_records_that_are_unknown_ask_for_nothing() -> None:
    assert requested(["base", "latin_square"], plain(2)) == {frozenset()}
