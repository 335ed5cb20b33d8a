"""The adapter, with a toy environment that shows what it is told."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

from agents.config import Protocol
from agents.observation import Observation
from agents.training.environments.gymnasium_tasks import (
    GymnasiumEnvironments,
    check_id,
    observation_of,
    shown,
)


class Toy(gymnasium.Env):
    """Shows [seed, agent steps, last action] in one buffer that it writes over again and again."""

    def __init__(self, *, first_action=0, ends_at=1000, cut_at=1000):
        self.observation_space = Box(-np.inf, np.inf, (3,), np.float64)
        self.action_space = Discrete(4, start=first_action)
        self.ends_at, self.cut_at = ends_at, cut_at
        self.buffer = np.zeros(3)
        self.closed = False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.buffer[:] = seed, 0, -1
        return self.buffer, {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.buffer[1:] = self.buffer[1] + 1, action
        time = self.buffer[1]
        assert time <= self.ends_at
        return self.buffer, 0.5 * time, time == self.ends_at, time == self.cut_at, {}

    def close(self):
        self.closed = True


def toys(count=1, cap=108_000, **settings):
    protocol = Protocol(max_env_frames_per_episode=cap)
    return GymnasiumEnvironments(lambda: Toy(**settings), count, protocol)


def step(opened, *actions):
    return opened.step(np.array(actions))


def pixels(*shape):
    return Box(0, 255, shape, np.uint8)


@pytest.mark.parametrize(
    ("space", "shape"),
    [
        (pixels(64, 64, 3), (3, 64, 64)),
        (pixels(32, 32, 1), (1, 32, 32)),
        (pixels(16, 16), (1, 16, 16)),
        (pixels(210, 160, 3), (3, 64, 64)),
        (pixels(96, 96), (1, 64, 64)),
        (pixels(64, 32, 3), (3, 64, 64)),
        (pixels(128), (128,)),
        (Box(-1, 1, (4,), np.float64), (4,)),
        (Box(-1, 1, (2, 3, 3), np.float32), (18,)),
        (Box(-1, 1, (), np.float32), (1,)),
        (Box(0, 1, (5, 5, 2), np.int8), (50,)),
    ],
)
def test_bytes_in_a_plane_are_images_and_other_arrays_are_vectors(space, shape):
    assert observation_of(space) == Observation(shape)


@pytest.mark.parametrize(
    "space",
    [
        Discrete(16),
        Dict({"image": pixels(64, 64, 3)}),
        Tuple([Discrete(2)]),
        pixels(4, 84, 84),
        pixels(64, 64, 4),
    ],
)
def test_other_observations_are_refused_with_what_is_supported(space):
    with pytest.raises(ValueError, match="supported are discrete actions, and observations"):
        observation_of(space)


def test_images_of_fitting_size_are_shown_pixel_by_pixel():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    seen = shown(image, Observation((3, 32, 32)))
    assert seen.dtype == np.uint8
    for channel in range(3):
        assert (seen[channel] == image[:, :, channel]).all()
    gray = shown(image[:, :, 0], Observation((1, 32, 32)))
    assert (gray[0] == image[:, :, 0]).all()


def test_images_of_other_sizes_are_shown_as_means_over_areas():
    image = np.random.default_rng(0).integers(0, 256, (128, 192, 3), dtype=np.uint8)
    seen = shown(image, Observation((3, 64, 64)))
    means = image.reshape(64, 2, 64, 3, 3).mean((1, 3)).transpose(2, 0, 1)
    assert seen.dtype == np.uint8
    assert np.abs(seen - means).max() <= 0.5 + 1e-4


def test_vectors_are_flattened_and_keep_their_values():
    value = np.arange(6, dtype=np.float64).reshape(2, 3) * 1000 - 0.25
    seen = shown(value, Observation((6,)))
    assert seen.dtype == np.float32
    assert seen.tolist() == value.flatten().tolist()


def test_each_environment_is_reset_by_its_own_seed_and_the_others_are_left_alone():
    opened = toys(3)
    first = opened.reset({2: 7, 0: 5, 1: 6})
    assert first.tolist() == [[5, 0, -1], [6, 0, -1], [7, 0, -1]]
    stepped = step(opened, 0, 1, 2)
    assert stepped.observation.tolist() == [[5, 1, 0], [6, 1, 1], [7, 1, 2]]
    assert stepped.reward.tolist() == [0.5, 0.5, 0.5]
    assert opened.reset({1: 9}).tolist() == [[5, 1, 0], [9, 0, -1], [7, 1, 2]]
    assert step(opened, 3, 3, 3).observation[:, 1].tolist() == [2, 1, 2]
    # what was returned is not written over
    assert first[0].tolist() == [5, 0, -1]
    assert stepped.observation[0].tolist() == [5, 1, 0]


def test_the_first_reset_starts_all():
    with pytest.raises(ValueError, match="first reset must start every environment"):
        toys(2).reset({0: 1})


def test_actions_are_counted_from_the_first_that_the_space_has():
    opened = toys(first_action=-2)
    opened.reset({0: 0})
    assert opened.actions == 4
    assert [step(opened, action).observation[0, 2] for action in range(4)] == [-2, -1, 0, 1]


def test_the_protocols_cap_truncates_at_a_quarter_as_many_agent_steps():
    opened = toys(cap=12)
    for _ in range(2):
        opened.reset({0: 0})
        ends = [step(opened, 0) for _ in range(3)]
        assert [bool(end.truncated[0]) for end in ends] == [False, False, True]
        assert not any(end.terminated[0] for end in ends)


def test_an_environments_own_end_and_time_limit_are_told_apart():
    for settings, flags in (
        ({"ends_at": 3, "cut_at": 4}, (True, False)),
        ({"cut_at": 3}, (False, True)),
        ({"ends_at": 3, "cap": 12}, (True, False)),  # the cap cuts nothing that is over
    ):
        opened = toys(**settings)
        opened.reset({0: 0})
        ends = [step(opened, 0) for _ in range(3)]
        assert not any(end.ended[0] for end in ends[:2])
        assert (bool(ends[2].terminated[0]), bool(ends[2].truncated[0])) == flags


@pytest.mark.parametrize("settings", [{"ends_at": 2}, {"cap": 8}])
def test_an_ended_environment_waits_for_its_reset_while_the_others_play(settings):
    opened = toys(2, **settings)
    opened.reset({0: 0, 1: 1})
    step(opened, 0, 0)
    opened.reset({1: 2})
    assert step(opened, 0, 0).ended.tolist() == [True, False]
    waiting = step(opened, 3, 3)  # the toy refuses to be stepped after its end
    assert waiting.observation.tolist() == [[0, 2, 0], [2, 2, 3]]
    assert waiting.reward.tolist() == [0, 1]
    assert waiting.ended.tolist() == [False, True]
    opened.reset({0: 4})
    assert step(opened, 1, 1).observation[0].tolist() == [4, 1, 1]


def test_closing_closes_every_environment():
    opened = toys(3)
    opened.close()
    assert all(toy.closed for toy in opened._environments)


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("CartPol-v1", "no environment 'CartPol-v1'; did you mean gymnasium:CartPole-v1"),
        ("CartPole", "no environment 'CartPole'; did you mean gymnasium:CartPole-v1"),
        ("xyzzy", r"no environment 'xyzzy'$"),
        ("no_such_module:Task-v0", "cannot make 'no_such_module:Task-v0' here: No module named"),
        (":CartPole-v1", "cannot make ':CartPole-v1' here"),
        ("Pendulum-v1", r"Pendulum-v1 cannot be played: its actions are Box.*supported are"),
        ("Blackjack-v1", r"Blackjack-v1 cannot be played: its observations are Tuple.*supported"),
    ],
)
def test_what_gymnasium_does_not_have_or_an_agent_cannot_play_is_refused(env_id, message):
    with pytest.raises(ValueError, match=message):
        check_id(env_id)


def test_an_environment_that_cannot_be_made_is_refused_with_its_reason(monkeypatch):
    def needs_more():
        raise RuntimeError("bring your own simulator")

    gymnasium.register("Needy-v0", entry_point=needs_more)
    try:
        with pytest.raises(ValueError, match="cannot make 'Needy-v0' here: bring your own sim"):
            check_id("Needy-v0")
    finally:
        del gymnasium.registry["Needy-v0"]


def test_a_module_that_registers_its_environments_is_imported(tmp_path, monkeypatch):
    (tmp_path / "registers_a_task.py").write_text(
        "import gymnasium\n"
        "from agents.training.environments.catch import Catch\n"
        "gymnasium.register('Registered-v0', entry_point=Catch)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        check_id("registers_a_task:Registered-v0")
    finally:
        del gymnasium.registry["Registered-v0"]


def test_only_one_discrete_choice_is_an_action():
    toy = Toy()
    toy.action_space = MultiDiscrete([2, 2])
    with pytest.raises(ValueError, match="its actions are MultiDiscrete"):
        GymnasiumEnvironments(lambda: toy, 1, Protocol())
