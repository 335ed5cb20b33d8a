import dataclasses

import numpy as np
import pandas as pd
import pytest

from results.database.records import ImportSourceRecord, NormalizationRow
from results.statistics.collecting import collect
from results.statistics.errors import IncompleteStudy, StatisticsError, UnknownGame, UnknownName
from results.statistics.options import Options
from results.statistics.score_points import evaluation_intervals, mean_heights


@pytest.fixture
def data(make_study, make_data):
    return make_data(make_study(seeds=(0, 1)), lambda on, game, seed: 0.2 * len(on) + seed)


def test_a_run_scores_the_mean_return_of_its_final_evaluation(data):
    scores = collect(data, Options())
    row = scores.frame.query("arm == 'full' and game == 'Pong' and seed == 1").iloc[0]
    assert row["score"] == pytest.approx(1.4)
    assert row["mean_return"] == pytest.approx(-20.7 + 1.4 * 35.3)
    assert row["env_frames"] == 400_000
    assert row["episodes"] == 2


def test_every_arm_game_and_seed_has_exactly_one_row(data):
    scores = collect(data, Options())
    assert len(scores.frame) == 4 * 3 * 2
    assert not scores.frame.duplicated(["arm", "game", "seed"]).any()


def test_scores_below_random_and_above_human_are_kept(make_study, make_data):
    data = make_data(make_study(seeds=(0,)), lambda on, game, seed: 7.0 if on else -2.0)
    scores = collect(data, Options())
    assert scores.hns("base", "Pong") == pytest.approx([-2.0])
    assert scores.hns("full", "Pong") == pytest.approx([7.0])


def test_at_a_stated_point_the_last_evaluation_at_or_before_it_counts(data):
    scores = collect(data, Options(at=250_000))
    assert set(scores.frame["env_frames"]) == {200_000}
    assert scores.hns("full", "Pong") == pytest.approx([0.2, 0.7])  # half of the final score
    assert scores.env_frames == 250_000


def test_at_the_end_of_the_budget_the_final_evaluation_counts(data):
    at_end, final = collect(data, Options(at=400_000)), collect(data, Options())
    assert at_end.frame.equals(final.frame)


def test_a_run_that_stopped_more_than_an_interval_before_is_missing_there(data):
    rows = data.evaluations
    stopped = (rows["arm"] == "base") & (rows["seed"] == 1) & (rows["env_frames"] > 100_000)
    data = dataclasses.replace(data, evaluations=rows[~stopped])
    assert not collect(data, Options(at=200_000)).missing  # one interval back still counts
    missing = collect(data, Options(at=300_000, partial=True)).missing
    assert {(run.arm, run.seed) for run in missing} == {("base", 1)}
    assert len(missing) == 3


def test_the_interval_of_a_run_is_its_usual_gap_between_evaluations(data):
    assert set(evaluation_intervals(data.evaluations)) == {100_000}
    final = data.evaluations[data.evaluations["final"]]
    assert set(evaluation_intervals(final)) == {0.0}
    once = (data.evaluations["run_id"] == 1) & ~data.evaluations["final"]
    assert evaluation_intervals(data.evaluations[~once])[1] == 100_000  # that of the others


def test_a_run_that_was_evaluated_once_has_no_score_anywhere_else(data):
    early = data.evaluations[data.evaluations["env_frames"] == 100_000].assign(final=False)
    once = dataclasses.replace(data, evaluations=early)
    assert not collect(once, Options(at=100_000)).missing
    with pytest.raises(IncompleteStudy, match="no evaluation at 200,000 env frames"):
        collect(once, Options(at=200_000))


def test_a_run_with_wider_intervals_than_the_others_is_judged_by_its_own(data):
    rows = data.evaluations
    coarse = (rows["arm"] == "full") & ~rows["env_frames"].isin([200_000, 400_000])
    data = dataclasses.replace(data, evaluations=rows[~coarse])
    assert not collect(data, Options(at=390_000)).missing  # 190,000 back, of 200,000
    missing = collect(data, Options(at=100_000, partial=True)).missing
    assert {run.arm for run in missing} == {"full"}


SOURCE = ImportSourceRecord("a.json", "0" * 64, "dreamer-json", "{}", "p", None, False)


def test_of_an_imported_study_the_runs_that_its_files_hold_are_asked_for(data):
    def without(data, gone):
        keep = {name: ~gone(frame) for name, frame in frames(data).items()}
        return dataclasses.replace(data, **{n: f[keep[n]] for n, f in frames(data).items()})

    def frames(data):
        return {"runs": data.runs, "evaluations": data.evaluations}

    fewer = without(data, lambda f: (f["game"] == "Pong") & (f["seed"] == 1))
    with pytest.raises(IncompleteStudy, match=r"base on Pong, seed 1 \(not submitted\)"):
        collect(fewer, Options())  # trained here, those runs were meant to be
    scores = collect(dataclasses.replace(fewer, sources=(SOURCE,)), Options())
    assert scores.runs_per_cell() == (1, 2)
    assert not scores.missing
    assert scores.matrices().dropped_seeds["base"] == (1,)  # the mean over games needs them all
    none = without(fewer, lambda f: (f["game"] == "Pong") & (f["arm"] == "full"))
    with pytest.raises(IncompleteStudy, match=r"^2 of .*full on Pong, seed 0 \(in no file\)"):
        collect(dataclasses.replace(none, sources=(SOURCE,)), Options())


def test_an_imported_run_that_ended_early_is_missing(data):
    stopped = (data.evaluations["arm"] == "full") & data.evaluations["final"]
    early = dataclasses.replace(data, evaluations=data.evaluations[~stopped], sources=(SOURCE,))
    with pytest.raises(IncompleteStudy, match=r"^6 of 24 .*\(6 no point there\): .*earlier"):
        collect(early, Options())


def test_comparing_beyond_the_budget_is_refused(data):
    with pytest.raises(StatisticsError, match="ends at 400,000 env frames"):
        collect(data, Options(at=400_001))


def test_an_unfinished_study_is_refused_and_names_what_is_missing(make_study, make_data):
    data = make_data(make_study(), lambda *_: 0.5, missing=[("full", "Pong", 2)])
    with pytest.raises(IncompleteStudy, match=r"^1 of 36 runs .*full on Pong, seed 2 \(queued\)"):
        collect(data, Options())


def test_the_refusal_says_where_evaluations_were_written(data):
    with pytest.raises(IncompleteStudy, match="written at 100,000, 200,000, 300,000, 400,000"):
        collect(data, Options(at=50_000))


def test_a_partial_answer_keeps_the_missing_run_as_a_row_without_score(make_study, make_data):
    data = make_data(make_study(), lambda *_: 0.5, missing=[("full", "Pong", 2)])
    scores = collect(data, Options(partial=True))
    row = scores.frame.query("arm == 'full' and game == 'Pong' and seed == 2").iloc[0]
    assert np.isnan(row["score"])
    assert np.isnan(row["mean_return"])
    assert scores.runs_per_cell() == (2, 3)
    assert len(scores.hns("full", "Pong")) == 2


def test_a_study_without_any_score_is_refused_even_when_partial(make_study, make_data):
    study = make_study(seeds=(0,))
    everything = [(arm.name, game, 0) for arm in study.arms for game in study.games]
    data = make_data(study, lambda *_: 0.5, missing=everything)
    with pytest.raises(IncompleteStudy, match="nothing to show yet"):
        collect(data, Options(partial=True))


def test_a_return_that_is_not_a_number_is_refused(data):
    rows = data.evaluations.copy()
    rows.loc[rows.index[-1], "episode_return"] = np.nan
    with pytest.raises(StatisticsError, match="not a number"):
        collect(dataclasses.replace(data, evaluations=rows), Options())


def test_games_and_arms_can_be_chosen_in_any_spelling_and_order(data):
    scores = collect(data, Options(games=("assault", "ALE/Pong-v5"), arms=("full", "base")))
    assert scores.games == ("Assault", "Pong")
    assert scores.arms == ("full", "base")
    assert len(scores.frame) == 2 * 2 * 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(arms=("bas",)), "no arm 'bas': did you mean 'base'"),
        (Options(games=("Alien",)), "no game 'Alien'"),
        (Options(norm="wang"), "wang2016"),
    ],
)
def test_names_that_the_study_has_not_are_refused(data, options, words):
    with pytest.raises(UnknownName, match=words):
        collect(data, options)


def test_a_game_named_twice_in_two_spellings_is_refused(data):
    with pytest.raises(StatisticsError, match="named twice among Pong, ALE/Pong-v5"):
        collect(data, Options(games=("Pong", "ALE/Pong-v5")))


def test_raw_returns_need_no_table_but_scores_do(make_study, make_data):
    data = make_data(make_study(games=("Pong",), seeds=(0,)), lambda *_: 0.5)
    renamed = {
        "study": dataclasses.replace(data.study, games=("Carnival",)),
        "runs": data.runs.assign(game="Carnival"),
        "evaluations": data.evaluations.assign(game="Carnival"),
    }
    scores = collect(dataclasses.replace(data, **renamed), Options())
    assert len(scores.returns("base", "Carnival")) == 1
    with pytest.raises(UnknownGame, match="Carnival"):
        scores.hns("base", "Carnival")
    with pytest.raises(UnknownGame, match="Carnival"):
        scores.matrices()


def test_the_mean_over_games_is_one_value_per_seed(make_study, make_data):
    by_game = {"Pong": 0.1, "CrazyClimber": 0.2, "Assault": 0.6}
    data = make_data(make_study(), lambda on, game, seed: by_game[game] + seed)
    matrices = collect(data, Options()).matrices()
    assert matrices.seed_means("base") == pytest.approx([0.3, 1.3, 2.3])


def test_a_seed_without_every_game_is_left_out_of_the_mean_and_said(make_study, make_data):
    data = make_data(
        make_study(), lambda on, game, seed: float(seed), missing=[("base", "Pong", 1)]
    )
    matrices = collect(data, Options(partial=True)).matrices()
    assert matrices.seeds["base"] == (0, 2)
    assert matrices.dropped_seeds["base"] == (1,)
    assert matrices.dropped_seeds["full"] == ()
    assert matrices.seed_means("base") == pytest.approx([0, 2])


def test_a_game_that_an_arm_lacks_is_left_out_for_all_arms(make_study, make_data):
    gone = [("base", "Pong", seed) for seed in range(3)]
    data = make_data(make_study(), lambda *_: 0.5, missing=gone)
    matrices = collect(data, Options(partial=True)).matrices()
    assert matrices.games == ("CrazyClimber", "Assault")
    assert matrices.dropped_games == ("Pong",)
    assert matrices.values["full"].shape == (3, 2)


def test_an_arm_that_has_not_begun_takes_no_game_from_the_others(make_study, make_data):
    study = make_study()
    gone = [("full", game, seed) for game in study.games for seed in study.seeds]
    matrices = collect(
        make_data(study, lambda *_: 0.5, missing=gone), Options(partial=True)
    ).matrices()
    assert matrices.games == study.games
    assert len(matrices.values["full"]) == 0
    assert len(matrices.seed_means("full")) == 0
    assert matrices.dropped_seeds["full"] == ()


def test_arms_that_share_no_game_have_no_mean_to_compare(make_study, make_data):
    study = make_study({"a": ("on",)}, games=("Pong", "Assault"), seeds=(0,))
    data = make_data(study, lambda *_: 0.5, missing=[("base", "Pong", 0), ("full", "Assault", 0)])
    with pytest.raises(IncompleteStudy, match="No game has a run of every arm"):
        collect(data, Options(partial=True)).matrices()


def test_declared_returns_are_the_scale_of_a_game_that_no_table_holds(make_study, make_data):
    study = make_study(games=("Pong", "Catch"), seeds=(0,))
    declared = {"Catch": NormalizationRow("Catch", -0.6, 1.0)}
    scores = collect(make_data(study, lambda *_: 0.25, declared=declared), Options())
    assert scores.hns("base", "Catch") == pytest.approx([0.25])
    assert scores.hns("base", "Pong") == pytest.approx([0.25])
    assert scores.normalization.id == "wang2016, declared for Catch"
    only = collect(make_data(study, lambda *_: 0.25), Options(games=("Pong",)))
    assert only.normalization.id == "wang2016"


def test_games_with_raw_returns_only_are_named_with_the_way_out(make_study, make_data):
    games = ("Pong", "Catch", "gymnasium:CartPole-v1")
    scores = collect(make_data(make_study(games=games, seeds=(0,)), lambda *_: 0.5), Options())
    assert scores.hns("base", "Pong") == pytest.approx([0.5])
    for ask in (lambda: scores.hns("base", "Catch"), scores.matrices):
        with pytest.raises(UnknownGame) as refused:
            ask()
        said = str(refused.value)
        assert "for Catch, gymnasium:CartPole-v1: not in the table wang2016" in said
        assert "`ablate table STUDY --kind scores`" in said
        assert "with --game" in said


def test_a_study_of_raw_returns_only_is_not_sent_to_other_games(make_study, make_data):
    scores = collect(make_data(make_study(games=("Catch",)), lambda *_: 0.5), Options())
    with pytest.raises(UnknownGame) as refused:
        scores.matrices()
    assert "--game" not in str(refused.value)


def test_the_mean_height_of_a_curve_is_its_area_over_its_width():
    points = pd.DataFrame(
        {
            "arm": "a",
            "game": "Pong",
            "seed": [0, 0, 0, 1, 2, 2],
            "env_frames": [100, 200, 400, 400, 150, 350],
            "mean_return": [1.0, 3.0, 5.0, 9.0, 2.0, 6.0],
            "episodes": 2,
            "truncated": 0,
        }
    )
    found = mean_heights(points, start=100, end=400).set_index("seed")
    # seed 0: 100 (1 + 3) / 2 + 200 (3 + 5) / 2 = 1000 over 300; seed 1 has one point
    # seed 2: 50 at 2, 200 (2 + 6) / 2, 50 at 6 = 1200 over 300
    assert found["mean_return"].to_dict() == pytest.approx({0: 10 / 3, 2: 4.0})
    assert (found["env_frames"] == 400).all()
    assert found["episodes"].to_dict() == {0: 6, 2: 4}


def test_auc_scores_a_straight_curve_by_its_middle(make_study, make_data):
    study = make_study(games=("Pong",), seeds=(0, 1))
    data = make_data(study, lambda on, game, seed: 1.0)  # 0.25, 0.5, 0.75, 1 at 1/4 .. 4/4
    scores = collect(data, Options(measure="auc"))
    # from 20,000 to 400,000: level at 0.25 up to 100,000, then straight up to 1
    expected = (80_000 * 0.25 + 300_000 * 0.625) / 380_000
    assert scores.hns("base", "Pong") == pytest.approx([expected] * 2)
    half = collect(data, Options(measure="auc", at=200_000))
    assert half.hns("base", "Pong") == pytest.approx([(80 * 0.25 + 100 * 0.375) / 180] * 2)
