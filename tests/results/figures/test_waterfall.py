import pytest

from results.figures import draw
from results.statistics.errors import StatisticsError
from results.statistics.options import Options

QUICK = Options(resamples=50)


def score(on, game, seed):
    """a and b do nothing alone and 0.6 together; c takes 0.2 away; seeds differ a little."""
    return 0.5 + 0.6 * ({"a", "b"} <= set(on)) - 0.2 * ("c" in on) + 0.001 * seed


@pytest.fixture
def drawn(make_study, make_data):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("factorial",), games=("Assault",))
    return draw("waterfall", make_data(study, score, points=1), QUICK)


def test_the_steps_are_shapley_values_and_lead_from_the_base_to_the_full_agent(drawn, named):
    base, full = named(drawn.figure, "end")
    steps = named(drawn.figure, "step")
    assert base.get_width() == pytest.approx(0.501)
    assert [bar.get_width() for bar in steps] == pytest.approx([0.3, 0.3, -0.2])
    assert steps[0].get_x() == pytest.approx(base.get_width())
    assert steps[-1].get_x() + steps[-1].get_width() == pytest.approx(full.get_width())


def test_whiskers_are_the_least_and_the_most_that_a_toggle_adds_in_any_order(drawn, named):
    reach = [sorted(line.get_xdata()) for line in named(drawn.figure, "orders")]
    starts = [bar.get_x() for bar in named(drawn.figure, "step")]
    assert reach[0] == pytest.approx([starts[0], starts[0] + 0.6])  # nothing without b
    assert reach[2] == pytest.approx([starts[2] - 0.2] * 2)  # the same in every order
    rows = drawn.numbers.set_index(["toggle", "scope"])
    assert rows.loc[("a", "mean of games"), "most_in_any_order"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("names", "designs", "says"),
    [("abc", ("pairs_in",), "every combination"), ("a", ("factorial",), "1 toggle")],
)
def test_a_waterfall_that_cannot_be_made_says_why(names, designs, says, make_study, make_data):
    study = make_study(dict.fromkeys(names, ("on",)), designs=designs, games=("Assault",))
    with pytest.raises(StatisticsError, match=says):
        draw("waterfall", make_data(study, score, points=1), QUICK)
