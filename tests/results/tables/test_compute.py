import pytest

from results.statistics.errors import IncompleteStudy
from results.statistics.options import Options
from results.tables import build


def test_cost_is_per_arm_and_relative_to_the_base(make_study, make_data):
    data = make_data(make_study(), lambda on, game, seed: 1.0)
    data.runs.loc[data.runs["arm"] == "full", "seconds"] = 150.0
    table = build("compute", data, Options())
    rows = table.frame.set_index("arm")
    assert rows.loc["base", "seconds"] == 60
    assert rows.loc["base", "env_frames_per_second"] == pytest.approx(400_000 / 60)
    assert rows.loc["full", "times_base"] == 2.5
    assert rows.loc["full", "seconds_in_all"] == 9 * 150
    full = [entry.text for entry in table.layout.rows[1]]
    assert full == ["full", "9 of 9", "9", "100", "2.5", "0.38", "2,667", "2.50"]


def test_runs_that_are_not_finished_are_refused_or_counted(make_study, make_data):
    data = make_data(make_study(), lambda on, g, s: 1.0, missing=[("base", "Pong", 0)])
    with pytest.raises(IncompleteStudy, match="35 of 36"):
        build("compute", data, Options())
    table = build("compute", data, Options(partial=True))
    assert table.layout.rows[0][1].text == "8 of 9"


def test_nobody_knows_how_long_imported_runs_took(make_study, make_data):
    data = make_data(make_study(), lambda on, game, seed: 1.0)
    data.runs["seconds"] = float("nan")
    table = build("compute", data, Options())
    assert table.layout.rows[0][4].text == "-"
    assert "how long 36 imported runs took" in table.caption
