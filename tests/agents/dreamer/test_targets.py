"""Both alignments on a rollout that is worked out by hand.

# state      z0    z1    z2    z3        H = 3, lambda 1/2, gamma .8
# reward     1     2     4     8         on arrival; z0's came with the start
# discount   .8    1     .5    .25       the start lives
# value      16    32    64    128
"""

import dataclasses

import pytest
import torch

from agents.dreamer.imagination import Trajectory
from agents.dreamer.targets import arrival_targets, textbook_targets


def column(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


VALUE = column(16, 32, 64, 128)
ROLLOUT = Trajectory(
    feat=torch.zeros(4, 1, 2),
    action=torch.zeros(3, 1, 2),
    reward=column(2, 4, 8),
    disc=column(1, 0.5, 0.25),
    start_reward=column(1)[0],
    start_disc=column(0.8)[0],
)
ENDED = dataclasses.replace(ROLLOUT, start_disc=column(0)[0])


def numbers(tensor):
    return pytest.approx(tensor.flatten().tolist())


def test_the_official_targets_count_a_reward_where_it_arrives():
    targets = arrival_targets(ROLLOUT, VALUE, lambda_=0.5)
    # G2 = 4 + .5 * 128, G1 = 2 + 1 * (32 + 34), G0 = 1 + .8 * (16 + 34)
    assert numbers(targets.returns) == [41, 68, 68]
    assert numbers(targets.advantage) == [68 - 16, 68 - 32]  # G1 - v0, G2 - v1
    assert numbers(targets.weight) == [1, 0.8, 0.8]  # 1, d0, d0 d1
    assert numbers(targets.value) == [16, 32, 64]


def test_the_textbook_targets_count_a_reward_for_the_action_before_it():
    targets = textbook_targets(ROLLOUT, VALUE, lambda_=0.5, gamma=0.8)
    # G2 = 8 + .25 * 128, G1 = 4 + .5 * (32 + 20), G0 = 2 + 1 * (16 + 15)
    assert numbers(targets.returns) == [33, 30, 40]
    assert numbers(targets.advantage) == [33 - 16, 30 - 32, 40 - 64]  # Gt - vt
    assert numbers(targets.weight) == [1, 1, 0.5]  # c0, c0 d1, c0 d1 d2
    assert numbers(targets.value) == [16, 32, 64]


def test_a_terminal_start_weighs_1_in_the_official_targets_and_its_dream_nothing():
    targets = arrival_targets(ENDED, VALUE, lambda_=0.5)
    assert numbers(targets.weight) == [1, 0, 0]
    assert numbers(targets.returns) == [1, 68, 68]  # G0 = r0: nothing follows


def test_a_terminal_start_weighs_nothing_in_the_textbook_targets():
    targets = textbook_targets(ENDED, VALUE, lambda_=0.5, gamma=0.8)
    assert numbers(targets.weight) == [0, 0, 0]


def test_the_shortest_rollout_has_two_states_to_learn_from():
    short = dataclasses.replace(
        ROLLOUT,
        feat=torch.zeros(3, 1, 2),
        action=torch.zeros(2, 1, 2),
        reward=column(2, 4),
        disc=column(1, 0.5),
    )
    official = arrival_targets(short, VALUE[:3], lambda_=0.5)
    assert numbers(official.returns) == [1 + 0.8 * (16 + 33), 2 + 64]
    assert numbers(official.advantage) == [66 - 16]
    textbook = textbook_targets(short, VALUE[:3], lambda_=0.5, gamma=0.8)
    assert numbers(textbook.returns) == [2 + (16 + 18), 4 + 0.5 * 64]
    assert numbers(textbook.advantage) == [36 - 16, 36 - 32]
