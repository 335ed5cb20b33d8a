import dataclasses
import json

import pytest

from results import tables
from results.figures import KINDS
from results.report import contents
from results.statistics.options import Options


def test_every_figure_and_every_table_has_its_place():
    assert set(contents.FIGURE_TITLES) == set(KINDS)
    assert set(contents.TABLE_TITLES) == set(tables.KINDS)


def test_the_figure_against_a_setting_stands_where_the_arms_differ_in_one(
    make_study, make_data, monkeypatch
):
    monkeypatch.setattr(contents, "FIGURE_TITLES", {"setting": "Score against a setting"})
    study = make_study({"ratio": ("on",)}, games=("Pong",))
    for agents, shown in ((("{}", "{}"), 0), (('{"ratio": 4.0}', '{"ratio": 8.0}'), 1)):
        arms = [dataclasses.replace(a, agent=x) for a, x in zip(study.arms, agents, strict=True)]
        data = make_data(dataclasses.replace(study, arms=tuple(arms)), lambda *_: 0.5)
        figures = contents.shown_figures(data, Options(resamples=20))
        assert [one.why_not for one in figures] == [""] * shown


def test_compute_is_told_by_its_table_once_there_is_one(finished_data, unfinished_data):
    done = contents.compute(finished_data, Options())
    assert "times base" in done.html
    assert contents.compute(unfinished_data, Options()).why_not.startswith("33 of 36 runs")
    assert contents.compute(unfinished_data, Options(partial=True)).html


def test_all_five_states_are_counted(unfinished_data):
    counts = contents.counts(unfinished_data.runs)
    assert counts == {"queued": 1, "running": 1, "finished": 33, "failed": 1, "cancelled": 0}


def test_an_arm_is_described_by_its_toggles_progress_and_cost(unfinished_data):
    arms = {arm.name: arm for arm in contents.arms(unfinished_data)}
    assert arms["base"].toggles == "none"
    assert arms["full"].toggles == "augmentation, ratio"
    assert (arms["full"].finished, arms["full"].runs, arms["full"].attempts) == (7, 9, 7 + 2 + 1)
    assert arms["full"].duration == "7 min 00 s"
    assert arms["full"].per_run == "1 min 00 s"
    assert arms["base"].differences == ()
    assert arms["base+ratio"].differences == (("config.env_frames_per_update", "16.0", "4.0"),)


def test_what_an_agent_has_more_is_named_under_its_own_name(finished_data):
    arms = {arm.name: arm for arm in contents.arms(finished_data)}
    assert arms["base+augmentation"].differences == (("views.random_shift.pad", "absent", "3"),)


@pytest.mark.parametrize(
    ("base", "other", "found"),
    [
        ({"a": 1}, {"a": 1}, ()),
        ({"a": 1}, {"a": 2}, (("a", "1", "2"),)),
        ({"a": {"b": None}}, {"a": {}}, (("a.b", "null", "absent"),)),
        ({"a": [1, 2]}, {"a": [1, 3]}, (("a", "[1, 2]", "[1, 3]"),)),
        ({"a": [{"x": 1}]}, {"a": [{"x": 2}]}, (("a.0.x", "1", "2"),)),
        ({}, {"name": "x"}, (("name", "absent", '"x"'),)),
    ],
)
def test_differences_of_agents_are_found_wherever_they_are(base, other, found):
    assert contents.differences(json.dumps(base), json.dumps(other)) == found


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (42.4, "42 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3600, "1 h 00 min"),
        (7800, "2 h 10 min"),
        (3_600_000, "1,000 h 00 min"),
    ],
)
def test_durations_are_written_as_people_say_them(seconds, text):
    assert contents.duration(seconds) == text


def test_a_failure_is_known_by_the_last_line_of_its_traceback(unfinished_data):
    (failure,) = contents.failures(unfinished_data.runs)
    assert failure.last_line == "RuntimeError: <b>out of memory</b>"
    assert failure.run.startswith("full on Pong, seed ")


@pytest.mark.parametrize("nothing", [None, "", " \n", float("nan")])
def test_a_failure_without_a_traceback_says_so(nothing):
    assert contents.last_line(nothing) == "no message was recorded"


def test_a_reason_is_shared_only_if_nothing_could_be_made_for_one_reason():
    reason = contents.Shown("a", "A", why_not="no runs")
    assert contents.shared_reason([reason, reason]) == "no runs"
    assert contents.shared_reason([reason, contents.Shown("b", "B", html="<p>")]) == ""
    assert contents.shared_reason([contents.Shown("b", "B", html="<p>")]) == ""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("base+a_b", ["base+", "a_", "b"]),
        ("p(x=4000,y=0.5)", ["p(", "x=", "4000,", "y=", "0.5)"]),
        ("12,000 env frames (rliable, 5.5)", ["12,000 env frames (rliable, 5.5)"]),
    ],
)
def test_long_names_break_at_their_joints_and_numbers_never(text, parts):
    assert contents.breakable(text).split("\u200b") == parts


def test_levels_of_a_factor_are_listed(make_data, make_study, additive_score):
    study = make_study({"ratio": ("on",), "algorithm": ("sac", "ppo")})
    data = make_data(study, additive_score({"ratio": 0.1, "algorithm": 0.1}))
    assert contents.toggles(data) == [
        ("ratio", "on or off"),
        ("algorithm", "off, sac, ppo (ppo in the full agent)"),
    ]
