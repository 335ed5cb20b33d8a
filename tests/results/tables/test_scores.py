import dataclasses

import numpy as np
import pytest

from results.database.records import NormalizationRow
from results.statistics.aggregates import ALL
from results.statistics.errors import IncompleteStudy, UnknownGame
from results.statistics.options import Options
from results.tables import build

FAST = Options(resamples=100)
APART = (("Pong", 1), ("Assault", 0))  # one run per game, of different seeds


def texts(table):
    return [[entry.text for entry in row] for row in table.layout.rows]


@pytest.fixture
def data(make_study, make_data):
    """HNS of .1 x seed over 0, .3, .5 or .8 for base, a, b and both, on every game."""
    level = {"": 0.0, "a": 0.3, "b": 0.5, "ab": 0.8}
    study = make_study({"a": ("on",), "b": ("on",)}, games=("Pong", "Assault"))
    return make_data(study, lambda on, g, s: level["".join(sorted(on))] + 0.1 * s)


def test_games_are_rows_and_arms_are_columns(data):
    table = build("hns", data, FAST)
    assert table.layout.header == ("game", "base", "full", "base+b", "base+a")
    assert [row[0] for row in texts(table)] == [
        "Pong",
        "Assault",
        "mean",
        "median",
        "IQM",
        "optimality gap",
        "clipped mean",
        "human gap",
    ]
    assert table.layout.blocks == (2,)


def test_a_cell_is_the_mean_and_the_half_width_over_seeds(data):
    assert texts(build("hns", data, FAST))[0][1] == "0.100 ± 0.248"  # 4.303 x .1 / sqrt 3


def test_the_best_of_a_row_is_emphasised_and_for_the_gap_that_is_the_least(data):
    rows = build("hns", data, FAST).layout.rows
    assert [[entry.best for entry in row] for row in rows] == [
        [False, False, True, False, False]
    ] * 8
    assert rows[5][2].text.startswith("0.100")
    assert [row[0].text for row in rows[-2:]] == ["clipped mean", "human gap"]
    assert rows[-1][2].text == rows[5][2].text  # no run is better than human


def test_raw_returns_stand_beside_the_random_player_and_the_human(data):
    table = build("scores", data, FAST)
    assert table.layout.header[-2:] == ("random", "human")
    pong = texts(table)[0]
    assert pong[-2:] == ["-20.7", "14.6"]
    assert pong[1].startswith("-17.2 ±")  # -20.7 + .1 x 35.3
    assert not any(entry.best for entry in table.layout.rows[0][-2:])


def test_raw_returns_of_a_game_without_references_are_shown(data):
    data = dataclasses.replace(
        data,
        study=dataclasses.replace(data.study, games=("Carnival", "Assault")),
        runs=data.runs.replace({"game": {"Pong": "Carnival"}}),
        evaluations=data.evaluations.replace({"game": {"Pong": "Carnival"}}),
    )
    assert texts(build("scores", data, FAST))[0][-2:] == ["-", "-"]
    for kind in ("hns", "aggregates", "effects", "interactions"):
        with pytest.raises(UnknownGame, match="Carnival"):
            build(kind, data, FAST)


def test_the_frame_has_full_precision_and_a_row_per_cell(data):
    frame = build("hns", data, FAST).frame
    assert len(frame) == 2 * 4 + 6 * 4
    row = frame.query("arm == 'base' and game == 'Pong'").iloc[0]
    assert row["value"] == pytest.approx(0.1, rel=1e-12)
    assert row["runs"] == 3
    assert set(frame["statistic"]) == set(ALL)


def test_the_caption_says_how_the_numbers_were_made(data):
    caption = build("hns", data, Options(resamples=100, seed=4, ci=0.9)).caption
    for words in (
        "protocol atari100k",
        "400,000 env frames",
        "32 episodes, argmax",
        "3 runs per cell",
        "table wang2016",
        "90% t-interval",
        "100 resamples, seed 4",
        "the IQM is unstable",
    ):
        assert words in caption


def test_the_caption_states_another_point_of_comparison(data):
    caption = build("scores", data, Options(at=200_000)).caption
    assert "at 200,000 env frames" in caption
    assert "last evaluation at or before" in caption


def test_one_seed_shows_points_and_says_so_once(one_seed_data):
    table = build("hns", one_seed_data, FAST)
    assert not any("±" in text or "[" in text for row in texts(table) for text in row)
    assert table.caption.count("One seed: no interval.") == 1
    assert "resamples" not in table.caption


def test_missing_runs_are_refused_unless_a_partial_answer_is_asked_for(make_study, make_data):
    data = make_data(make_study(), lambda on, g, s: 0.1 * s, missing=[("base", "Pong", 0)])
    with pytest.raises(IncompleteStudy):
        build("hns", data, FAST)
    table = build("hns", data, Options(resamples=100, partial=True))
    assert texts(table)[0][1].endswith("(n=2)")
    assert texts(table)[0][2].endswith("(n=3)")
    assert "2 to 3 runs per cell: 1 of 36 runs are missing." in table.caption
    assert "of a game with n runs the bootstrap draws n" in table.caption


def test_a_cell_without_runs_is_a_dash_and_never_zero_or_best(make_study, make_data):
    gone = [("full", "Pong", seed) for seed in range(3)]
    data = make_data(make_study(), lambda on, g, s: -1.0 + 0.1 * s, missing=gone)
    table = build("hns", data, Options(resamples=100, partial=True))
    entry = table.layout.rows[0][2]
    assert (entry.text, entry.best) == ("-", False)
    assert "no run of it: Pong" in table.caption
    row = table.frame.query("arm == 'full' and game == 'Pong'").iloc[0]
    assert np.isnan(row["value"])
    assert row["note"] == "no run yet"


def test_runs_of_different_seeds_are_aggregated(make_study, make_data):
    study = make_study({"a": ("on",)}, games=("Pong", "Assault"), seeds=(0, 1))
    gone = [(arm.name, game, seed) for arm in study.arms for game, seed in APART]
    data = make_data(study, lambda on, g, s: 0.5, missing=gone)
    table = build("hns", data, Options(resamples=50, partial=True))
    assert [row[1] for row in texts(table)] == ["0.500"] * 8
    assert "One seed: no interval." in table.caption


def test_the_numbers_of_the_aggregates_are_one_row_per_arm_and_metric(data):
    frame = build("aggregates", data, FAST).frame
    assert list(frame)[:7] == ["arm", "metric", "value", "low", "high", "runs", "games"]
    assert len(frame) == 4 * 6
    assert set(frame["normalization"]) == {"wang2016"}
    assert set(frame["games"]) == {2}


def test_a_study_of_one_game_prints_no_interval_twice(make_study, make_data):
    data = make_data(make_study(games=("Pong",)), lambda on, g, s: 0.1 * s + len(on))
    table = build("aggregates", data, FAST)
    assert table.layout.header[2:] == ("mean", "optimality gap")
    assert "Over one game the median and IQM are the mean." in table.caption
    row = texts(table)[1]
    assert len(set(row)) == len(row)


def test_runs_that_are_missing_everywhere_alike_are_still_counted(make_study, make_data):
    study = make_study()
    gone = [(arm.name, game, 2) for arm in study.arms for game in study.games]
    data = make_data(study, lambda on, g, s: 0.1 * s, missing=gone)
    caption = build("scores", data, Options(partial=True)).caption
    assert "2 runs per cell: 12 of 36 runs are missing." in caption


def test_cut_evaluation_episodes_are_counted_in_the_caption(make_study, make_data):
    data = make_data(make_study(), lambda on, g, s: 0.1 * s, truncated=True)
    assert "72 of the 72 evaluation episodes were cut" in build("scores", data, FAST).caption


def test_aggregates_have_arms_as_rows_and_bold_the_best_of_each_column(data):
    table = build("aggregates", data, FAST)
    assert [row[0] for row in texts(table)] == ["base", "full", "base+b", "base+a"]
    assert [entry.best for entry in table.layout.rows[1]] == [False, False, True, True, True, True]
    assert texts(table)[0][1] == "3"
    assert "Games: Pong, Assault." in table.caption


def test_a_single_arm_is_not_the_best_of_anything(data):
    table = build("hns", data, Options(resamples=100, arms=("base",)))
    assert not any(entry.best for row in table.layout.rows for entry in row)
    assert table.layout.legend == ""


CATCH = {"Catch": NormalizationRow("Catch", -0.6, 1.0)}


def test_a_game_with_declared_returns_is_marked_beside_others(make_study, make_data):
    data = make_data(make_study(games=("Pong", "Catch")), lambda *_: 0.5, declared=CATCH)
    hns, scores = build("hns", data, FAST), build("scores", data, FAST)
    assert [row[0] for row in texts(hns)[:2]] == ["Pong", "Catch (declared)"]
    assert "table wang2016, nothing clipped); for Catch by declared returns" in hns.caption
    assert scores.layout.header[-2:] == ("random", "human or declared")
    assert texts(scores)[1][-2:] == ["-0.6", "1.0"]
    assert "returns: table wang2016. Declared by the game itself (random, reference): Catch." in (
        scores.caption
    )


def test_a_study_of_declared_returns_does_not_speak_of_humans(make_study, make_data):
    data = make_data(make_study(games=("Catch",)), lambda *_: 0.5, declared=CATCH)
    for kind in ("scores", "hns", "aggregates", "effects", "interactions"):
        table = build(kind, data, FAST)
        assert "declare" in table.caption.lower()
        assert "uman" not in table.caption + " ".join(table.layout.header) + table.title


def test_the_table_of_returns_says_which_games_have_no_score(make_study, make_data):
    games = ("Catch", "gymnasium:CartPole-v1")
    data = make_data(make_study(games=games), lambda *_: 0.5, declared=CATCH)
    table = build("scores", data, FAST)
    assert "and so without a score: gymnasium:CartPole-v1." in table.caption
    assert texts(table)[1][-2:] == ["-", "-"]


def test_many_arms_stand_below_each_other(make_study, make_data):
    names = "abcdefghijk"
    study = make_study(dict.fromkeys(names, ("on",)), designs=("base", "add_one_in"), seeds=(0, 1))
    data = make_data(study, lambda on, game, seed: ord(min(on, default="`")) - 96 + seed)
    table = build("hns", data, Options(resamples=20))
    assert table.layout.header[:4] == ("arm", "Pong", "CrazyClimber", "Assault")
    assert [row[0].text for row in table.layout.rows] == [arm.name for arm in study.arms]
    assert table.layout.rows[-1][1].text.startswith("11.500 ±")
    assert [row[1].best for row in table.layout.rows] == [False] * 11 + [True]
    assert "best of the column" in table.layout.legend
    returns = build("scores", data, Options()).layout
    assert [row[0].text for row in returns.rows][-2:] == ["random", "human"]
    assert returns.rows[-1][1].text == "14.6"
    assert returns.blocks == (12,)
