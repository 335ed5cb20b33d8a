import dataclasses

import pytest

from results.figures import draw
from results.statistics.errors import StatisticsError
from results.statistics.options import Options

QUICK = Options(resamples=50)


def data_of(make_study, make_data, additive_score, names="abc", **more):
    study = make_study(
        dict.fromkeys(names, ("on",)), games=("Assault",), designs=more.pop("designs", None)
        or ("base", "full", "leave_one_out", "add_one_in"),
    )  # fmt: skip
    return make_data(study, additive_score(dict.fromkeys(names, 0.3), noise=0.1), **more)


def test_every_toggle_has_a_panel_added_and_a_panel_left_out(
    make_study, make_data, additive_score, named, words_of
):
    figure = draw("one_at_a_time", data_of(make_study, make_data, additive_score), QUICK).figure
    assert len(figure.axes) == 6
    assert {"+ a", "− c", "Added to the base", "Left out of the full agent"} <= set(
        words_of(figure)
    )
    assert len(named(figure, "arm band")) == 6


def test_a_panel_compares_the_arm_with_the_one_without_the_change(
    make_study, make_data, additive_score, named
):
    drawn = draw("one_at_a_time", data_of(make_study, make_data, additive_score), QUICK)
    curves = drawn.numbers.groupby("arm")["value"].apply(list).to_dict()
    references = [line.get_ydata().tolist() for line in named(drawn.figure, "reference")]
    arms = [line.get_ydata().tolist() for line in named(drawn.figure, "arm")]
    assert references == [curves["base"]] * 3 + [curves["full"]] * 3
    assert arms[:3] == [curves["base+a"], curves["base+b"], curves["base+c"]]
    assert arms[3] == curves["base+b+c"] if "base+b+c" in curves else curves["full-a"]


def test_a_design_without_a_reference_has_no_such_block(
    make_study, make_data, additive_score, words_of
):
    data = data_of(make_study, make_data, additive_score, designs=("base", "add_one_in"))
    figure = draw("one_at_a_time", data, QUICK).figure
    assert "Left out of the full agent" not in words_of(figure)
    assert len(figure.axes) == 3


def test_one_evaluation_per_run_is_no_curve(make_study, make_data, additive_score):
    data = data_of(make_study, make_data, additive_score, points=1)
    with pytest.raises(StatisticsError, match="one evaluation each"):
        draw("one_at_a_time", data, QUICK)


def test_an_arm_without_runs_says_so(make_study, make_data, additive_score, named):
    data = data_of(make_study, make_data, additive_score)
    rows = data.evaluations
    data = dataclasses.replace(data, evaluations=rows[rows["arm"] != "base+b"])
    figure = draw("one_at_a_time", data, dataclasses.replace(QUICK, partial=True)).figure
    assert [text.get_text() for text in named(figure, "missing")] == ["no runs yet"]
