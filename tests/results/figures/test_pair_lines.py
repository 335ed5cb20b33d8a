import pytest

from results.figures import draw
from results.statistics.errors import StatisticsError
from results.statistics.options import Options

QUICK = Options(resamples=50)


def score(on, game, seed):
    noise = 0.01 * ((seed * 7 + len(on) * 3 + 5 * ("a" in on)) % 5 - 2)
    return 0.2 * len(on) + 0.5 * ({"a", "b"} <= set(on)) + noise


def drawn_of(make_study, make_data, names, designs, **options):
    study = make_study(dict.fromkeys(names, ("on",)), designs=designs, games=("Assault",))
    return draw("pairs", make_data(study, score, points=1), Options(resamples=50, **options))


def test_the_clearest_pair_comes_first_and_four_are_shown(make_study, make_data, words_of):
    drawn = drawn_of(make_study, make_data, "abcd", ("pairs_in", "pairs_out"))
    assert len(drawn.figure.axes) == 4
    first = drawn.numbers.iloc[0]
    assert (first["first"], first["second"], first["label"]) == ("a", "b", "synergy")
    assert len(drawn.numbers) == 4 * 4
    assert drawn.numbers[["first", "second"]].drop_duplicates().shape[0] == 4


def test_the_lines_are_the_cells_and_the_dotted_one_is_addition(make_study, make_data, named):
    drawn = drawn_of(make_study, make_data, "ab", ("factorial",))
    rows = drawn.numbers.set_index(["first_on", "second_on"])["value"]
    (off,), (on,) = named(drawn.figure, "first off"), named(drawn.figure, "first on")
    assert off.get_ydata() == pytest.approx([rows[0, 0], rows[0, 1]])
    assert on.get_ydata() == pytest.approx([rows[1, 0], rows[1, 1]])
    (additive,) = named(drawn.figure, "additive")
    assert additive.get_ydata()[1] == pytest.approx(rows[1, 0] + rows[0, 1] - rows[0, 0])
    assert on.get_ydata()[1] - additive.get_ydata()[1] == pytest.approx(
        drawn.numbers["interaction"].iloc[0]
    )


def test_averaged_pairs_are_means_over_the_design(make_study, make_data):
    drawn = drawn_of(make_study, make_data, "abcde", ("fractional",))
    assert set(drawn.numbers["background"]) == {"averaged"}
    mine = drawn.numbers[(drawn.numbers["first"] == "a") & (drawn.numbers["second"] == "b")]
    corners = mine.set_index(["first_on", "second_on"])["value"]
    interaction = corners[1, 1] - corners[1, 0] - corners[0, 1] + corners[0, 0]
    assert interaction == pytest.approx(mine["interaction"].iloc[0])


def test_without_the_four_cells_of_any_pair_there_is_none(make_study, make_data):
    with pytest.raises(StatisticsError, match="all four cells"):
        drawn_of(make_study, make_data, "abc", ("base", "add_one_in"))


def test_a_pair_on_the_floor_says_so(make_study, make_data, words_of):
    study = make_study(dict.fromkeys("ab", ("on",)), designs=("factorial",), games=("Assault",),
                       seeds=range(4))  # fmt: skip

    def floored(on, game, seed):
        return max(0.0, 0.6 * len(on) - 0.5 + 0.01 * ((seed * 7 + len(on)) % 5))

    drawn = draw("pairs", make_data(study, floored, points=1), QUICK)
    assert set(drawn.numbers["doubt"]) == {"floor: Assault"}
    assert any(text.endswith("\nfloor: Assault") for text in words_of(drawn.figure))


def test_in_one_column_two_pairs_stand_in_a_row(make_study, make_data, cut_words_of):
    drawn = drawn_of(make_study, make_data, "abcd", ("pairs_in", "pairs_out"), columns=1)
    bottoms = {round(axes.get_position().y0, 6) for axes in drawn.figure.axes}
    assert len(drawn.figure.axes) == 4
    assert len(bottoms) == 2
    assert cut_words_of(drawn.figure) == []
