import pytest

from results.statistics.errors import StatisticsError
from results.statistics.options import Options
from results.tables import build

TWO = {"a": ("on",), "b": ("on",)}


def texts(table):
    return [[entry.text for entry in row] for row in table.layout.rows]


def jitter(seed):
    return 0.01 * (seed - 1)


@pytest.fixture
def data(make_study, make_data):
    """A synergy of .4 between a (.3) and b (.2)."""

    def score(on, game, seed):
        return 0.1 + 0.3 * ("a" in on) + 0.2 * ("b" in on) + 0.4 * (len(on) == 2) + jitter(seed)

    return make_data(make_study(TWO), score)


def test_effects_come_first_on_the_mean_then_per_game(data):
    table = build("effects", data, Options())
    assert [row[:2] for row in texts(table)[:3]] == [
        ["mean of games", "a"],
        ["mean of games", "b"],
        ["Pong", "a"],
    ]
    assert table.layout.blocks == (2, 4, 6)


def test_add_one_in_and_leave_one_out_stand_side_by_side(data):
    first = texts(build("effects", data, Options()))[0]
    assert first[2].startswith("0.300 ± 0.02")
    assert first[4].startswith("0.700 ± 0.02")
    assert first[3] == first[5] == "0.031"  # 3.76 x .01 sqrt(2 / 3)


def test_interactions_carry_their_label_and_both_intervals(data):
    rows = texts(build("interactions", data, Options()))
    assert [row[0] for row in rows] == ["mean of games", "Pong", "CrazyClimber", "Assault"]
    row = rows[0]
    assert row[:3] == ["mean of games", "a × b", "base = full"]
    assert row[3].startswith("0.400 ± 0.02")
    assert row[4].startswith("[0.37")
    assert row[7] == "synergy"


def test_both_backgrounds_are_shown_where_they_are_different_cells(make_study, make_data):
    study = make_study({**TWO, "c": ("on",)}, designs=("factorial",))
    table = build("interactions", make_data(study, lambda on, g, s: 0.1 + jitter(s)), Options())
    assert [row[1:3] for row in texts(table)[:4]] == [
        ["a × b", "base"],
        ["a × b", "full"],
        ["a × c", "base"],
        ["a × c", "full"],
    ]
    assert "over the 6 interactions of the mean over games" in table.caption


def test_what_cannot_be_estimated_is_a_dash_with_the_reason(make_study, make_data):
    study = make_study({**TWO, "c": ("on",), "d": ("on",)})
    table = build("interactions", make_data(study, lambda on, g, s: jitter(s)), Options())
    row = texts(table)[0]
    assert row[3:8] == ["-", "-", "-", "-", "-"]
    assert row[8].startswith("not in the study: [a + b]")


def test_one_seed_says_so_in_the_caption_and_in_every_row(one_seed_data):
    for kind in ("effects", "interactions"):
        table = build(kind, one_seed_data, Options())
        assert "One seed: no interval." in table.caption
        assert "80% power" not in table.caption
        assert all("one seed: no interval" in row[-1] for row in texts(table))


def test_floors_and_crossovers_are_noted(make_study, make_data):
    f = {"": 0.04, "a": 0.44, "b": 0.7, "ab": 0.5}
    data = make_data(make_study(TWO), lambda on, g, s: f["".join(sorted(on))] + jitter(s))
    row = texts(build("interactions", data, Options()))[0]
    assert row[-1] == "crossover: a; floor: Pong, CrazyClimber, Assault"
    assert row[7] == "interference"


def test_uneven_cells_are_noted(make_study, make_data):
    data = make_data(
        make_study(TWO), lambda on, g, s: 0.1 + jitter(s), missing=[("base", "Pong", 0)]
    )
    rows = texts(build("effects", data, Options(partial=True)))
    assert rows[0][-1] == "2 to 3 runs per cell"


def test_a_study_without_toggles_or_pairs_has_no_such_table(make_study, make_data):
    alone = make_data(make_study({}, designs=("base",)), lambda *_: 0.5)
    with pytest.raises(StatisticsError, match="no toggle"):
        build("effects", alone, Options())
    one = make_data(make_study({"a": ("on",)}), lambda *_: 0.5)
    with pytest.raises(StatisticsError, match="fewer than two toggles"):
        build("interactions", one, Options())


def test_the_caption_explains_the_numbers(data):
    caption = build("effects", data, Options(ci=0.9)).caption
    for words in (
        "90% t-interval with the variance pooled",
        "80% power",
        "Add-one-in",
        "Leave-one-out",
        "at most 0.05",
        "one value per seed, over Pong, CrazyClimber, Assault",
    ):
        assert words in caption
