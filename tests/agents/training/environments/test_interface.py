import numpy as np

from agents.training.environments import Step


def test_an_episode_has_ended_for_either_reason():
    step = Step(
        np.zeros((4, 2), np.float32),
        np.zeros(4, np.float32),
        terminated=np.array([False, True, False, True]),
        truncated=np.array([False, False, True, True]),
    )
    assert step.ended.tolist() == [False, True, True, True]
