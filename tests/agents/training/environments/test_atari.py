"""The protocol reaches the emulator: behaviour is looked at, not arguments."""

from contextlib import contextmanager

import numpy as np
import pytest

from agents.config import Protocol
from agents.observation import ATARI
from agents.training.environments.atari import AtariEnvironments


@contextmanager
def environments(game, count=1, **protocol):
    opened = AtariEnvironments(game, count, Protocol(**protocol))
    try:
        yield opened
    finally:
        opened.close()


def actions(n, choices, seed=0):
    return np.random.default_rng(seed).integers(choices, size=n)


def play(opened, chosen):
    """Copies of the images, rewards and ends of the first environment while it gets `chosen`."""
    images, rewards, ends = [], [], []
    for action in chosen:
        step = opened.step(np.full(opened.count, action))
        images.append(step.observation[0].copy())
        rewards.append(float(step.reward[0]))
        ends.append((bool(step.terminated[0]), bool(step.truncated[0])))
    return np.stack(images), rewards, ends


def test_observations_are_single_gray_frames_of_64_pixels():
    with environments("Pong", 3) as opened:
        image = opened.reset({0: 1, 1: 2, 2: 3})
        step = opened.step(np.zeros(3, np.int64))
    assert image.shape == step.observation.shape == (3, 1, 64, 64)
    assert image.dtype == step.observation.dtype == np.uint8
    assert step.reward.dtype == np.float32
    assert opened.observation == ATARI
    assert len(np.unique(image)) > 3


def test_the_action_set_is_minimal_unless_the_protocol_says_otherwise():
    for full, count in ((False, 6), (True, 18)):
        with environments("Pong", full_action_space=full) as opened:
            assert opened.actions == count


def test_rewards_are_raw_sums_over_the_skipped_frames():
    # Assault pays 21 points for a hit
    with environments("Assault") as opened:
        opened.reset({0: 0})
        _, rewards, _ = play(opened, actions(400, opened.actions))
    assert set(rewards) - {0.0}
    assert max(rewards) >= 21


def test_nobody_presses_fire_after_a_reset():
    # without FIRE there is no ball in Breakout: nothing moves
    with environments("Breakout", noop_max=1) as opened:
        opened.reset({0: 0})
        still, _, _ = play(opened, [0] * 30)
        fired, _, _ = play(opened, [1] + [0] * 29)
    assert (still[1:] == still[0]).all()
    assert not (fired == still[0]).all()


def test_a_lost_life_ends_nothing():
    # five lives, all thrown away; the first is gone long before the game is over
    with environments("Breakout") as opened:
        opened.reset({0: 0})
        lives, ended = [], []
        for _ in range(400):
            _, _, terminated, truncated, info = opened._environments.step(np.array([1]))
            lives.append(int(info["lives"][0]))
            ended.append(bool(terminated[0] or truncated[0]))
            if ended[-1]:
                break
    assert set(lives) == {5, 4, 3, 2, 1, 0}
    assert ended == [False] * (len(ended) - 1) + [True]


@pytest.mark.parametrize("sticky", [0.0, 0.25])
def test_an_episode_can_be_played_again_from_seed_and_actions(sticky):
    chosen = actions(150, 6)
    with environments("Pong", sticky_actions=sticky) as opened:
        first = opened.reset({0: 5}).copy()
        original, rewards, _ = play(opened, chosen)
        again = opened.reset({0: 5}).copy()  # in mid-episode
        repeated, repeated_rewards, _ = play(opened, chosen)
    with environments("Pong", sticky_actions=sticky) as fresh:
        assert (fresh.reset({0: 5}) == first).all()
        new, _, _ = play(fresh, chosen)
    assert (again == first).all()
    assert (repeated == original).all()
    assert (new == original).all()
    assert repeated_rewards == rewards


def test_sticky_actions_change_what_happens():
    chosen, seen = actions(60, 6), []
    for sticky in (0.0, 0.25):
        with environments("Pong", sticky_actions=sticky) as opened:
            opened.reset({0: 5})
            seen.append(play(opened, chosen)[0])
    assert (seen[0] != seen[1]).any()


def test_sticky_actions_differ_by_seed_and_no_ops_too():
    chosen = actions(60, 6)
    for protocol in ({"sticky_actions": 0.25, "noop_max": 0}, {"noop_max": 30}):
        seen = []
        for seed in range(4):
            with environments("Pong", **protocol) as opened:
                opened.reset({0: seed})
                seen.append(play(opened, chosen)[0])
        assert any((seen[0] != other).any() for other in seen[1:])


@pytest.mark.parametrize("cap", [200, 400])
def test_the_cap_truncates_at_a_quarter_as_many_agent_steps(cap):
    with environments("Pong", max_env_frames_per_episode=cap) as opened:
        for seed in range(2):
            opened.reset({0: seed})
            _, _, ends = play(opened, [0] * (cap // 4))
            assert ends == [(False, False)] * (cap // 4 - 1) + [(False, True)]


def test_the_step_after_an_ended_episodes_reset_is_not_swallowed():
    chosen = actions(20, 6)
    with environments("Pong", max_env_frames_per_episode=200) as opened:
        first = opened.reset({0: 3}).copy()
        original = play(opened, chosen)[0]
        _, _, ends = play(opened, [0] * 30)
        assert ends[-1] == (False, True)
        assert (opened.reset({0: 3}) == first).all()
        assert (play(opened, chosen)[0] == original).all()


def test_resetting_one_environment_leaves_the_others_alone():
    chosen = actions(30, 6)
    sticky = {"sticky_actions": 0.25}
    with environments("Pong", 3, **sticky) as opened, environments("Pong", **sticky) as alone:
        opened.reset({0: 11, 1: 12, 2: 13})
        alone.reset({0: 11})
        before = play(opened, chosen)[0]
        assert (before == play(alone, chosen)[0]).all()
        image = opened.reset({1: 99}).copy()
        assert (image[0] == before[-1]).all()
        following = [opened.step(np.full(3, action)).observation.copy() for action in chosen]
        assert (np.stack(following)[:, 0] == play(alone, chosen)[0]).all()
        # and the one that was reset is where its seed says
        assert (image[1] == alone.reset({0: 99})[0]).all()
        assert (np.stack(following)[:, 1] == play(alone, chosen)[0]).all()


def test_every_environment_gets_the_seed_of_its_own_index():
    chosen, sticky = actions(40, 6), {"sticky_actions": 0.25}
    with environments("Pong", 3, **sticky) as opened, environments("Pong", **sticky) as alone:
        opened.reset({0: 1, 1: 2, 2: 3})
        opened.reset({2: 20, 0: 7})  # in whatever order they are given
        together = np.stack(
            [opened.step(np.full(3, action)).observation.copy() for action in chosen]
        )
        for index, seed in ((0, 7), (2, 20)):
            alone.reset({0: seed})
            assert (together[:, index] == play(alone, chosen)[0]).all()
    assert (together[:, 0] != together[:, 2]).any()


def test_the_first_reset_starts_all():
    message = "first reset must start every environment"
    with environments("Pong", 2) as opened, pytest.raises(ValueError, match=message):
        opened.reset({0: 1})
