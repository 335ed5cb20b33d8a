import math

import pytest

from results.exchange.checking import canonical_game, check, seed_of_name
from results.exchange.record import Draft, Record


def one(**changed):
    values = {"method": "DQN", "game": "pong", "seed": "3", "xs": [4, 8.0], "ys": [1, "2.5"]}
    return Draft("record 7", **(values | changed))


def run(*drafts, frames_per_x=1, other_games=()):
    return check(
        drafts,
        file="a.json",
        frames_per_x=frames_per_x,
        other_games=other_games,
        taken={},
        seed_names={},
    )


def test_a_good_draft_becomes_a_record():
    assert run(one()) == ([Record("DQN", "Pong", 3, (4, 8), (1.0, 2.5))], [])


def test_agent_steps_are_four_frames_each():
    assert run(one(), frames_per_x=4)[0][0].env_frames == (16, 32)


def test_half_a_frame_is_the_nearest_whole_one():
    assert run(one(xs=[3.9, 8.2]))[0][0].env_frames == (4, 8)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"ys": [1.0, math.nan]}, "y number 2 of 2 is nan, no number"),
        ({"ys": [math.inf, 1.0]}, "y number 1 of 2 is inf, no number"),
        ({"ys": [1.0, None]}, "y number 2 of 2 is missing, no number"),
        ({"ys": [1.0, True]}, "y number 2 of 2 is True, no number"),
        ({"ys": 5}, "its ys are no list of numbers"),
        ({"xs": "48"}, "its xs are no list of numbers"),
        ({"xs": [8, 4]}, "its xs are not sorted: number 2 is 4, after 8"),
        ({"xs": [4, 4]}, "its xs are not sorted: number 2 is 4, after 4"),
        ({"xs": [-4, 4]}, "x number 1 is -4, which is no place in a run"),
        ({"xs": [4, 1e30]}, "x number 2 is 1e+30, which is no place in a run"),
        ({"xs": [0], "ys": [1]}, "it ends at x = 0"),
        ({"xs": [], "ys": []}, "it is empty"),
        ({"xs": [4]}, "it has 1 xs and 2 ys"),
        ({"game": "pongg"}, "the game 'pongg' is not known; did you mean 'Pong'?"),
        ({"game": ""}, "it names no game"),
        ({"game": 3}, "it names no game"),
        ({"method": " "}, "it names no method"),
        ({"method": None}, "it names no method"),
        ({"method": "a\nb"}, "the method 'a\\nb' holds characters that cannot be printed"),
        ({"seed": "1.5"}, "the seed '1.5' is no whole number of at least 0"),
        ({"seed": -1}, "the seed -1 is no whole number of at least 0"),
        ({"seed": None}, "the seed None is no whole number of at least 0"),
        ({"seed": "inf"}, "the seed 'inf' is no whole number of at least 0"),
        ({"seed": ""}, "the seed '' is no whole number of at least 0"),
        ({"seed": "NaN"}, "the seed 'NaN' is no whole number of at least 0"),
        ({"seed": "None"}, "the seed 'None' is no whole number of at least 0"),
        ({"ys": ["1_0", 1.0]}, "y number 1 of 2 is '1_0', no number"),
        ({"problem": "it is torn"}, "it is torn"),
    ],
)
def test_a_draft_that_cannot_be_used_says_why(changed, reason):
    records, refused = run(one(**changed))
    assert records == []
    assert [str(bad) for bad in refused] == [f"a.json, record 7: {reason}"]


def test_a_seed_that_is_a_name_has_the_same_number_everywhere():
    (first, second), refused = run(one(seed="indir1_3"), one(seed=" indir1_4 "))
    assert refused == []
    assert first.seed == seed_of_name("indir1_3") == 9_517_813_435
    assert second.seed == seed_of_name("indir1_4") != first.seed
    assert run(one(seed="1_3"))[0][0].seed == seed_of_name("1_3") != 13


def test_two_names_of_seeds_that_share_a_number_are_refused():
    names = {seed_of_name("a"): "b"}
    _, (bad,) = check(
        [one(seed="a")],
        file="a.json",
        frames_per_x=1,
        other_games=(),
        taken={},
        seed_names=names,
    )
    assert bad.reason == "the seeds 'a' and 'b' cannot be told apart"


def test_a_second_curve_of_one_run_is_refused_whatever_its_spelling():
    records, (bad,) = run(one(), one(game="ALE/Pong-v5", seed=3.0))
    assert len(records) == 1
    assert bad.reason == "DQN on Pong, seed 3, was there already (a.json, record 7)"


@pytest.mark.parametrize("sequel", ["Atlantis2", "ALE/Pitfall2-v5", "atari_atlantis2"])
def test_a_sequel_is_not_the_game_that_it_follows(sequel):
    assert canonical_game(sequel) is None


@pytest.mark.parametrize(
    "spelling",
    ["james_bond", "jamesbond", "Jamesbond", "ALE/Jamesbond-v5", "atari_james_bond", "JamesBond"],
)
def test_a_game_has_one_name_in_every_usual_spelling(spelling):
    assert canonical_game(spelling) == "Jamesbond"


def test_a_game_of_another_library_keeps_its_name():
    assert canonical_game("gymnasium:CartPole-v1") == "gymnasium:CartPole-v1"
    assert canonical_game("gymnasium:Cart Pole") is None


def test_a_game_that_nobody_knows_is_taken_only_when_named():
    assert canonical_game("Catch") is None
    assert canonical_game("Catch", ["Catch"]) == "Catch"
