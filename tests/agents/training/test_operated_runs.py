"""What surgery does to a run: which states are dropped, and when."""

import pytest
import torch

from agents.config import Budget, Protocol, agent_config
from agents.parts import Parts
from agents.training.environments import make_environments
from agents.training.loop import Run
from agents.training.recipe import Operation, Surgery

MODEL = Surgery("somebody", 1, (Operation(("encoder", "rssm")),))
NOTHING = Surgery("somebody", 1, (Operation(("encoder", "rssm"), shrink=1.0, perturb=0.0),))


@pytest.fixture
def begun():
    """A run of Catch with one complete episode, in the middle of the next."""

    def begun(lag):
        config = agent_config("micro", cross_episodes=True, collection_lag=lag)
        environments = make_environments("Catch", 1, Protocol())
        budget = Budget(env_frames=400, prefill_frames=40)
        run = Run.begin(Parts(config), environments, 0, budget, "cpu", "fp32")
        while not run.replay.episodes:
            run.collector.random_step()
        for _ in range(3):
            run.collector.behaviour_step(0)
        return run

    return begun


def acting_state(run):
    """What the agent carries to the next step."""
    state = run.collector.state_dict()
    return state["is_first"], state["stoch"], state["deter"]


def dropped(run):
    is_first, stoch, deter = acting_state(run)
    return is_first and not stoch.any() and not deter.any()


@pytest.mark.parametrize("lag", [0, 1])
def test_surgery_that_touches_nothing_drops_nothing(begun, lag):
    run = begun(lag)
    run.learner.train_world_model()
    waiting, (_, stoch, deter) = run.learner._posteriors, acting_state(run)
    run.operate(NOTHING)
    is_first, *now = acting_state(run)
    assert not is_first
    assert torch.equal(now[0], stoch)
    assert torch.equal(now[1], deter)
    assert run.learner._posteriors is waiting is not None


def test_surgery_drops_what_the_old_parameters_have_made(begun):
    run = begun(lag=0)
    run.learner.train_world_model()
    assert not dropped(run)
    run.operate(MODEL)
    assert dropped(run)
    assert run.learner._posteriors is None
