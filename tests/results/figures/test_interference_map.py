import itertools

import matplotlib
import pytest
from matplotlib.text import Text

from results.figures import interference_map, style
from results.figures.interference_legend import Places
from results.figures.interference_map import Panel, Tile

TWO = ("augmentation", "ratio")
SPLIT = Places()
SIX = ("augmentation", "ratio", "reset", "ppo", "plan2explore", "spr")


def panel_of(toggles=TWO, title="Mean of 3 games", **changes):
    tiles = {
        "added": {t: Tile(0.1, half_width=0.3) for t in toggles},
        "left_out": {t: Tile(0.2, half_width=0.3) for t in toggles},
        "below": {p: Tile(-0.3, half_width=0.4) for p in itertools.combinations(toggles, 2)},
        "above": {p: Tile(0.8, half_width=0.4) for p in itertools.combinations(toggles, 2)},
    }
    return Panel(title, **{**tiles, **changes})


def figure_of(panels, toggles=TWO, interval="95% t-interval", places=SPLIT):
    with style.house_style():
        return interference_map.draw(
            panels, toggles, places, unit="difference (HNS)", interval=interval, note="the note"
        )


def count(axes, name):
    return len(axes.findobj(lambda artist: artist.get_gid() == name))


def texts(axes, name):
    return [t.get_text() for t in axes.findobj(Text) if t.get_gid() == name]


@pytest.mark.parametrize(("toggles", "tiles"), [(TWO, 6), (SIX, 42)])
def test_every_number_has_one_tile(toggles, tiles):
    axes = figure_of([panel_of(toggles)], toggles).axes[0]
    assert count(axes, "tile") == tiles
    assert len(texts(axes, "estimate")) == tiles
    assert count(axes, "place") == len(toggles) ** 2


def test_lower_triangle_is_the_base_and_upper_the_full_agent():
    axes = figure_of([panel_of()]).axes[0]
    where = {t.get_text(): t.xy for t in axes.findobj(Text) if t.get_gid() == "estimate"}
    assert where["−.30"] == (0.5, 1.5)  # column 0, row 1: rows grow downwards
    assert where["+.80"] == (1.5, 0.5)
    assert axes.get_ylim() == (2, 0)


def test_the_diagonal_is_cut_into_added_below_and_full_above():
    axes = figure_of([panel_of(added={"ratio": Tile(0.11)}, left_out={"ratio": Tile(0.22)})]).axes[
        0
    ]
    where = {t.get_text(): t.xy for t in axes.findobj(Text) if t.get_gid() == "estimate"}
    (x, y), (x2, y2) = where["+.11"], where["+.22"]
    assert (int(x), int(y)) == (int(x2), int(y2)) == (1, 1)
    assert y - 1 > x - 1
    assert y2 - 1 < x2 - 1


def test_what_no_design_asks_for_leaves_an_empty_place():
    pair = ("augmentation", "ratio")
    axes = figure_of([panel_of(below={pair: Tile()}, above={})]).axes[0]
    assert count(axes, "tile") == 4
    assert sorted(texts(axes, "estimate")) == ["+.100", "+.100", "+.200", "+.200"]
    assert count(axes, "place") == 4
    assert (count(axes, "missing"), count(axes, "undefined")) == (0, 0)


def test_missing_runs_are_a_question_mark_and_never_a_number():
    pair = ("augmentation", "ratio")
    axes = figure_of([panel_of(below={pair: Tile(state="missing")})]).axes[0]
    (place,) = axes.findobj(lambda artist: artist.get_gid() == "missing")
    assert place.get_xy()[0].tolist() == [0, 1]
    assert "?" in [text.get_text() for text in axes.findobj(Text)]
    assert len(texts(axes, "estimate")) == 5


def test_pairs_are_found_whatever_the_order_of_the_toggles():
    pair = ("augmentation", "ratio")
    turned = figure_of([panel_of(above={pair: Tile(0.7)})], TWO[::-1]).axes[0]
    where = {t.get_text(): t.xy for t in turned.findobj(Text) if t.get_gid() == "estimate"}
    assert where["+.70"] == (1.5, 0.5)
    assert where["−.30"] == (0.5, 1.5)


def test_averaged_effects_fill_the_diagonal(words_of):
    whole = {toggle: Tile(0.4, half_width=0.1) for toggle in TWO}
    panel = panel_of(added={}, left_out={}, whole=whole, above={})
    figure = figure_of([panel], places=Places(cut=False, lower="averaged", upper=""))
    where = {t.xy for t in figure.axes[0].findobj(Text) if t.get_text() == "+.400"}
    assert where == {(0.5, 0.5), (1.5, 1.5)}
    words = " ".join(words_of(figure)).replace("\n", " ")
    assert "interaction of the pair averaged over the rest" in words
    assert "within the full agent" not in words


def test_panels_share_symmetric_limits_and_zero_is_white():
    quiet = panel_of(title="Pong", below={}, above={}, added={"ratio": Tile(0.0)}, left_out={})
    figure = figure_of([panel_of(), quiet])
    assert interference_map.shared_limit([panel_of(), quiet]) == 0.8
    scale = figure.axes[2]
    assert scale.get_xlim() == (-0.8, 0.8)
    (tile,) = figure.axes[1].findobj(lambda artist: artist.get_gid() == "tile")
    assert min(tile.get_facecolor()[:3]) > 0.96
    largest = figure.axes[0].findobj(
        lambda artist: artist.get_gid() == "tile" and artist.get_xy()[0].tolist() == [1, 0]
    )
    assert [tile.get_facecolor() for tile in largest] == [matplotlib.colormaps["RdBu"](1.0)]


def test_no_number_at_all_still_gives_a_scale():
    assert interference_map.shared_limit([panel_of(added={"ratio": Tile()}, left_out={},
                                                   below={}, above={})]) == 1.0  # fmt: skip


@pytest.mark.parametrize(
    ("mark", "name"),
    [
        ("significant", "significant"),
        ("excludes_zero", "excludes zero"),
        ("cannot_tell", "cannot tell"),
        ("crossover", "crossover"),
        ("floor_limited", "bound"),
        ("ceiling_limited", "bound"),
    ],
)
def test_each_mark_is_drawn_for_its_own_tile_alone(mark, name):
    pair = ("augmentation", "ratio")
    plain = figure_of([panel_of()]).axes[0]
    marked = figure_of([panel_of(below={pair: Tile(0.3, half_width=0.1, **{mark: True})})]).axes[0]
    assert count(plain, name) == 0
    assert count(marked, name) == 1


def test_the_mark_cannot_tell_is_a_hatch_and_significance_a_thick_border():
    pair = ("augmentation", "ratio")
    tile = Tile(0.3, half_width=0.1, significant=True, cannot_tell=True)
    axes = figure_of([panel_of(below={pair: tile})]).axes[0]
    (hatch,) = axes.findobj(lambda artist: artist.get_gid() == "cannot tell")
    (border,) = axes.findobj(lambda artist: artist.get_gid() == "significant")
    assert len(hatch.get_segments()) > 3
    for (x, y), (u, v) in hatch.get_segments():
        assert x + y == pytest.approx(u + v)
        assert 0 <= min(x, y, u, v) <= max(x, y, u, v) <= 2
    assert border.get_linewidth() >= 1.5
    assert not border.get_fill() or border.get_facecolor()[3] == 0


@pytest.mark.parametrize("toggles", [TWO, (*SIX, "unimix", "rnd")])
def test_what_has_no_interval_is_crossed_and_told_from_what_is_too_small(toggles):
    pairs = list(itertools.combinations(toggles, 2))
    tiles = dict(
        zip(pairs, [Tile(0.0), *[Tile(0.1, half_width=0.3, cannot_tell=True)] * 99], strict=False)
    )
    axes = figure_of([panel_of(toggles, below=tiles)], toggles).axes[0]
    (crossed,) = axes.findobj(lambda artist: artist.get_gid() == "no interval")
    hatched = axes.findobj(lambda artist: artist.get_gid() == "cannot tell")
    assert len(hatched) == len(pairs) - 1
    turns = {round((v - y) / (u - x)) for (x, y), (u, v) in crossed.get_segments()}
    assert turns == {-1, 1}
    for tile in hatched:
        assert {round((v - y) / (u - x)) for (x, y), (u, v) in tile.get_segments()} == {-1}


def test_what_is_no_agent_is_crossed_out_and_has_no_number():
    pair = ("augmentation", "ratio")
    state = {pair: Tile(state="undefined")}
    axes = figure_of([panel_of(below=state, above=state)]).axes[0]
    assert count(axes, "undefined") == 4  # two strokes at each of its two places
    assert count(axes, "tile") == 4


def test_half_widths_are_written_where_there_are_any():
    axes = figure_of([panel_of(below={("augmentation", "ratio"): Tile(0.3)})]).axes[0]
    assert texts(axes, "half-width").count("±.40") == 1
    assert texts(axes, "half-width").count("±.30") == 4


def test_the_legend_explains_every_mark_in_words(words_of):
    words = " ".join(words_of(figure_of([panel_of()]))).replace("\n", " ")
    for phrase in ("Holm", "unadjusted interval excludes 0", "cannot tell", "crossover",
                   "on the floor", "not defined", "runs are missing", "added to the base",
                   "within the full agent", "half of the 95% t-interval"):  # fmt: skip
        assert phrase in words


@pytest.mark.parametrize("toggles", [TWO, SIX])
def test_the_legend_says_what_is_crossed_whether_or_not_there_are_intervals(toggles, words_of):
    for interval in ("", "95% t-interval"):
        words = words_of(figure_of([panel_of(toggles)], toggles, interval=interval))
        assert "crossed, no ±: no interval\n(one value, or all equal)" in words
    assert "estimate; no ±\nanywhere" in words_of(figure_of([panel_of()], interval=""))


def test_numbers_stay_legible_with_six_toggles():
    figure = figure_of([panel_of(SIX, f"Game {i}") for i in range(4)], SIX)
    sizes = [t.get_fontsize() for t in figure.findobj(Text) if t.get_gid() == "estimate"]
    assert min(sizes) >= 4.2


@pytest.mark.parametrize(
    ("toggles", "games"),
    [(TWO, 3), (TWO, 5), (SIX[:3], 1), (SIX[:4], 4), (SIX, 3), ((*SIX, "unimix", "rnd"), 3)],
)
def test_no_text_is_cut(toggles, games, cut_words_of):
    figure = figure_of([panel_of(toggles, f"Game {i}") for i in range(games + 1)], toggles)
    assert cut_words_of(figure) == []
