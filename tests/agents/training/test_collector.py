import math
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from agents.config import agent_config
from agents.dreamer.policy import ActingState
from agents.observation import ATARI
from agents.streams import Streams
from agents.training.acting import AtOnce
from agents.training.checkpoint import CheckpointError
from agents.training.collector import Collector, mean_discounted_return
from agents.training.environments import Step
from agents.training.replay import Replay


class Beside(AtOnce):
    """Says whether what is asked for goes to the queue of acting."""

    def __init__(self):
        self.open = False

    @contextmanager
    def queue(self):
        self.open = True
        yield
        self.open = False


class ScriptedGame:
    """Episodes of 6 steps; row t of episode k shows 10 k + t and pays t. Odd ones are cut."""

    def __init__(self):
        self.count, self.actions, self.observation = 1, 5, ATARI
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

    def close(self):
        pass


@pytest.fixture
def game():
    return ScriptedGame()


@pytest.fixture
def replay():
    return Replay(600, ATARI, agent_config("micro", length=4), Streams(0))


@pytest.fixture
def collector(make_agent, replay, game):
    agent = make_agent(seed=2)
    return Collector(agent, replay, game, agent.streams)


def test_rows_are_stored_as_they_arrived_with_the_action_that_led_there(collector, replay, game):
    ended = [collector.random_step() for _ in range(14)]
    assert [i for i, result in enumerate(ended) if result] == [5, 11]
    assert replay.episodes == 2
    assert replay.observation[:17, 0].tolist() == [*range(7), *range(10, 17), 20, 21, 22]
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
    expected = mean_discounted_return([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0.999)
    assert [result.discounted_return for result in ended] == [expected] * 2


def test_the_mean_discounted_return_by_hand():
    tanh = math.tanh
    steps = [tanh(2) + 0.5 * tanh(-1) + 0.25 * tanh(3), tanh(-1) + 0.5 * tanh(3), tanh(3)]
    assert mean_discounted_return([2.0, -1.0, 3.0], 0.5) == pytest.approx(sum(steps) / 3)


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

    def act(observation, is_first, state, *, stream, argmax=False, explore_at=None, by=None):
        calls.append(
            (int(observation[0, 0, 0, 0]), float(is_first), int(state.action), stream, argmax)
        )
        return ActingState(state.latent, torch.tensor([len(calls) % 5]))

    monkeypatch.setattr(collector.agent, "act", act)
    for _ in range(9):
        collector.behaviour_step(40)
    images, firsts, previous, streams, modes = zip(*calls, strict=True)
    assert images == (0, 1, 2, 3, 4, 5, 10, 11, 12)
    assert firsts == (1, 0, 0, 0, 0, 0, 1, 0, 0)
    assert previous == (0, 1, 2, 3, 4, 0, 0, 2, 3)  # a new episode starts afresh
    assert set(streams) == {"acting"}
    assert set(modes) == {False}  # training explores by sampling
    assert game.received == [1, 2, 3, 4, 0, 1, 2, 3, 4]


def test_the_state_that_the_agent_returned_is_the_one_it_gets_back(collector, monkeypatch):
    given, act = [], collector.agent.act

    def spy(observation, is_first, state, **how):
        given.append(state)
        given.append(act(observation, is_first, state, **how))
        return given[-1]

    monkeypatch.setattr(collector.agent, "act", spy)
    for _ in range(4):
        collector.behaviour_step(40)
    for returned, received in zip(given[1::2], given[2::2], strict=False):
        assert received is returned


def test_the_behaviour_starts_afresh_when_it_takes_over_in_mid_episode(collector, monkeypatch):
    for _ in range(3):
        collector.random_step()
    calls, act = [], collector.agent.act

    def spy(observation, is_first, state, **how):
        calls.append((int(observation[0, 0, 0, 0]), float(is_first)))
        return act(observation, is_first, state, **how)

    monkeypatch.setattr(collector.agent, "act", spy)
    collector.behaviour_step(40)
    collector.behaviour_step(40)
    assert calls == [(3, 1.0), (4, 0.0)]


def test_a_restored_collector_plays_its_episode_on(make_agent, game, replay):
    agent = make_agent(seed=2)
    collector = Collector(agent, replay, game, agent.streams)
    for _ in range(9):
        collector.behaviour_step(40)
    saved = collector.state_dict(), replay.state_dict(), agent.state_dict()
    ended = [result for result in (collector.behaviour_step(40) for _ in range(9)) if result]

    again, fresh_game = make_agent(seed=2), ScriptedGame()
    fresh_replay = Replay(600, ATARI, agent_config("micro", length=4), Streams(0))
    fresh = Collector(again, fresh_replay, fresh_game, again.streams)
    state, rows, agent_state = saved
    again.load_state_dict(agent_state)
    fresh_replay.load_state_dict(rows)
    fresh.load_state_dict(state)
    assert [result for result in (fresh.behaviour_step(40) for _ in range(9)) if result] == ended
    assert fresh_game.seeds[1:] == game.seeds[1:]
    assert torch.equal(fresh_replay.action[:21], replay.action[:21])
    assert torch.equal(fresh_replay.observation[:21], replay.observation[:21])


def test_an_environment_that_does_not_come_back_is_refused(collector, replay, game):
    for _ in range(4):
        collector.random_step()
    state = collector.state_dict()
    game.picture = lambda: np.full((1, 1, 64, 64), 7, np.uint8)
    with pytest.raises(CheckpointError, match="does not come back"):
        collector.load_state_dict(state)


def test_the_wraps_around_acting_are_told_where_in_the_run_they_are(collector, monkeypatch):
    told, act = [], collector.agent.act
    monkeypatch.setattr(
        collector.agent, "act", lambda *a, **how: told.append(how["explore_at"]) or act(*a, **how)
    )
    for env_frames in (40, 44):
        collector.behaviour_step(env_frames)
    assert told == [40, 44]


def test_a_collector_that_forgets_goes_on_from_the_zero_state(collector, monkeypatch):
    for _ in range(3):
        collector.behaviour_step(40)
    collector.forget()
    calls, act = [], collector.agent.act

    def spy(observation, is_first, state, **how):
        calls.append(
            (int(observation[0, 0, 0, 0]), float(is_first), float(state.latent.deter.sum()))
        )
        return act(observation, is_first, state, **how)

    monkeypatch.setattr(collector.agent, "act", spy)
    collector.behaviour_step(40)
    assert calls == [(3, 1.0, 0.0)]


def test_all_that_acting_reads_is_made_in_its_own_queue(make_agent, replay, game, monkeypatch):
    agent, acting, seen = make_agent(seed=2), Beside(), []
    for name in ("begin", "act"):
        made = getattr(agent, name)
        monkeypatch.setattr(
            agent, name, lambda *a, _made=made, **k: seen.append(acting.open) or _made(*a, **k)
        )
    collector = Collector(agent, replay, game, agent.streams, acting)
    for _ in range(7):
        collector.behaviour_step(0)  # the sixth ends an episode
    collector.forget()
    assert seen == [True] * 10
