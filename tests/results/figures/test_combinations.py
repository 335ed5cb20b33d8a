import pytest

from results.figures import combinations, draw, style
from results.figures.combinations import in_order
from results.statistics.additive import Combination
from results.statistics.compared import Item
from results.statistics.errors import StatisticsError
from results.statistics.intervals import Estimate, missing_estimate
from results.statistics.options import Options

KNOWN = (Item("a", "on", "a"), Item("b", "on", "b"))
NAN = missing_estimate("no run yet")
QUICK = Options(resamples=50)


def estimate(value):
    return Estimate(value, value - 0.1, value + 0.1, 0.05, 4, 0.1, 0.5, 0.2, 3, 3, "")


def combination(names, score, *, predicted=0.5, clear=0):
    """One cell; `clear` is the sign of a gap whose simultaneous interval excludes 0."""
    low, high = {0: (-1.0, 1.0), 1: (0.1, 1.0), -1: (-1.0, -0.1)}[clear]
    on = dict.fromkeys(names, "on")
    return Combination(
        "+".join(names) or "base", on, "mean of games", score, estimate(predicted),
        estimate(float(clear)), low, high, 0.5,
    )  # fmt: skip


def figure_of(shown):
    with style.house_style():
        return combinations.draw(shown, KNOWN, interval="95% t-interval", note="the note")


def test_few_toggles_come_first_and_high_scores_before_low_ones():
    cells = [
        combination("ab", estimate(2.0)), combination("a", NAN), combination("a", estimate(0.1)),
        combination("b", estimate(0.9)), combination("", estimate(0.0)),
    ]  # fmt: skip
    order = [(one.arm, one.score.value) for one in in_order(cells)]
    assert [arm for arm, _ in order] == ["base", "b", "a", "a", "a+b"]
    assert order[2][1] == 0.1


def test_bars_are_scores_and_ticks_are_predictions_of_two_toggles_and_more(named):
    figure = figure_of([combination("", estimate(0.3)), combination("ab", estimate(0.9))])
    assert [bar.get_height() for bar in named(figure, "score")] == [0.3, 0.9]
    (tick,) = named(figure, "predicted")
    assert set(tick.get_ydata()) == {0.5}
    assert named(figure, "clear gap") == []


@pytest.mark.parametrize(("clear", "color"), [(1, style.BLUE), (-1, style.VERMILLION)])
def test_a_clear_gap_is_coloured_by_its_sign_and_reaches_from_tick_to_bar(clear, color, named):
    figure = figure_of([combination("ab", estimate(0.9), clear=clear)])
    (gap,) = named(figure, "clear gap")
    assert gap.get_color() == color
    assert list(gap.get_ydata()) == [0.5, 0.9]


def test_a_cell_without_a_score_is_a_sign_and_no_bar(named, words_of):
    undefined = missing_estimate("not defined: [a + b]")
    figure = figure_of([combination("a", NAN), combination("ab", undefined)])
    assert named(figure, "score") == []
    assert len(named(figure, "missing")) == 1
    assert len(named(figure, "undefined")) == 1
    assert {"runs missing", "not defined: no such agent"} <= set(words_of(figure))


def test_dots_below_say_which_toggles_are_on(named):
    figure = figure_of([combination("", estimate(0.1)), combination("b", estimate(0.3))])
    assert [line.get_ydata().tolist() for line in named(figure, "on")] == [[], [1]]


def test_many_cells_go_on_in_more_strips_with_one_scale(cut_words_of):
    figure = figure_of([combination("ab", estimate(i / 10)) for i in range(40)])
    assert len(figure.axes) == 4
    assert figure.axes[0].get_ylim() == figure.axes[2].get_ylim()
    assert cut_words_of(figure) == []


def test_a_study_without_toggles_has_nothing_to_combine(make_data, make_study, additive_score):
    data = make_data(make_study({}, designs=("base",)), additive_score({}), points=1)
    with pytest.raises(StatisticsError, match="no toggle"):
        draw("combinations", data, QUICK)


def test_of_more_than_a_page_holds_the_ends_and_the_clearest_gaps_are_shown(
    make_study, make_data, named
):
    names = "abcdefg"
    study = make_study(dict.fromkeys(names, ("on",)), designs=("factorial",), games=("Pong",),
                       seeds=(0, 1))  # fmt: skip

    def score(on, game, seed):
        wobble = 0.01 * ((3 * seed + sum(map(names.index, on))) % 4)
        return 0.1 * len(on) + 0.5 * ({"b", "d"} <= set(on)) + wobble

    drawn = draw("combinations", make_data(study, score, points=1), Options(resamples=20))
    assert "Of 128 combinations 64 are shown" in drawn.caption
    assert len(named(drawn.figure, "score")) == 64
    mean = drawn.numbers[drawn.numbers["scope"] == "mean of games"]
    assert len(mean) == 128
    near = mean[mean["toggles_on"].isin([0, 1, 6, 7])]
    assert len(near) == 16
    shown = 64 - 16
    clearest = mean.drop(near.index).nsmallest(shown, "gap_p")["on"]
    assert all({"b", "d"} <= set(on.split()) for on in clearest[:20])
