import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from agents import host_memory
from agents.config import agent_config
from agents.observation import ATARI, Observation
from agents.streams import Streams
from agents.training.replay import Replay, ReplayTooLargeError, replay_bytes

LARGEST = 1 - 2**-24


def make_replay(agent_steps, length, *, seed=0, observation=ATARI, **settings):
    config = agent_config("micro", length=length, **settings)
    return Replay(agent_steps, observation, config, Streams(seed))


def starts(replay, draws):
    rows, _ = replay.sequence_rows(draws)
    return rows[:, 0]


def picture(number):
    """An image that says which row it is."""
    image = np.zeros((1, 64, 64), np.uint8)
    image[0, 0, :3] = number // 65536, number // 256 % 256, number % 256
    image[0, 63, 63] = number % 251
    return image


def numbers(batch):
    corner = batch.observation[:, :, 0, 0, :3].long()
    return corner[..., 0] * 65536 + corner[..., 1] * 256 + corner[..., 2]


def play(replay, steps, *, first=0, truncated=False, ends=True):
    """Adds an episode; row i has number first + i, and all else follows from the number."""
    replay.begin(picture(first))
    for t in range(1, steps + 1):
        last = ends and t == steps
        replay.add(
            (first + t) % 7,
            picture(first + t),
            (first + t) / 4,
            terminated=last and not truncated,
            ended=last,
        )


def uniforms(n, seed=0):
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(seed))


def test_an_episode_of_n_steps_has_n_plus_one_rows():
    replay = make_replay(100, 5)
    play(replay, 5)
    assert (replay.episodes, replay.training.rows) == (1, [6])
    play(replay, 9)
    assert (replay.training.starts, replay.training.rows) == ([0, 6], [6, 10])


def test_an_episode_that_is_too_short_is_dropped_and_its_rows_are_used_again():
    replay = make_replay(100, 5)
    play(replay, 7)
    play(replay, 4, first=50)  # one step short of a sequence of 5
    assert replay.episodes == 1
    play(replay, 6, first=100)
    assert (replay.training.starts, replay.training.rows) == ([0, 8], [8, 7])
    seen = numbers(replay.sample(uniforms(500)))
    assert set(seen.flatten().tolist()) == {*range(8), *range(100, 107)}


def test_an_episode_that_has_not_ended_cannot_be_seen():
    replay = make_replay(100, 5)
    play(replay, 30, ends=False)
    with pytest.raises(RuntimeError, match="no complete episode"):
        replay.sample(uniforms(1))
    play(replay, 6, first=200)
    play(replay, 30, first=300, ends=False)
    assert replay.episodes == 1
    assert set(numbers(replay.sample(uniforms(300))).flatten().tolist()) == set(range(200, 207))


def test_the_rows_of_a_sequence_are_those_that_were_added():
    replay = make_replay(100, 5)
    play(replay, 8, first=20)
    play(replay, 11, first=40, truncated=True)
    batch = replay.sample(uniforms(400))
    row = numbers(batch)
    assert batch.observation.shape == (400, 5, 1, 64, 64)
    assert (row[:, 1:] == row[:, :-1] + 1).all()  # neighbours in time
    assert (batch.observation[:, :, 0, 63, 63] == row % 251).all()
    opening = (row == 20) | (row == 40)  # nothing led there
    assert torch.equal(batch.action, torch.where(opening, 0, row % 7))
    assert torch.equal(batch.reward, torch.where(opening, 0.0, row / 4))
    assert torch.equal(batch.is_terminal, row == 28)  # a time limit is no end of the game
    assert opening.any()
    assert (row == 28).any()


def test_every_sequence_starts_from_the_zero_state_and_no_other_row_does():
    replay = make_replay(100, 5)
    play(replay, 30)
    is_first = replay.sample(uniforms(50)).is_first
    assert is_first[:, 0].all()
    assert not is_first[:, 1:].any()


def test_rewards_are_stored_raw():
    replay = make_replay(10, 2)
    replay.begin(picture(0))
    for t, reward in enumerate((400.0, -17.5), 1):
        replay.add(0, picture(t), reward, terminated=t == 2, ended=t == 2)
    rewards = replay.sample(torch.tensor([[0.0, LARGEST]])).reward
    assert rewards.tolist() == [[400.0, -17.5]]


def test_the_start_is_uniform_over_the_rows_and_then_clipped():
    # 12 rows, sequences of 5: starts 0..12 are drawn with equal chance, above 7 they become 7
    replay, n = make_replay(100, 5), 26_000
    play(replay, 11)
    counts = torch.bincount(starts(replay, uniforms(n)), minlength=8).double()
    expected = torch.tensor([1, 1, 1, 1, 1, 1, 1, 5 + 1]) * n / (12 + 1)
    assert len(counts) == 8
    assert chisquare(counts, expected).pvalue > 0.01


def test_start_positions_by_hand():
    replay = make_replay(100, 5)
    play(replay, 11)
    drawn = torch.tensor([0.0, 1 / 13 - 1e-6, 1 / 13 + 1e-6, 6.99 / 13, 7.01 / 13, LARGEST])
    draws = torch.stack([torch.zeros(6), drawn], 1)
    assert starts(replay, draws).tolist() == [0, 0, 1, 6, 7, 7]


def test_an_episode_of_just_one_sequence_more_than_fits_has_two_starts():
    # length + 1 rows: starts 0 and 1
    replay = make_replay(100, 5)
    play(replay, 5)
    assert set(starts(replay, uniforms(100)).tolist()) == {0, 1}


def test_episodes_are_equally_likely_whatever_their_lengths():
    replay, n = make_replay(400, 5), 9_000
    for first, steps in ((0, 5), (1000, 200), (2000, 20)):
        play(replay, steps, first=first)
    episode = numbers(replay.sample(uniforms(n, seed=3)))[:, 0] // 1000
    counts = torch.bincount(episode, minlength=3).double()
    assert chisquare(counts).pvalue > 0.01


def test_every_sequence_lies_within_one_episode():
    replay = make_replay(400, 5)
    for k, steps in enumerate((5, 6, 17, 5)):
        play(replay, steps, first=1000 * k)
    grid = torch.linspace(0, LARGEST, 60)
    row = numbers(replay.sample(torch.cartesian_prod(grid, grid)))
    assert (row // 1000 == row[:, :1] // 1000).all()
    assert (row % 1000 <= torch.tensor([5, 6, 17, 5])[row // 1000]).all()


@given(
    length=st.integers(2, 9),
    agent_steps=st.integers(1, 60),
    episodes=st.lists(st.integers(1, 15), min_size=60, max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_the_block_holds_whatever_a_run_can_see(length, agent_steps, episodes):
    replay, taken, kept = make_replay(agent_steps, length), 0, []
    replay.begin(picture(0))
    for episode in episodes:
        for t in range(1, episode + 1):
            if taken == agent_steps:
                break
            taken += 1
            replay.add(0, picture(t), 0.0, terminated=t == episode, ended=t == episode)
            if t == episode:
                replay.begin(picture(0))
                kept += [episode + 1] * (episode >= length)
    assert replay.training.rows == kept


@pytest.mark.parametrize("length", [2, 5, 50])
def test_the_block_holds_a_run_of_shortest_episodes(length):
    # the worst case: every kept episode costs a row more than its steps
    agent_steps = 3 * length + length - 1
    replay = make_replay(agent_steps, length)
    for _ in range(3):
        play(replay, length)
    play(replay, length - 1, ends=False)
    assert replay.episodes == 3


# The other samplers


def test_the_sampler_of_steps_gives_every_start_the_same_chance():
    replay, n = make_replay(400, 5, sampler="steps"), 22_000
    play(replay, 11)  # 12 rows, 8 starts
    play(replay, 6, first=100)  # 7 rows, 3 starts
    counts = torch.bincount(starts(replay, uniforms(n)))
    places = [*range(8), 12, 13, 14]
    assert counts.sum() == counts[places].sum()
    assert chisquare(counts[places].double()).pvalue > 0.01


def test_the_running_episode_is_seen_where_the_study_says_so():
    replay = make_replay(100, 5, ongoing=True)
    play(replay, 6)
    play(replay, 4, first=100, ends=False)  # 5 rows: one short of an episode of 5 steps
    assert set(numbers(replay.sample(uniforms(200))).flatten().tolist()) == set(range(7))
    play(replay, 9, first=100, ends=False)
    row = numbers(replay.sample(uniforms(400)))
    assert set(row.flatten().tolist()) == {*range(7), *range(100, 110)}
    assert replay.episodes == 1  # complete ones


def crossing(lengths, **settings):
    replay = make_replay(100, 5, cross_episodes=True, **settings)
    for k, steps in enumerate(lengths):
        play(replay, steps, first=100 * k)
    return replay


def test_sequences_may_cross_the_ends_of_episodes_with_a_mark_there():
    replay = crossing([2, 1, 4])  # rows 0 1 2 | 100 101 | 200 .. 204
    batch = replay.sample(uniforms(400))
    row = numbers(batch)
    line = [0, 1, 2, 100, 101, 200, 201, 202, 203, 204]
    place = torch.tensor([line.index(number) for number in row.flatten()]).view(row.shape)
    assert (place[:, 1:] == place[:, :-1] + 1).all()  # neighbours in the line of episodes
    opening = row % 100 == 0
    opening[:, 0] = True
    assert torch.equal(batch.is_first, opening)
    assert torch.equal(batch.is_terminal, (row == 2) | (row == 101) | (row == 204))
    assert set(place[:, 0].tolist()) == set(range(6))


def test_crossing_sequences_start_in_episodes_of_equal_chance():
    # 5 + 2 + 20 rows; starts beyond the last whole sequence, row 22 of the line, are clipped to it
    replay, n = crossing([4, 1, 19]), 30_000
    counts = torch.bincount(starts(replay, uniforms(n)), minlength=23).double()
    expected = [1 / 15] * 5 + [1 / 6] * 2 + [1 / 60] * 15 + [5 / 60]
    assert chisquare(counts, torch.tensor(expected, dtype=torch.float64) * n).pvalue > 0.01


def test_crossing_sequences_of_the_sampler_of_steps_start_anywhere():
    replay, n = crossing([4, 1, 19], sampler="steps"), 23_000
    counts = torch.bincount(starts(replay, uniforms(n)), minlength=23).double()
    assert chisquare(counts).pvalue > 0.01


def test_crossing_needs_one_whole_sequence_before_it_starts():
    replay = crossing([1])
    assert replay.episodes == 0
    with pytest.raises(RuntimeError, match="no complete episode"):
        replay.sample(uniforms(1))
    play(replay, 2)
    assert replay.episodes == 2


# The validation split


def split(lengths, **settings):
    replay = make_replay(2000, 5, **settings)
    for k, steps in enumerate(lengths):
        play(replay, steps, first=100 * k)
    return replay


@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("rule", ["random", "deterministic"])
def test_training_and_validation_see_disjoint_episodes(rule, cross):
    replay = split([7] * 40, validation_fraction=0.3, validation_rule=rule, cross_episodes=cross)
    trained = set((numbers(replay.sample(uniforms(900))) // 100).flatten().tolist())
    held_out = numbers(replay.sample(uniforms(900), validation=True)) // 100
    held_out = set(held_out.flatten().tolist())
    assert trained | held_out == set(range(40))
    assert not trained & held_out
    assert (len(trained), len(held_out)) == (replay.episodes, replay.validation_episodes)
    assert 0 in trained  # the first episode always trains


def test_an_episode_that_is_dropped_does_not_count_in_the_split():
    settings = {"validation_fraction": 0.3, "validation_rule": "deterministic"}
    replay = split([7, 3, 7, 3, 7], **settings)
    assert replay.training.rows == [8, 8]
    assert replay.validation.rows == [8]


def test_the_running_episode_belongs_to_its_split():
    settings = {"validation_fraction": 0.3, "validation_rule": "deterministic", "ongoing": True}
    replay = split([7], **settings)  # the second episode validates
    play(replay, 9, first=100, ends=False)
    assert set((numbers(replay.sample(uniforms(99))) // 100).flatten().tolist()) == {0}
    seen = numbers(replay.sample(uniforms(99), validation=True))
    assert set((seen // 100).flatten().tolist()) == {1}


# Vectors, memory, saving


def test_vectors_are_stored_as_floats():
    replay = make_replay(20, 2, observation=Observation((3,)))
    replay.begin(np.array([0.5, -1e6, 3.25], np.float32))
    for t in range(3):
        replay.add(1, np.full(3, -t, np.float32), 0.0, terminated=t == 2, ended=t == 2)
    batch = replay.sample(torch.zeros(1, 2))
    assert batch.observation.tolist() == [[[0.5, -1e6, 3.25], [0.0, 0.0, 0.0]]]


def test_a_hundred_thousand_atari_steps_take_0_42_gigabytes():
    config = agent_config("atari")
    assert replay_bytes(100_000, ATARI, config) == (100_000 + 2_000 + 2) * (4096 + 13)


def test_memory_that_is_not_there_is_refused_before_it_is_taken(monkeypatch):
    monkeypatch.setattr(host_memory, "free_bytes", lambda: 1_000_000)
    make_replay(100, 5)
    with pytest.raises(
        ReplayTooLargeError, match=r"takes 4\.93 GB and 0\.00 GB of memory are free"
    ):
        make_replay(1_000_000, 5)


def test_a_restored_replay_goes_on_as_if_nothing_had_happened():
    settings = {"validation_fraction": 0.3, "ongoing": True}
    replay = split([7, 3, 9, 6, 8, 7], **settings)
    play(replay, 6, first=900, ends=False)
    fresh = make_replay(2000, 5, **settings)
    fresh.load_state_dict(replay.state_dict())
    for each in (replay, fresh):
        each.add(3, picture(907), 1.5, terminated=True, ended=True)
        play(each, 8, first=1000)
    assert fresh.training.lists == replay.training.lists
    assert fresh.validation.lists == replay.validation.lists
    for validation in (False, True):
        one, other = (each.sample(uniforms(50), validation=validation) for each in (replay, fresh))
        assert all(torch.equal(vars(one)[name], vars(other)[name]) for name in vars(one))


def test_the_saved_state_is_as_large_as_what_was_written():
    replay = make_replay(2000, 5)
    play(replay, 7)
    state = replay.state_dict()
    assert state["observation"].untyped_storage().nbytes() == 8 * 64 * 64
    assert state["reward"].untyped_storage().nbytes() == 8 * 4


def test_a_newest_row_that_is_not_a_number_is_recognised():
    replay = make_replay(20, 2, observation=Observation((2,)))
    replay.begin(np.array([np.nan, 1.0], np.float32))
    assert replay.newest_is(np.array([np.nan, 1.0], np.float32))
    assert not replay.newest_is(np.array([np.nan, 2.0], np.float32))


def test_the_newest_row_is_recognised():
    replay = make_replay(100, 5)
    play(replay, 3, ends=False)
    assert replay.newest_is(picture(3))
    assert not replay.newest_is(picture(2))
