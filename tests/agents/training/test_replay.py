import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from agents.training.replay import Replay

LARGEST = 1 - 2**-24


def picture(number):
    """An image that says which row it is."""
    image = np.zeros((1, 64, 64), np.uint8)
    image[0, 0, :3] = number // 65536, number // 256 % 256, number % 256
    image[0, 63, 63] = number % 251
    return image


def numbers(batch):
    corner = batch.image[:, :, 0, 0, :3].long()
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
    replay = Replay(100, 5)
    play(replay, 5)
    assert (replay.episodes, replay.rows) == (1, [6])
    play(replay, 9)
    assert (replay.starts, replay.rows) == ([0, 6], [6, 10])


def test_an_episode_that_is_too_short_is_dropped_and_its_rows_are_used_again():
    replay = Replay(100, 5)
    play(replay, 7)
    play(replay, 4, first=50)  # one step short of a sequence of 5
    assert replay.episodes == 1
    play(replay, 6, first=100)
    assert (replay.starts, replay.rows) == ([0, 8], [8, 7])
    seen = numbers(replay.sample(uniforms(500)))
    assert set(seen.flatten().tolist()) == {*range(8), *range(100, 107)}


def test_an_episode_that_has_not_ended_cannot_be_seen():
    replay = Replay(100, 5)
    play(replay, 30, ends=False)
    with pytest.raises(RuntimeError, match="no complete episode"):
        replay.sample(uniforms(1))
    play(replay, 6, first=200)
    play(replay, 30, first=300, ends=False)
    assert replay.episodes == 1
    assert set(numbers(replay.sample(uniforms(300))).flatten().tolist()) == set(range(200, 207))


def test_the_rows_of_a_sequence_are_those_that_were_added():
    replay = Replay(100, 5)
    play(replay, 8, first=20)
    play(replay, 11, first=40, truncated=True)
    batch = replay.sample(uniforms(400))
    row = numbers(batch)
    assert batch.image.shape == (400, 5, 1, 64, 64)
    assert (row[:, 1:] == row[:, :-1] + 1).all()  # neighbours in time
    assert (batch.image[:, :, 0, 63, 63] == row % 251).all()
    opening = (row == 20) | (row == 40)  # nothing led there
    assert torch.equal(batch.action, torch.where(opening, 0, row % 7))
    assert torch.equal(batch.reward, torch.where(opening, 0.0, row / 4))
    assert torch.equal(batch.is_terminal, row == 28)  # a time limit is no end of the game
    assert opening.any()
    assert (row == 28).any()


def test_every_sequence_starts_from_the_zero_state_and_no_other_row_does():
    replay = Replay(100, 5)
    play(replay, 30)
    is_first = replay.sample(uniforms(50)).is_first
    assert is_first[:, 0].all()
    assert not is_first[:, 1:].any()


def test_rewards_are_stored_raw():
    replay = Replay(10, 2)
    replay.begin(picture(0))
    for t, reward in enumerate((400.0, -17.5), 1):
        replay.add(0, picture(t), reward, terminated=t == 2, ended=t == 2)
    rewards = replay.sample(torch.tensor([[0.0, LARGEST]])).reward
    assert rewards.tolist() == [[400.0, -17.5]]


def test_the_start_is_uniform_over_the_rows_and_then_clipped():
    # 12 rows, sequences of 5: starts 0..12 are drawn with equal chance, above 7 they become 7
    replay, n = Replay(100, 5), 26_000
    play(replay, 11)
    starts = replay.sequence_starts(uniforms(n))
    counts = torch.bincount(starts, minlength=8).double()
    expected = torch.tensor([1, 1, 1, 1, 1, 1, 1, 5 + 1]) * n / (12 + 1)
    assert len(counts) == 8
    assert chisquare(counts, expected).pvalue > 0.01


def test_start_positions_by_hand():
    replay = Replay(100, 5)
    play(replay, 11)
    drawn = torch.tensor([0.0, 1 / 13 - 1e-6, 1 / 13 + 1e-6, 6.99 / 13, 7.01 / 13, LARGEST])
    starts = replay.sequence_starts(torch.stack([torch.zeros(6), drawn], 1))
    assert starts.tolist() == [0, 0, 1, 6, 7, 7]


def test_an_episode_of_just_one_sequence_more_than_fits_has_two_starts():
    # length + 1 rows: starts 0 and 1
    replay = Replay(100, 5)
    play(replay, 5)
    assert set(replay.sequence_starts(uniforms(100)).tolist()) == {0, 1}


def test_episodes_are_equally_likely_whatever_their_lengths():
    replay, n = Replay(400, 5), 9_000
    for first, steps in ((0, 5), (1000, 200), (2000, 20)):
        play(replay, steps, first=first)
    episode = numbers(replay.sample(uniforms(n, seed=3)))[:, 0] // 1000
    counts = torch.bincount(episode, minlength=3).double()
    assert chisquare(counts).pvalue > 0.01


def test_every_sequence_lies_within_one_episode():
    replay = Replay(400, 5)
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
    replay, taken, kept = Replay(agent_steps, length), 0, []
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
    assert replay.rows == kept


@pytest.mark.parametrize("length", [2, 5, 50])
def test_the_block_holds_a_run_of_shortest_episodes(length):
    # the worst case: every kept episode costs a row more than its steps
    agent_steps = 3 * length + length - 1
    replay = Replay(agent_steps, length)
    for _ in range(3):
        play(replay, length)
    play(replay, length - 1, ends=False)
    assert replay.episodes == 3
