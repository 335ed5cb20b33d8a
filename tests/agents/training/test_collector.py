import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from agents.dreamer.agent import ActingState
from agents.streams import Streams
from agents.training.collector import Collector
from agents.training.environments import AtariEnvironments, Step
from agents.training.replay import Replay


class ScriptedGame(AtariEnvironments):
    """Episodes of 6 steps; row t of episode k shows 10 k + t and pays t. Odd ones are cut."""

    def __init__(self):
        self.count, self.actions = 1, 5
        self.seeds, self.received = [], []
        self._t = 0

    def picture(self):
        return np.full((1, 1, 64, 64), (10 * (len(self.seeds) - 1) + self._t) % 250, np.uint8)

    def reset(self, seeds):
        assert list(seeds) == [0]
        self.seeds.append(seeds[0])
        self._t = 0
        return self.picture()

    def step(self, actions):
        self._t += 1
        self.received.append(int(actions[0]))
        ended, odd = self._t == 6, len(self.seeds) % 2 == 0
        flags = np.array([ended and not odd]), np.array([ended and odd])
        return Step(self.picture(), np.array([self._t], np.float32), *flags)


@pytest.fixture
def game():
    return ScriptedGame()


@pytest.fixture
def replay():
    return Replay(600, 4)


@pytest.fixture
def collector(make_agent, replay, game):
    agent = make_agent(seed=2)
    return Collector(agent, replay, game, agent.streams)


def test_rows_are_stored_as_they_arrived_with_the_action_that_led_there(collector, replay, game):
    ended = [collector.random_step() for _ in range(14)]
    assert [i for i, result in enumerate(ended) if result] == [5, 11]
    assert replay.episodes == 2
    assert replay.image[:17, 0].tolist() == [*range(7), *range(10, 17), 20, 21, 22]
    assert replay.reward[:14].tolist() == [0, 1, 2, 3, 4, 5, 6] * 2
    received = game.received
    assert replay.action[:14].tolist() == [0, *received[:6], 0, *received[6:12]]
    # the first episode ends for good, the second by the time limit
    assert replay.is_terminal[:14].nonzero().flatten().tolist() == [6]


def test_an_ended_episode_is_summed_up(collector):
    ended = [result for result in (collector.random_step() for _ in range(12)) if result]
    assert [result.episode_return for result in ended] == [21, 21]
    assert [result.length for result in ended] == [6, 6]
    assert [result.truncated for result in ended] == [False, True]


def test_episode_k_is_seeded_by_the_run_and_k(collector, game):
    for _ in range(13):
        collector.random_step()
    assert game.seeds == [Streams(2).integer("environment", k) for k in range(3)]


def test_random_actions_have_equal_chances_and_a_stream_of_their_own(collector, game):
    for _ in range(600):
        collector.random_step()
    assert chisquare(np.bincount(game.received, minlength=5)).pvalue > 0.01
    assert set(collector.streams.state_dict()) == {"prefill"}


def test_the_agent_sees_the_newest_image_and_what_it_did(collector, game, monkeypatch):
    calls = []

    def act(image, is_first, state, *, stream, argmax=False):
        calls.append((int(image[0, 0, 0, 0]), float(is_first), int(state.action), stream, argmax))
        return ActingState(state.latent, torch.tensor([len(calls) % 5]))

    monkeypatch.setattr(collector.agent, "act", act)
    for _ in range(9):
        collector.behaviour_step()
    images, firsts, previous, streams, modes = zip(*calls, strict=True)
    assert images == (0, 1, 2, 3, 4, 5, 10, 11, 12)
    assert firsts == (1, 0, 0, 0, 0, 0, 1, 0, 0)
    assert previous == (0, 1, 2, 3, 4, 0, 0, 2, 3)  # a new episode starts afresh
    assert set(streams) == {"acting"}
    assert set(modes) == {False}  # training explores by sampling
    assert game.received == [1, 2, 3, 4, 0, 1, 2, 3, 4]


def test_the_state_that_the_agent_returned_is_the_one_it_gets_back(collector, monkeypatch):
    given, act = [], collector.agent.act

    def spy(image, is_first, state, *, stream, argmax=False):
        given.append(state)
        given.append(act(image, is_first, state, stream=stream, argmax=argmax))
        return given[-1]

    monkeypatch.setattr(collector.agent, "act", spy)
    for _ in range(4):
        collector.behaviour_step()
    for returned, received in zip(given[1::2], given[2::2], strict=False):
        assert received is returned


def test_the_behaviour_starts_afresh_when_it_takes_over_in_mid_episode(collector, monkeypatch):
    for _ in range(3):
        collector.random_step()
    calls, act = [], collector.agent.act

    def spy(image, is_first, state, *, stream, argmax=False):
        calls.append((int(image[0, 0, 0, 0]), float(is_first)))
        return act(image, is_first, state, stream=stream, argmax=argmax)

    monkeypatch.setattr(collector.agent, "act", spy)
    collector.behaviour_step()
    collector.behaviour_step()
    assert calls == [(3, 1.0), (4, 0.0)]
