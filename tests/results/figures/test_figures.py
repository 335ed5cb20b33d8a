import dataclasses
import itertools
import json
import math
import subprocess
import sys

import pandas as pd
import pytest
from matplotlib.text import Text

from results import figures
from results.figures import style
from results.statistics.errors import IncompleteStudy, StatisticsError, UnknownName
from results.statistics.options import Options

QUICK = Options(resamples=50)
PARTIAL = Options(resamples=50, partial=True)
SIX = {name: ("on",) for name in ("augmentation", "ratio", "reset", "ppo", "plan2explore", "spr")}
ALWAYS = [kind for kind in figures.KINDS if kind != "setting"]  # which needs a numeric one
OF_RUNS = ["aggregates", "profiles", "improvement", "efficiency"]
MISSING = [("full", "Pong", 0), ("full", "Pong", 1), ("full", "Pong", 2), ("base", "Assault", 1)]


@pytest.fixture
def partial_data(make_data, make_study, additive_score):
    score = additive_score({"augmentation": 0.2, "ratio": 0.5}, noise=0.2)
    return make_data(make_study(), score, missing=MISSING)


@pytest.fixture
def six_data(make_data, make_study, additive_score):
    study = make_study(
        SIX, designs=("base", "full", "add_one_in", "leave_one_out", "pairs_in", "pairs_out")
    )
    return make_data(study, additive_score(dict.fromkeys(SIX, 0.1), noise=0.1), points=2)


@pytest.mark.parametrize("kind", ALWAYS)
def test_every_kind_is_drawn_with_nothing_cut(kind, noisy_data, cut_words_of):
    drawn = figures.draw(kind, noisy_data, QUICK)
    assert drawn.name == f"synthetic_{kind}"
    assert drawn.title
    assert len(drawn.numbers)
    assert cut_words_of(drawn.figure) == []


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("kind", ["efficiency", "pairs", "one_at_a_time"])
def test_long_numbers_and_many_doubts_are_not_cut(
    kind, columns, make_study, make_data, additive_score, cut_words_of
):
    """Labels such as −0.325, and pairs of which every game stands at its floor."""
    study = make_study(
        dict.fromkeys("abc", ("on",)), designs=("base", "full", "add_one_in", "pairs_in")
    )
    data = make_data(
        study, additive_score(dict.fromkeys("abc", 0.02), base=-0.3, noise=0.01), points=2
    )
    drawn = figures.draw(kind, data, dataclasses.replace(QUICK, columns=columns))
    assert cut_words_of(drawn.figure) == []


@pytest.mark.parametrize("kind", ALWAYS)
def test_a_caption_states_what_the_figure_rests_on(kind, noisy_data):
    caption = figures.draw(kind, noisy_data, QUICK).caption
    assert "400,000 env frames" in caption
    assert "wang2016" in caption
    assert "protocol atari100k" in caption.lower().replace("Protocol", "protocol")
    assert "32 episodes, argmax" in caption
    assert "interval" in caption or "bootstrap" in caption


@pytest.mark.parametrize("kind", [*OF_RUNS, "effects", "interference"])
def test_one_seed_has_no_interval_and_the_figure_says_so(kind, one_seed_data, words_of, named):
    drawn = figures.draw(kind, one_seed_data, QUICK)
    assert any("one seed: no interval" in text for text in words_of(drawn.figure))
    assert "one seed: no interval" in drawn.caption
    assert named(drawn.figure, "interval") == []
    assert named(drawn.figure, "half-width") == []
    assert drawn.numbers["low"].isna().all()


@pytest.mark.parametrize("kind", [*OF_RUNS, "effects", "interference"])
def test_an_unfinished_study_is_refused_unless_a_partial_answer_is_asked_for(kind, partial_data):
    with pytest.raises(IncompleteStudy, match="4 of 36 runs"):
        figures.draw(kind, partial_data, QUICK)


@pytest.mark.parametrize("kind", ALWAYS)
def test_a_partial_study_is_drawn_and_counted(kind, partial_data, words_of, cut_words_of):
    drawn = figures.draw(kind, partial_data, PARTIAL)
    assert "32 of 36 runs" in drawn.caption
    assert any("32 of 36 runs" in " ".join(text.split()) for text in words_of(drawn.figure))
    assert cut_words_of(drawn.figure) == []


def test_learning_curves_need_no_complete_study(partial_data):
    assert len(figures.draw("curves", partial_data, QUICK).numbers)


def test_nothing_recorded_is_refused_with_a_reason(make_data, make_study, additive_score):
    study = make_study()
    everything = itertools.product((a.name for a in study.arms), study.games, study.seeds)
    data = make_data(study, additive_score({"augmentation": 0, "ratio": 0}), missing=everything)
    for kind in figures.KINDS:
        with pytest.raises(StatisticsError, match="yet"):
            figures.draw(kind, data, PARTIAL)


def test_the_numbers_of_the_curves_are_the_points_that_are_drawn(noisy_data):
    drawn = figures.draw("curves", noisy_data, QUICK)
    points = drawn.numbers[drawn.numbers["series"] == "evaluation"]
    assert len(points) == 4 * 3 * 3 * 4  # arms, games, seeds, evaluations
    written = points.set_index(["arm", "game", "seed", "env_frames"])["value"].to_dict()
    lines = {}
    for axes, (arm, game) in zip(
        drawn.figure.axes,
        itertools.product([a.name for a in noisy_data.study.arms], noisy_data.study.games),
        strict=True,
    ):
        for line in axes.lines:
            if (line.get_gid() or "").startswith("seed "):
                seed = int(line.get_gid().split()[1])
                for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True):
                    lines[arm, game, seed, x] = y
    assert lines == written


def test_a_point_of_a_curve_is_the_mean_of_its_episodes(noisy_data):
    drawn = figures.draw("curves", noisy_data, QUICK)
    rows = noisy_data.evaluations
    one = rows[(rows.arm == "base") & (rows.game == "Pong") & (rows.seed == 1)]
    wanted = one[one["env_frames"] == 400_000]["episode_return"].mean()
    numbers = drawn.numbers
    found = numbers[
        (numbers.series == "evaluation") & (numbers.arm == "base") & (numbers.game == "Pong")
        & (numbers.seed == 1) & (numbers.env_frames == 400_000)
    ]  # fmt: skip
    assert found["value"].tolist() == pytest.approx([wanted])


def test_the_numbers_of_the_map_are_those_in_its_tiles(noisy_data):
    drawn = figures.draw("interference", noisy_data, QUICK)
    numbers = drawn.numbers
    for axes, scope in zip(
        drawn.figure.axes, ("mean of games", *noisy_data.study.games), strict=False
    ):
        shown = sorted(t.get_text() for t in axes.findobj(Text) if t.get_gid() == "estimate")
        rows = numbers[numbers["scope"] == scope]["value"]
        places = style.decimals(numbers["value"].abs().max())
        assert shown == sorted(style.signed(value, places).replace("0.", ".") for value in rows)


def test_the_rows_of_the_forest_plot_are_in_its_numbers(noisy_data, named):
    drawn = figures.draw("effects", noisy_data, QUICK)
    shown = {round(float(line.get_xdata()[0]), 9) for line in named(drawn.figure, "estimate")}
    means = drawn.numbers[drawn.numbers["scope"] == "mean of games"]["value"]
    assert shown == {round(value, 9) for value in means}


def test_with_two_toggles_each_number_is_shown_once_in_the_forest_plots(noisy_data, named):
    assert len(named(figures.draw("effects", noisy_data, QUICK).figure, "estimate")) == 4
    assert len(named(figures.draw("interactions", noisy_data, QUICK).figure, "estimate")) == 1


def test_six_toggles_with_all_pairs_fit(six_data, cut_words_of, named):
    forest = figures.draw("interactions", six_data, QUICK).figure
    assert cut_words_of(forest) == []
    assert len(named(forest, "estimate")) == 15 + 15
    for kind in ("effects", "pairs", "combinations", "one_at_a_time"):
        assert cut_words_of(figures.draw(kind, six_data, QUICK).figure) == [], kind
    map_ = figures.draw("interference", six_data, QUICK).figure
    assert cut_words_of(map_) == []
    assert len(named(map_, "tile")) == 4 * 42


def test_contrasts_outside_the_design_are_empty_places_and_no_rows(
    make_data, make_study, additive_score, named
):
    data = make_data(make_study(SIX), additive_score(dict.fromkeys(SIX, 0.1), noise=0.1))
    map_ = figures.draw("interference", data, QUICK).figure
    assert len(named(map_, "tile")) == 4 * 12
    assert len(named(map_, "undefined")) == 0
    forest = figures.draw("effects", data, QUICK).figure
    assert len(named(forest, "estimate")) == 12


def test_two_levels_of_one_toggle_exclude_each_other(make_data, make_study, additive_score, named):
    study = make_study({"ratio": ("on",), "algorithm": ("sac", "ppo")}, designs=("factorial",))
    data = make_data(study, additive_score({"ratio": 0.1, "algorithm": 0.2}, noise=0.1))
    figure = figures.draw("interference", data, QUICK).figure
    assert len(named(figure, "undefined")) == 4 * 2 * 2  # panels, places, strokes


def test_games_and_arms_can_be_chosen(noisy_data, words_of):
    chosen = Options(games=("pong",), arms=("base", "full"), resamples=50)
    words = words_of(figures.draw("curves", noisy_data, chosen).figure)
    assert {"Pong", "base", "full"} <= set(words)
    assert not {"Assault", "base+ratio"} & set(words)


def test_one_game_has_no_panel_for_the_mean(noisy_data, named):
    one_game = Options(games=("Pong",), resamples=50)
    assert len(named(figures.draw("interference", noisy_data, one_game).figure, "tile")) == 6


def test_curves_end_where_the_arms_are_compared(noisy_data):
    numbers = figures.draw("curves", noisy_data, Options(at=200_000)).numbers
    assert numbers["env_frames"].max() == 200_000


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (Options(games=("Pongg",)), "'Pongg'.*'Pong'"),
        (Options(arms=("base+rati",)), "base\\+ratio"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(options, text, noisy_data):
    for kind in figures.KINDS:
        with pytest.raises(UnknownName, match=text):
            figures.draw(kind, noisy_data, options)


@pytest.mark.parametrize(("runs", "narrow"), [(1, False), (2, True), (5, True), (10, False)])
def test_aggregates_of_few_runs_warn_that_their_bars_are_too_narrow(
    runs, narrow, make_data, make_study, additive_score, words_of, cut_words_of
):
    score = additive_score({"augmentation": 0.2, "ratio": 0.5}, noise=0.2)
    data = make_data(make_study(seeds=tuple(range(runs))), score, points=1)
    drawn = figures.draw("aggregates", data, QUICK)
    words = " ".join(words_of(drawn.figure))
    assert ("few runs: these intervals are too narrow" in words) == narrow
    assert ("with few runs they are too narrow" in drawn.caption) == narrow
    assert ("no test of a difference" in drawn.caption) == narrow
    assert cut_words_of(drawn.figure) == []


def test_one_game_is_no_plural(noisy_data):
    caption = figures.draw(
        "aggregates", noisy_data, Options(games=("Pong",), resamples=50)
    ).caption
    assert "over 1 game (Pong)" in caption


def test_an_unknown_kind_is_refused_with_the_nearest(noisy_data):
    with pytest.raises(UnknownName, match="interference"):
        figures.draw("interferences", noisy_data, QUICK)


def test_cut_episodes_are_told(make_data, make_study, additive_score):
    score = additive_score({"augmentation": 0.2, "ratio": 0.5})
    data = make_data(make_study(), score, truncated=True)
    assert "288 of 288 test episodes were cut" in figures.draw("curves", data, QUICK).caption


def test_a_study_with_one_evaluation_per_run_is_drawn(make_data, make_study, additive_score):
    data = make_data(make_study(), additive_score({"augmentation": 0.2, "ratio": 0.5}), points=1)
    data = dataclasses.replace(data, curves={})
    drawn = figures.draw("curves", data, QUICK)
    assert set(drawn.numbers["series"]) == {"evaluation"}


def test_mean_effects_in_the_numbers_are_finite(noisy_data):
    numbers = figures.draw("effects", noisy_data, QUICK).numbers
    assert all(math.isfinite(value) for value in numbers["value"])
    assert isinstance(numbers, pd.DataFrame)


WITHOUT_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("torch is not here")
sys.meta_path.insert(0, NoTorch())
import results.figures, results.report
unwanted = "agents", "ablate", "torch", "seaborn", "matplotlib.pyplot"
print([name for name in unwanted if name in sys.modules])
"""


def test_figures_and_report_import_without_torch_and_without_pyplot():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture
def ladder_data(noisy_data):
    """The study, its agents with a ratio of 16, or of 4 where that toggle is on."""
    arms = [
        dataclasses.replace(
            arm,
            agent=json.dumps(
                {
                    "config": {"env_frames_per_update": 4 if "ratio" in arm.toggles else 16},
                    "views": sorted(set(arm.toggles) - {"ratio"}),
                }
            ),
        )
        for arm in noisy_data.study.arms
    ]
    study = dataclasses.replace(noisy_data.study, arms=tuple(arms))
    return dataclasses.replace(noisy_data, study=study)


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("kind", figures.KINDS)
def test_figures_fit_the_columns_of_a_paper(kind, columns, ladder_data, cut_words_of):
    drawn = figures.draw(kind, ladder_data, Options(resamples=50, columns=columns))
    assert drawn.figure.get_size_inches()[0] == style.width(columns)
    assert cut_words_of(drawn.figure) == []


def test_a_score_stands_against_the_setting_in_which_arms_differ(ladder_data, noisy_data):
    drawn = figures.draw("setting", ladder_data, QUICK)
    assert set(drawn.numbers["setting"]) == {"config.env_frames_per_update"}
    rows = drawn.numbers.query("scope == 'mean of games'").set_index("arm")
    assert rows["setting_value"].to_dict() == {
        "base": 16,
        "base+augmentation": 16,
        "base+ratio": 4,
        "full": 4,
    }
    assert rows["line"].to_dict()["full"] == rows["line"].to_dict()["base+augmentation"]
    with pytest.raises(StatisticsError, match="differ in none"):
        figures.draw("setting", noisy_data, QUICK)


def test_the_numbers_behind_bands_are_what_is_drawn(noisy_data, named):
    drawn = figures.draw("profiles", noisy_data, QUICK)
    [line] = named(drawn.figure, "line of base")
    mine = drawn.numbers[drawn.numbers["arm"] == "base"]
    assert line.get_ydata().tolist() == mine["share"].tolist()
    drawn = figures.draw("efficiency", noisy_data, QUICK)
    [line] = named(drawn.figure, "line of base")
    mine = drawn.numbers[drawn.numbers["arm"] == "base"]
    assert line.get_ydata().tolist() == mine["mean"].tolist()
    assert line.get_xdata().tolist() == (mine["env_frames"] / 1000).tolist()


def test_the_mean_height_of_curves_is_named_as_such(noisy_data, words_of):
    drawn = figures.draw("improvement", noisy_data, Options(resamples=50, measure="auc"))
    assert "mean height of its evaluation curve" in drawn.caption
    assert any("mean height up to 400,000" in text for text in words_of(drawn.figure))


@pytest.mark.parametrize("kind", sorted(figures.UNREAD))
def test_options_named_as_unread_change_nothing_in_a_figure(kind, make_study, make_data):
    study = make_study(seeds=range(3), designs=("factorial",))
    levels = [dataclasses.replace(a, agent=f'{{"x": {i}}}') for i, a in enumerate(study.arms)]
    study = dataclasses.replace(study, arms=tuple(levels))
    data = make_data(study, lambda on, game, seed: len(on) * (1 + seed) / 5)
    other = {"ci": 0.8, "resamples": 77, "seed": 3, "measure": "auc"}
    one, two = (
        figures.draw(kind, data, Options(**{k: v for k, v in words.items() if k in unread}))
        for words in ({}, other)
        for unread in [figures.UNREAD[kind]]
    )
    assert one.numbers.equals(two.numbers)
    assert one.caption == two.caption
