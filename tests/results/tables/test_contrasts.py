import dataclasses

import numpy as np
import pytest

from results.statistics.errors import StatisticsError
from results.statistics.options import Options
from results.tables import build

TWO = {"a": ("on",), "b": ("on",)}
THREE = TWO | {"c": ("on",)}
GAMES = ("Assault", "Pong")


def texts(table):
    return [[entry.text for entry in row] for row in table.layout.rows]


def jitter(seed):
    return 0.01 * (seed - 1)


@pytest.fixture
def data(make_study, make_data):
    """A synergy of .4 between a (.3) and b (.2)."""

    def score(on, game, seed):
        return 0.1 + 0.3 * ("a" in on) + 0.2 * ("b" in on) + 0.4 * (len(on) == 2) + jitter(seed)

    return make_data(make_study(TWO), score)


def test_effects_come_first_on_the_mean_then_per_game(data):
    table = build("effects", data, Options())
    assert [row[:2] for row in texts(table)[:3]] == [
        ["mean of games", "a"],
        ["mean of games", "b"],
        ["Pong", "a"],
    ]
    assert table.layout.blocks == (2, 4, 6)


def test_add_one_in_and_leave_one_out_stand_side_by_side(data):
    first = texts(build("effects", data, Options()))[0]
    assert first[2].startswith("0.300 ± 0.02")
    assert first[4].startswith("0.700 ± 0.02")
    assert first[3] == first[5] == "0.031"  # 3.76 x .01 sqrt(2 / 3)


def test_interactions_carry_their_label_and_both_intervals(data):
    rows = texts(build("interactions", data, Options()))
    assert [row[0] for row in rows] == ["mean of games", "Pong", "CrazyClimber", "Assault"]
    row = rows[0]
    assert row[:3] == ["mean of games", "a × b", "base = full"]
    assert row[3].startswith("0.400 ± 0.02")
    assert row[4].startswith("[0.37")
    assert row[7] == "synergy"


def test_both_backgrounds_are_shown_where_they_are_different_cells(make_study, make_data):
    study = make_study({**TWO, "c": ("on",)}, designs=("factorial",))
    table = build("interactions", make_data(study, lambda on, g, s: 0.1 + jitter(s)), Options())
    assert [row[1:3] for row in texts(table)[:4]] == [
        ["a × b", "base"],
        ["a × b", "full"],
        ["a × b", "averaged"],
        ["a × c", "base"],
    ]
    assert "over the 6 interactions of the mean over games" in table.caption


def test_what_cannot_be_estimated_is_a_dash_with_the_reason(make_study, make_data):
    study = make_study({**TWO, "c": ("on",), "d": ("on",)})
    table = build("interactions", make_data(study, lambda on, g, s: jitter(s)), Options())
    row = texts(table)[0]
    assert row[3:8] == ["-", "-", "-", "-", "-"]
    assert row[-1].startswith("not in the study: [a + b]")


def test_one_seed_says_so_in_the_caption_and_in_every_row(one_seed_data):
    for kind in ("effects", "interactions"):
        table = build(kind, one_seed_data, Options())
        assert "One seed: no interval." in table.caption
        assert "80% power" not in table.caption
        assert all("one seed: no interval" in row[-1] for row in texts(table))


def test_floors_and_crossovers_are_noted(make_study, make_data):
    f = {"": 0.04, "a": 0.44, "b": 0.7, "ab": 0.5}
    data = make_data(make_study(TWO), lambda on, g, s: f["".join(sorted(on))] + jitter(s))
    row = texts(build("interactions", data, Options()))[0]
    assert row[-1] == "crossover: a; floor: Pong, CrazyClimber, Assault"
    assert row[7] == "interference"


def test_uneven_cells_are_noted(make_study, make_data):
    data = make_data(
        make_study(TWO), lambda on, g, s: 0.1 + jitter(s), missing=[("base", "Pong", 0)]
    )
    rows = texts(build("effects", data, Options(partial=True)))
    assert rows[0][-1].endswith("; 2 to 3 runs per cell")


def test_a_study_without_toggles_or_pairs_has_no_such_table(make_study, make_data):
    alone = make_data(make_study({}, designs=("base",)), lambda *_: 0.5)
    with pytest.raises(StatisticsError, match="no toggle"):
        build("effects", alone, Options())
    one = make_data(make_study({"a": ("on",)}), lambda *_: 0.5)
    with pytest.raises(StatisticsError, match="fewer than two toggles"):
        build("interactions", one, Options())


def test_the_caption_explains_the_numbers(data):
    caption = build("effects", data, Options(ci=0.9)).caption
    for words in (
        "90% t-interval with the variance pooled",
        "80% power",
        "Add-one-in",
        "Leave-one-out",
        "at most 0.05",
        "one value per seed, over Pong, CrazyClimber, Assault",
    ):
        assert words in caption


SIX = dict.fromkeys("abcdef", ("on",))


def noise(on, game, seed, size=0.05):
    key = [seed, *"|".join([game, *sorted(on)]).encode()]
    return size * float(np.random.default_rng(key).standard_normal())


def planted(on, game, seed):
    both = 0.6 * ("a" in on and "b" in on)
    return 0.2 + 0.3 * ("a" in on) + 0.2 * ("b" in on) + both + noise(on, game, seed)


def test_a_fraction_shows_averages_and_no_column_of_what_it_has_not(make_study, make_data):
    data = make_data(make_study(SIX, designs=("fractional",)), planted)
    table = build("effects", data, Options())
    assert table.layout.header == ("score", "toggle", "averaged", "detectable", "notes")
    rows = {tuple(row[:2]): row for row in texts(table)}
    value = float(rows["mean of games", "a"][2].split(" ")[0])
    assert value == pytest.approx(0.6, abs=0.02)  # .3 alone, .9 with b
    assert "over 32 cells of the design fractional" in table.caption
    pairs = build("interactions", data, Options())
    assert {row[2] for row in texts(pairs)} == {"averaged"}
    assert texts(pairs)[0][1] == "a × b"
    assert texts(pairs)[0][7] == "synergy"
    assert "the 15 averaged interactions of the mean over games" in pairs.caption


def test_a_factorial_shows_every_estimand_and_the_higher_terms(make_study, make_data):
    data = make_data(make_study(dict.fromkeys("abc", ("on",)), designs=("factorial",)), planted)
    header = build("effects", data, Options()).layout.header
    assert header[2::2] == ("add-one-in", "leave-one-out", "averaged", "Shapley")
    table = build("interactions", data, Options())
    mean = [row for row in texts(table) if row[0] == "mean of games"]
    assert [row[2] for row in mean[:3]] == ["base", "full", "averaged"]
    assert mean[-1][1] == "a × b × c"
    assert mean[-1][4:6] == ["-", "-"]
    assert "what they do beyond all that their parts do" in table.caption
    assert "over the 6 interactions of the mean over games and, apart, the 3 averaged" in (
        table.caption
    )
    assert "F test" in build("effects", data, Options()).caption


def test_a_screen_says_what_its_averages_are_mixed_with(make_study, make_data):
    data = make_data(make_study(SIX, designs=("plackett_burman",)), planted)
    assert "each is mixed with interactions of pairs" in build("effects", data, Options()).caption
    row = texts(build("interactions", data, Options()))[0]
    assert row[3:8] == ["-", "-", "-", "-", "-"]


def test_cells_that_are_no_agents_are_not_defined(make_study, make_data):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("pairs_in",))
    without = dataclasses.replace(
        study, arms=tuple(arm for arm in study.arms if set(arm.toggles) != {"a", "b"})
    )
    rows = texts(build("interactions", make_data(without, planted), Options()))
    first = next(row for row in rows if row[:3] == ["mean of games", "a × b", "base"])
    assert first[3] == "-"
    assert first[-1] == "not defined: [a + b]"
    other = next(row for row in rows if row[:3] == ["mean of games", "a × c", "base"])
    assert other[3] != "-"


def test_of_one_game_the_mean_is_shown_once_under_its_name(make_study, make_data):
    for kind in ("effects", "interactions"):
        one = build(kind, make_data(make_study(THREE, games=("Assault",)), planted), Options())
        assert {row[0] for row in texts(one)} == {"Assault"}
        assert "mean of games" not in one.caption.lower()
        assert "mean over games" not in one.caption
        both = build(kind, make_data(make_study(THREE, games=GAMES), planted), Options())
        assert next(row[0] for row in texts(both)) == "mean of games"
        assert "The mean of games is one value per seed" in both.caption
        if kind == "interactions":
            alone = [row[1] for row in texts(one)]
            assert alone == [row[1] for row in texts(both) if row[0] == "mean of games"]


def test_arms_with_more_updates_are_shown_at_equal_updates_too(make_study, make_data):
    data = make_data(make_study(TWO, games=GAMES), planted)
    twice = [200 if arm in ("base+b", "full") else 100 for arm in data.runs["arm"]]
    uneven = dataclasses.replace(data, runs=data.runs.assign(updates=twice))
    for kind in ("effects", "interactions"):
        table = build(kind, uneven, Options())
        scopes = list(dict.fromkeys(row[0] for row in texts(table)))
        assert scopes == ["mean of games", "mean at equal updates", "Assault", "Pong"]
        assert "had made 100 updates" in table.caption
        assert "mean at equal updates" in set(table.frame["scope"])
        assert "equal updates" not in build(kind, data, Options()).caption
    rows = {tuple(row[:2]): row for row in texts(build("effects", uneven, Options()))}
    assert rows["mean of games", "a"][2] == rows["mean at equal updates", "a"][2]
    assert rows["mean of games", "b"][2] != rows["mean at equal updates", "b"][2]


def test_a_mean_at_equal_updates_over_fewer_games_says_so(make_study, make_data):
    data = make_data(make_study(TWO, games=GAMES), planted)
    twice = [200 if arm in ("base+b", "full") else 100 for arm in data.runs["arm"]]
    late = (data.evaluations["game"] == "Pong") & (data.evaluations["env_frames"] < 400_000)
    uneven = dataclasses.replace(
        data,
        runs=data.runs.assign(updates=twice),
        evaluations=data.evaluations[~late],  # Pong was evaluated at its end alone
    )
    for kind in ("effects", "interactions"):
        table = build(kind, uneven, Options())
        rows = [row for row in texts(table) if row[0] == "mean at equal updates"]
        assert all("over Assault only" in row[-1] for row in rows)
        assert "There 6 of 24 runs have no evaluation near enough, and the mean is over" in (
            table.caption
        )
        others = [row for row in texts(table) if row[0] != "mean at equal updates"]
        assert not any("only" in row[-1] for row in others)


def test_pairing_is_shown_only_where_it_helps_and_rho_always(make_study, make_data):
    study = make_study(TWO, seeds=range(6))
    apart = build("effects", make_data(study, planted), Options())
    assert "not enough for pairing them to help" in apart.caption
    assert not any("paired" in name for name in apart.layout.header)
    together = make_data(study, lambda on, g, s: planted(on, g, s) + 0.5 * s)
    table = build("effects", together, Options())
    assert "rho = 1.00" in table.caption
    assert table.layout.header[-3:-1] == ("add-one-in, paired", "leave-one-out, paired")
    row = texts(table)[0]
    pooled, paired = (float(row[i].split("± ")[1]) for i in (2, -3))
    assert paired < pooled / 5
    assert build("interactions", together, Options()).layout.header[-2] == "paired"


def test_the_sign_on_other_scales_is_noted_where_the_score_has_one(make_study, make_data):
    def multiplied(on, game, seed):
        return 0.3 * (1, 3, 7)[len(on)] + noise(on, game, seed, 0.01)

    data = make_data(make_study(TWO, games=("Assault",)), multiplied)
    row = texts(build("interactions", data, Options()))[0]
    assert row[7] == "synergy"
    assert "sign turns on log" in row[-1]


def test_a_ceiling_is_noted(make_study, make_data):
    data = make_data(
        make_study(TWO, games=("Pong",)),
        lambda on, g, s: min(1.18, 0.5 + 0.6 * len(on) + jitter(s)),
    )
    assert texts(build("effects", data, Options()))[0][-1].endswith("ceiling: Pong")
    assert texts(build("interactions", data, Options()))[0][-1].endswith("ceiling: Pong")


def test_the_caption_tells_how_often_nothing_is_found_to_be_something(make_study, make_data):
    study = make_study(dict.fromkeys("abc", ("on",)), designs=("factorial",), seeds=range(4))
    caption = build("interactions", make_data(study, planted), Options()).caption
    assert "A/A: with the runs dealt anew to the cells 2,000 times" in caption
    assert "at most 5% is promised" in caption
    assert "of 48 splits" in caption  # 8 arms, 4 choose 2


def test_at_most_twelve_higher_terms_are_shown_and_all_are_in_the_numbers(make_study, make_data):
    study = make_study(dict.fromkeys("abcde", ("on",)), designs=("factorial",), seeds=(0, 1))
    table = build("interactions", make_data(study, planted), Options(games=("Pong",)))
    shown = [row for row in texts(table) if row[1].count("×") > 1]
    assert len(shown) == 12
    assert "the 12 clearest of 16" in table.caption
    assert (table.frame["order"] > 2).sum() == 2 * 16


def test_a_column_that_the_designs_do_not_fill_is_not_shown(make_study, make_data):
    study = make_study(THREE, games=GAMES, designs=("base", "add_one_in"))
    table = build("effects", make_data(study, planted), Options())
    assert "add-one-in" in table.layout.header
    assert "leave-one-out" not in table.layout.header
    assert "Leave-one-out" not in table.caption
    assert not any("not in the study" in row[-1] for row in texts(table))
