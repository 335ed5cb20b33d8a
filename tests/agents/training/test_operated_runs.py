"""What surgery does to a run: which states are dropped, and when."""

import pytest
import torch

from agents.config import Budget, Protocol, agent_config
from agents.parts import Parts
from agents.training.environments import make_environments
from agents.training.loop import Run
from agents.training.recipe import Collect, Operation, Surgery, TrainWorldModel

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


def block(run, surgery=None):
    """An update, as the loop carries it out, and surgery within the block that it begins."""
    run.before(TrainWorldModel())
    run.learner.train_world_model()
    if surgery is not None:
        run.before(surgery)
        run.operate(surgery)


def step(run):
    run.before(Collect("behaviour"))
    run.collector.behaviour_step(0)


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


def test_a_deputy_keeps_its_state_until_it_takes_over_what_was_operated_on(begun):
    run = begun(lag=1)
    block(run, MODEL)
    assert run.learner._posteriors is None
    assert not dropped(run)  # the parameters from before the block act, with their state
    step(run)
    block(run)
    assert dropped(run)
    step(run)
    block(run)
    assert not dropped(run)


def test_what_was_operated_on_is_known_when_a_run_is_taken_up(begun):
    run, other = begun(lag=1), begun(lag=1)
    block(run, MODEL)
    step(run)
    other.acting.load_state_dict(run.acting.state_dict())
    assert not dropped(other)
    block(other)
    assert dropped(other)
