import pytest

from results.statistics.options import Options
from results.tables import build
from results.tables.captions import paragraph, percent, without

SENTENCE = "± is the half-width."


def test_an_interval_that_no_cell_has_is_not_explained():
    assert without(SENTENCE, ["one seed: no interval"] * 2, mark="±") == "One seed: no interval."


def test_cells_without_an_interval_are_explained_beside_those_with_one():
    assert without(SENTENCE, ["", "one seed: no interval"], mark="±") == (
        "± is the half-width. Without ±: one seed."
    )
    assert without(SENTENCE, ["", ""], mark="±") == SENTENCE


def test_a_game_on_its_floor_in_every_run_is_explained(make_study, make_data):
    data = make_data(make_study(), lambda on, g, s: 0.0 if g == "Pong" else 0.1 * s)
    table = build("hns", data, Options(resamples=50))
    assert table.layout.rows[0][1].text == "0.000"
    assert "Without ±: all seeds equal." in table.caption


@pytest.mark.parametrize(("runs", "narrow"), [(1, False), (2, True), (9, True), (10, False)])
def test_intervals_of_few_runs_are_said_to_be_too_narrow(
    runs, narrow, make_study, make_data, additive_score
):
    score = additive_score({"augmentation": 0.1, "ratio": 0.2}, noise=0.1)
    data = make_data(make_study(seeds=tuple(range(runs))), score, points=1)
    assert ("they are too narrow" in build("hns", data, Options(resamples=50)).caption) == narrow


def test_a_caption_says_nothing_twice_and_skips_what_is_empty():
    assert paragraph("One.", "", "Two.", "One.") == "One. Two."


def test_levels_are_written_as_people_say_them():
    assert (percent(0.95), percent(0.9), percent(0.999)) == ("95%", "90%", "99.9%")
