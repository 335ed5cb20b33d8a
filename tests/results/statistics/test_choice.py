import pytest

from results.statistics.choice import chosen_arms, chosen_games
from results.statistics.errors import StatisticsError
from results.statistics.game_sets import ATARI_100K


def test_two_versions_of_a_task_are_two_games():
    known = ("gymnasium:A-v0", "gymnasium:A-v1")
    assert chosen_games(("gymnasium:A-v0",), known) == ("gymnasium:A-v0",)
    assert chosen_games(("gymnasium:A-v1",), known) == ("gymnasium:A-v1",)


def test_games_are_named_one_by_one_or_in_a_row_or_by_their_set():
    known = ("james_bond", "Pong", "a,b", *ATARI_100K[:15])
    assert chosen_games(("Jamesbond,pong",), known) == ("james_bond", "Pong")
    assert chosen_games(("a,b", "Pong"), known) == ("a,b", "Pong")
    assert len(chosen_games(("atari100k",), known, partial=True)) == 17
    assert chosen_games(("atari100k",), ATARI_100K[::-1]) == ATARI_100K
    with pytest.raises(StatisticsError, match=r"has 17 of the 26 games of atari100k.* Kangaroo"):
        chosen_games(("atari100k",), known)
    with pytest.raises(StatisticsError, match="named twice"):
        chosen_games(("Pong,ALE/Pong-v5",), known)


def test_arms_are_named_one_by_one_or_in_a_row():
    known = ("base", "base+a", "x, y")
    assert chosen_arms(("base+a,base",), known) == ("base+a", "base")
    assert chosen_arms(("x, y",), known) == ("x, y",)
    with pytest.raises(StatisticsError, match="named twice"):
        chosen_arms(("base,base",), known)
