import pandas as pd
import pytest

from results.figures import learning_curves, style
from results.figures.learning_curves import Curves

COLUMNS = ["arm", "game", "seed", "env_frames", "value"]
EVALUATIONS = [
    ("base", "Pong", 0, 100_000, -20.0),
    ("base", "Pong", 0, 400_000, -10.0),
    ("base", "Pong", 1, 100_000, -19.0),
    ("base", "Assault", 0, 100_000, 300.0),
    ("base", "Assault", 1, 100_000, 310.0),
    ("full", "Pong", 0, 100_000, -15.0),
]
EPISODES = [("base", "Pong", 0, 50_000, -21.0), ("base", "Pong", 0, 60_000, -20.5)]


def figure_of(evaluations=EVALUATIONS, episodes=EPISODES, random=None, ends=(400_000, 400_000)):
    curves = Curves(
        pd.DataFrame(evaluations, columns=COLUMNS),
        pd.DataFrame(episodes, columns=COLUMNS),
        {"Pong": -20.7, "Assault": 222.4} if random is None else random,
        expected={(arm, game): 2 for arm in ("base", "full") for game in ("Pong", "Assault")},
        ends=dict(zip(("base", "full"), ends, strict=True)),
    )
    with style.house_style():
        return learning_curves.draw(
            curves, arms=("base", "full"), games=("Pong", "Assault"), note="the note"
        )


def panel(figure, row, column):
    return figure.axes[row * 2 + column]


def lines(axes, name):
    return [line for line in axes.lines if line.get_gid() == name]


def test_each_seed_is_a_line_through_its_evaluations():
    (line,) = lines(panel(figure_of(), 0, 0), "seed 0")
    assert line.get_xdata().tolist() == [100_000, 400_000]
    assert line.get_ydata().tolist() == [-20.0, -10.0]
    assert line.get_marker() not in (None, "None", "")


def test_a_seed_has_one_colour_in_every_panel():
    figure = figure_of()
    colors = {lines(panel(figure, r, c), "seed 0")[0].get_color() for r in (0, 1) for c in (0, 1)}
    assert len(colors) == 1


def test_the_dashed_line_stands_at_the_random_score():
    figure = figure_of()
    for column, value in ((0, -20.7), (1, 222.4)):
        (line,) = lines(panel(figure, 0, column), "random")
        assert set(line.get_ydata()) == {value}
        assert line.get_linestyle() == "--"


def test_a_game_without_a_random_score_has_no_dashed_line(words_of):
    figure = figure_of(random={})
    assert not lines(panel(figure, 0, 0), "random")
    assert "random play" not in words_of(figure)


def test_training_episodes_are_faint_dots_behind_the_lines():
    axes = panel(figure_of(), 0, 0)
    (dots,) = lines(axes, "episodes of seed 0")
    (line,) = lines(axes, "seed 0")
    assert dots.get_xdata().tolist() == [50_000, 60_000]
    assert dots.get_alpha() < 1
    assert dots.get_zorder() < line.get_zorder()


def test_without_training_episodes_the_legend_does_not_speak_of_them(words_of):
    assert "training episodes" in words_of(figure_of())
    assert "training episodes" not in words_of(figure_of(episodes=[]))


def test_missing_seeds_are_counted_and_an_empty_panel_says_so():
    figure = figure_of()
    counts = {
        (row, column): [t.get_text() for t in panel(figure, row, column).texts]
        for row in (0, 1)
        for column in (0, 1)
    }
    assert counts == {
        (0, 0): [],
        (0, 1): [],
        (1, 0): ["1 of 2 seeds"],
        (1, 1): ["no evaluation yet"],
    }


def test_panels_of_a_game_share_one_scale():
    figure = figure_of()
    assert panel(figure, 0, 0).get_ylim() == panel(figure, 1, 0).get_ylim()
    assert panel(figure, 0, 0).get_ylim() != panel(figure, 0, 1).get_ylim()


def test_axes_are_labelled_with_units(words_of):
    words = words_of(figure_of())
    assert "env frames (thousands)" in words
    assert "return" in words
    assert {"Pong", "Assault", "base", "full", "the note"} <= set(words)


def test_long_runs_count_in_millions(words_of):
    longer = [(*row[:3], 50 * row[3], row[4]) for row in EVALUATIONS]
    assert "env frames (millions)" in words_of(figure_of(longer))


@pytest.mark.parametrize("count", [10, learning_curves.MOST_VECTOR_DOTS + 1])
def test_very_many_training_episodes_become_an_image(count):
    episodes = [("base", "Pong", 0, 100 + index, -20.0) for index in range(count)]
    figure = figure_of(episodes=episodes)
    image = b"<image" in style.render(figure, "svg", title="", description="")
    assert image == (count > learning_curves.MOST_VECTOR_DOTS)


def test_no_text_is_cut(cut_words_of):
    assert cut_words_of(figure_of()) == []


def test_rows_share_the_scale_of_env_frames_unless_an_arm_ends_before_half_of_it(words_of):
    def last_of(figure):
        figure.draw_without_rendering()
        return [panel(figure, row, 0).get_xlim()[1] for row in (0, 1)]

    for ends in ((400_000, 400_000), (400_000, 200_000)):
        whole, early = last_of(figure_of(ends=ends))
        assert whole == early > 400_000
    figure = figure_of(ends=(400_000, 100_000))
    whole, early = last_of(figure)
    assert early < 110_000 < 400_000 < whole
    assert any("every row has its own scale" in word for word in words_of(figure))
    assert all(axes.xaxis.get_tick_params()["labelbottom"] for axes in figure.axes)


def figure_of_one_game(arms, page=style.TWO_COLUMNS):
    curves = Curves(
        pd.DataFrame([(arm, "Pong", 0, 100_000, 1.0) for arm in arms], columns=COLUMNS),
        pd.DataFrame(columns=COLUMNS),
        {"Pong": -20.7},
        expected={(arm, "Pong"): 1 for arm in arms},
        ends=dict.fromkeys(arms, 100_000),
    )
    with style.house_style():
        return learning_curves.draw(curves, arms=arms, games=("Pong",), note="", page=page)


def places_of(figure):
    """Row and column of every panel, by the arm that its title names."""
    spans = {axes.get_title(loc="left"): axes.get_subplotspec() for axes in figure.axes}
    return {arm: (span.rowspan.start, span.colspan.start) for arm, span in spans.items()}


def test_the_arms_of_one_game_stand_beside_each_other():
    figure = figure_of_one_game(("a", "b", "c", "d", "e"))
    assert places_of(figure) == {"a": (0, 0), "b": (0, 1), "c": (0, 2), "d": (1, 0), "e": (1, 1)}
    figure.draw_without_rendering()
    named = [axes.get_title(loc="left") for axes in figure.axes if axes.get_xlabel()]
    assert named == ["c", "d", "e"]  # the lowest panel of every column
    for axes in figure.axes:
        ticks = [tick for tick in axes.xaxis.get_major_ticks() if tick.label1.get_visible()]
        assert bool(ticks) == bool(axes.get_xlabel())


def test_long_names_of_arms_take_a_row_each(words_of):
    arms = ("base", "base+algorithm:dynamics", "base+algorithm:sac")
    assert places_of(figure_of_one_game(arms)) == {
        arms[0]: (0, 0),
        arms[1]: (0, 1),
        arms[2]: (0, 2),
    }
    narrow = places_of(figure_of_one_game(arms, style.ONE_COLUMN))
    assert narrow == {arm: (row, 0) for row, arm in enumerate(arms)}
