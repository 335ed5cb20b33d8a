import pytest

from results.database.records import NormalizationRow
from results.statistics.errors import StatisticsError, UnknownGame, UnknownName
from results.statistics.game_sets import ATARI_57, ATARI_100K
from results.statistics.normalize import game_key, normalization, study_normalization


def test_the_table_holds_57_games_and_every_human_is_better_than_random():
    rows = normalization("wang2016").references.values()
    assert len(rows) == 57
    assert all(row.human > row.random for row in rows)
    assert all("1511.06581" in row.source for row in rows)


@pytest.mark.parametrize(
    ("game", "random", "human"),
    [
        ("Assault", 222.4, 742.0),
        ("CrazyClimber", 10780.5, 35829.4),
        ("Pong", -20.7, 14.6),
        ("MsPacman", 307.3, 6951.6),
        ("Jamesbond", 29.0, 302.8),  # (7, 29) in one widely used file
        ("Alien", 227.8, 7127.7),
        ("VideoPinball", 16256.9, 17667.9),  # random 0 in some files; the paper has this
        ("Skiing", -17098.1, -4336.9),
    ],
)
def test_references_are_those_of_the_paper(game, random, human):
    row = normalization("wang2016").reference(game)
    assert (row.random, row.human) == (random, human)


def test_the_table_is_as_it_was_when_it_was_compared_with_its_sources():
    rows = normalization("wang2016").references.values()
    assert sum(row.random for row in rows) == pytest.approx(50_864.9)
    assert sum(row.human for row in rows) == pytest.approx(606_494.2)


def test_every_game_of_atari_100k_is_in_the_table():
    assert len(ATARI_100K) == 26
    assert all(game in normalization() for game in ATARI_100K)


def test_the_57_games_are_those_of_the_table():
    assert len(ATARI_57) == 57
    assert set(map(game_key, ATARI_57)) == set(normalization("wang2016").references)


def test_the_humans_of_the_nature_paper_are_others_in_18_of_the_26_games():
    wang, nature = normalization("wang2016"), normalization("nature2015")
    assert len(nature.references) == 49
    other = [
        game
        for game in ATARI_100K
        if abs(wang.reference(game).human - nature.reference(game).human) > 0.5
    ]
    assert len(other) == 18
    assert nature.reference("Assault").human == 1496.4
    assert sum(row.human for row in nature.references.values()) == pytest.approx(438_092.0)


def test_the_random_players_of_the_nature_paper_are_those_of_wang2016():
    wang = normalization("wang2016")
    for key, row in normalization("nature2015").references.items():
        assert row.random == wang.references[key].random


def test_the_dreamerv2_file_differs_in_two_rows():
    wang, file = normalization("wang2016"), normalization("dreamerv2-file")
    other = {
        row.game: (row.random, row.human)
        for key, row in file.references.items()
        if (row.random, row.human) != (wang.references[key].random, wang.references[key].human)
    }
    assert other == {"Alien": (228.8, 7127.7), "Jamesbond": (7.0, 29.0)}
    assert file.references.keys() == wang.references.keys()


def test_a_table_of_ones_own_is_known_by_its_name_and_its_content(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("game,random,human\nALE/Pong-v5,-21,21\n")
    table = normalization(str(path))
    assert table.score("Pong", 0) == 0.5
    assert table.id.startswith("mine@")
    assert study_normalization(str(path), ("Pong",), {}).id == table.id
    path.write_text("game,random,human\nPong,-21,20\n")
    assert normalization(str(path)).id != table.id


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("game,human\nPong,1\n", "no column random"),
        ("game,random,human\nPong,x,1\n", "line 2: random and human of 'Pong' are no numbers"),
        ("game,random,human\nPong,1,1\n", "make no scale"),
        ("game,random,human\nPong,nan,1\n", "make no scale"),
        ("game,random,human\nPong,20,-21\n", "the human must have the higher return"),
        ("game,random,human\nPong,0,1\nALE/Pong-v5,0,1\n", "line 3: 'ALE/Pong-v5' .* twice"),
        (None, "cannot be read"),
    ],
)
def test_a_table_of_ones_own_that_is_none_is_refused(tmp_path, content, message):
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StatisticsError, match=message):
        normalization(str(path))


@pytest.mark.parametrize(
    "spelling",
    [
        "jamesbond",
        "Jamesbond",
        "james_bond",
        "James Bond",
        "ALE/Jamesbond-v5",
        "JamesbondNoFrameskip-v4",
        "atari_james_bond",
        "atari100k_jamesbond",
        "atari200m_james_bond",
        "atari-jamesbond",
        " JAMESBOND ",
    ],
)
def test_every_spelling_of_a_game_is_one_game(spelling):
    assert game_key(spelling) == "jamesbond"
    assert normalization().reference(spelling).game == "Jamesbond"


def test_a_game_that_starts_like_a_prefix_keeps_its_name():
    assert game_key("atlantis") == "atlantis"
    assert game_key("Q*bert") == "qbert"


def test_no_two_games_share_a_key():
    table = normalization()
    assert {game_key(row.game) for row in table.references.values()} == set(table.references)


def test_the_random_player_scores_0_the_human_1_and_nothing_is_clipped():
    table = normalization()
    assert table.score("Pong", -20.7) == 0
    assert table.score("Pong", 14.6) == 1
    assert table.score("Assault", 742.0 + 519.6) == pytest.approx(2)
    assert table.score("Assault", 0) == pytest.approx(-222.4 / 519.6)


def test_an_unknown_game_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownGame, match=r"'Pongg' .*'wang2016'.* did you mean 'Pong'"):
        normalization().reference("Pongg")


def test_a_game_like_no_other_is_not_taken_for_a_misspelling():
    with pytest.raises(UnknownGame, match=r"'wang2016', which has no such game\. Raw") as refused:
        normalization().reference("Pooyan")
    assert "did you mean" not in str(refused.value)


def test_an_unknown_table_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match="did you mean 'wang2016'"):
        normalization("wang2015")


CATCH = NormalizationRow("Catch", -0.6, 1.0)


def test_a_game_that_no_table_holds_is_scored_by_what_it_declares():
    table = study_normalization("wang2016", ("Catch",), {"Catch": CATCH})
    assert table.score("Catch", -0.6) == 0
    assert table.score("Catch", 1.0) == 1
    assert (table.id, table.reference("Catch").source) == ("declared", "declared")


def test_a_table_beside_declared_returns_names_whose_they_are():
    table = study_normalization("wang2016", ("Pong", "Catch"), {"Catch": CATCH})
    assert table.id == "wang2016, declared for Catch"
    assert table.table == "wang2016"
    assert table.score("Pong", 14.6) == 1


def test_what_is_not_compared_leaves_the_table_as_it_is():
    assert study_normalization("wang2016", ("Pong",), {"Catch": CATCH}) == normalization()


def test_a_game_of_the_table_is_never_scored_by_declared_returns():
    pong = {"Pong": NormalizationRow("Pong", 0.0, 1.0)}
    table = study_normalization("wang2016", ("Pong",), pong)
    assert table.score("Pong", 14.6) == 1
    assert table.id == "wang2016"


def test_one_version_of_a_task_does_not_speak_for_another():
    declared = {"gymnasium:A-v0": NormalizationRow("gymnasium:A-v0", 0.0, 1.0)}
    games = ("gymnasium:A-v0", "gymnasium:A-v1")
    table = study_normalization("wang2016", games, declared)
    assert [game in table for game in games] == [True, False]
