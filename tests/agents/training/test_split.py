from collections import Counter

import pytest

from agents.config import agent_config
from agents.streams import Streams
from agents.training.split import is_validation


def assigned(n, p, rule, seed=0):
    """Which of n kept episodes validate, one after the other."""
    config = agent_config("micro", validation_fraction=p, validation_rule=rule)
    streams, kinds = Streams(seed), []
    for kept in range(n):
        kinds.append(is_validation(config, streams, kept, sum(kinds)))
    assert not streams.state_dict()  # no running stream moves
    return kinds


@pytest.mark.parametrize("rule", ["random", "deterministic"])
@pytest.mark.parametrize("p", [0.01, 0.15, 0.9])
def test_the_first_episode_always_trains(rule, p):
    assert not any(assigned(1, p, rule, seed)[0] for seed in range(50))


@pytest.mark.parametrize("rule", ["random", "deterministic"])
def test_without_a_split_every_episode_trains(rule):
    assert not any(assigned(200, 0.0, rule))


def test_the_deterministic_rule_by_hand():
    validating = [i for i, kind in enumerate(assigned(30, 0.15, "deterministic")) if kind]
    # fewer than 0.15 (n + 1) so far: the second episode, then 1 < 0.15 x 7, 2 < 0.15 x 14, ...
    assert validating == [1, 6, 13, 20, 26]


@pytest.mark.parametrize("p", [0.05, 0.15, 0.5])
def test_the_deterministic_rule_never_strays_from_the_share_by_an_episode(p):
    kinds = assigned(400, p, "deterministic")
    for n in range(2, 401):
        assert p * n - 1e-9 <= sum(kinds[:n]) < p * n + 1


def test_the_random_rule_draws_with_the_probability():
    n, p = 4_000, 0.15
    share = Counter(assigned(n, p, "random"))[True] / n
    assert abs(share - p) < 3 * (p * (1 - p) / n) ** 0.5


def test_seeds_draw_differently_and_each_the_same_again():
    assert assigned(100, 0.5, "random", 1) == assigned(100, 0.5, "random", 1)
    assert assigned(100, 0.5, "random", 1) != assigned(100, 0.5, "random", 2)
