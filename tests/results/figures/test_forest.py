import pytest

from results.figures import forest, style
from results.figures.forest import Row, Section

GAMES = ("Pong", "Assault")
ROWS = [
    Row("small", 0.1, (-0.2, 0.4), (-0.4, 0.6), {"Pong": 0.0, "Assault": 0.2}, 0.5, "cannot tell"),
    Row("large", 0.9, (0.6, 1.2), (0.4, 1.4), {"Pong": 0.8}, 0.5, "synergy"),
    Row("missing", None, words="no run yet"),
]


def figure_of(rows=None, interval="95% t-interval"):
    with style.house_style():
        return forest.draw(
            [Section("A title", ROWS if rows is None else rows), Section("Empty", [])],
            games=GAMES,
            unit="difference in HNS",
            interval=interval,
            note="the note",
        )


def drawn(figure, name):
    return [line for line in figure.axes[0].lines if line.get_gid() == name]


def test_rows_are_sorted_and_what_is_missing_comes_last():
    labels = [text.get_text() for text in figure_of().axes[0].get_yticklabels()]
    assert labels == ["large", "small", "missing"]


def test_intervals_are_thick_and_simultaneous_ones_thin():
    figure = figure_of()
    thick, thin = drawn(figure, "interval"), drawn(figure, "simultaneous")
    assert [tuple(line.get_xdata()) for line in thick] == [(0.6, 1.2), (-0.2, 0.4)]
    assert [tuple(line.get_xdata()) for line in thin] == [(0.4, 1.4), (-0.4, 0.6)]
    assert thick[0].get_linewidth() > 2 * thin[0].get_linewidth()


def test_a_missing_number_has_no_mark_and_says_why(words_of):
    figure = figure_of()
    assert [line.get_xdata()[0] for line in drawn(figure, "estimate")] == [0.9, 0.1]
    assert "no run yet" in words_of(figure)


def test_games_are_small_marks_in_their_own_colour():
    figure = figure_of()
    pong, assault = drawn(figure, "game Pong"), drawn(figure, "game Assault")
    assert [mark.get_xdata()[0] for mark in pong] == [0.8, 0.0]
    assert [mark.get_xdata()[0] for mark in assault] == [0.2]
    assert pong[0].get_color() != assault[0].get_color()
    assert pong[0].get_markersize() < drawn(figure, "estimate")[0].get_markersize()


def test_of_one_game_the_circles_are_the_game_and_need_no_small_marks(words_of):
    row = Row("large", 0.9, (0.6, 1.2), games={"Pong": 0.9})
    with style.house_style():
        figure = forest.draw(
            [Section("A title", [row])], games=("Pong",), unit="HNS", interval="", note=""
        )
    assert len(drawn(figure, "estimate")) == 1
    assert drawn(figure, "game Pong") == []
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Pong"]


def test_the_band_of_what_cannot_be_detected_is_symmetric_about_zero():
    bands = [p for p in figure_of().axes[0].patches if p.get_gid() == "mde"]
    assert [(b.get_x(), b.get_x() + b.get_width()) for b in bands] == [(-0.5, 0.5)] * 2


def test_the_scale_holds_every_number_and_zero():
    only_positive = [Row("x", 0.9, (0.8, 1.0), None, {"Pong": 1.5})]
    low, high = figure_of(only_positive).axes[0].get_xlim()
    assert low < 0
    assert high > 1.5


def test_the_scale_holds_the_whole_band_of_what_is_too_small():
    low, high = figure_of([Row("x", 0.1, (-0.2, 0.4), None, {}, 0.7)]).axes[0].get_xlim()
    assert low < -0.7
    assert high > 0.7


def test_games_at_the_same_number_are_all_seen():
    figure = figure_of([Row("x", 0.1, None, None, dict.fromkeys(GAMES, 0.0))])
    pong, assault = (drawn(figure, f"game {game}")[0] for game in GAMES)
    assert pong.get_ydata()[0] != assault.get_ydata()[0]
    assert {pong.get_fillstyle(), assault.get_fillstyle()} == {"none"}


def test_empty_sections_are_left_out(words_of):
    figure = figure_of()
    assert len(figure.axes) == 1
    assert "Empty" not in words_of(figure)


def test_without_intervals_the_legend_does_not_speak_of_them(words_of):
    words = words_of(figure_of([Row("x", 0.9, words="one seed: no interval")], interval=""))
    assert "+0.90  one seed: no interval" in words
    assert not {"95% t-interval", "simultaneous interval", "too small to detect (MDE)"} & set(
        words
    )


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (ROWS[1], "+0.90 [+0.60, +1.20]  synergy"),
        (Row("x", -0.5), "−0.50"),
        (ROWS[2], "no run yet"),
    ],
)
def test_numbers_are_also_written(row, text):
    assert forest.in_words(row, 2) == text


def test_no_text_is_cut(cut_words_of):
    assert cut_words_of(figure_of()) == []


def test_long_words_get_the_room_that_they_need_and_stand_under_the_name_in_one_column(
    cut_words_of,
):
    rows = [
        Row("one × other", 0.1, (0.0, 0.2), None, {}, 0.3, "synergy; turns (log, rank, logit)")
    ]
    assert cut_words_of(figure_of(rows)) == []
    with style.house_style():
        narrow = forest.draw(
            [Section("A title longer than one column of a paper is wide, as they are", rows)],
            games=GAMES, unit="difference in HNS", interval="95% t-interval", note="the note",
            width=style.ONE_COLUMN,
        )  # fmt: skip
    assert cut_words_of(narrow) == []
    [label] = narrow.axes[0].get_yticklabels()
    assert label.get_text() == "one × other\n+0.100  synergy; turns (log, rank, logit)"
