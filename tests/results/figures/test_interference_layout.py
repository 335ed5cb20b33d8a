import itertools

import pytest

from results.figures import style
from results.figures.interference_layout import Geometry, label_size

SIX = ("augmentation", "ratio", "reset", "ppo", "plan2explore", "spr")
LONG = ("algorithm:plan2explore", *SIX)


def boxes(geometry):
    panels = [(left, bottom, size, size) for left, bottom, size in geometry.places]
    return [geometry.fraction(*box) for box in (*panels, geometry.scale, geometry.legend)]


@pytest.mark.parametrize("toggles", [SIX[:2], SIX[:3], SIX[:4], SIX, LONG])
@pytest.mark.parametrize("panels", [1, 2, 4, 6, 27])
def test_everything_lies_on_the_page_and_nothing_on_another(toggles, panels):
    geometry = Geometry.of(panels, toggles)
    placed = boxes(geometry)
    assert len(placed) == panels + 2
    for left, bottom, width, height in placed:
        assert min(left, bottom) >= 0
        assert left + width <= 1
        assert bottom + height <= 1
    for (l1, b1, w1, h1), (l2, b2, w2, h2) in itertools.combinations(placed, 2):
        beside = l1 + w1 <= l2 or l2 + w2 <= l1
        assert beside or b1 + h1 <= b2 or b2 + h2 <= b1


def test_with_many_toggles_the_mean_is_larger_than_the_games():
    sizes = [size for _, _, size in Geometry.of(4, SIX).places]
    assert sizes[0] > 1.5 * max(sizes[1:])
    assert len({size for _, _, size in Geometry.of(4, SIX[:2]).places}) == 1


def test_rows_are_named_at_the_left_margin_alone():
    geometry = Geometry.of(6, SIX[:2])
    assert [geometry.first_of_row(index) for index in range(6)] == [
        True, False, False, False, True, False,
    ]  # fmt: skip


def test_names_are_turned_only_where_they_do_not_fit():
    assert label_size(("ratio", "reset"), tile_points=50) == (7.0, False)
    assert label_size(("augmentation", "ratio"), tile_points=25)[1]


@pytest.mark.parametrize("toggles", [2, 3])
def test_one_panel_alone_has_more_than_half_of_the_page(toggles):
    alone = Geometry.of(1, ["toggle"] * toggles)
    assert alone.panel(0)[2] > style.TWO_COLUMNS / 2
    assert Geometry.of(2, ["toggle"] * toggles).panel(0)[2] < style.TWO_COLUMNS / 3
    assert alone.legend[0] > alone.panel(0)[0] + alone.panel(0)[2]
