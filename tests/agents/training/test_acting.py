"""Which parameters act at which agent step, with and without a lag."""

import pytest
import torch

from agents.config import agent_config
from agents.dreamer.agent import Agent
from agents.observation import ATARI
from agents.parts import Parts
from agents.streams import Streams
from agents.training.acting import AtOnce, OneBehind, acting_of
from agents.training.learner import Learner
from agents.training.recipe import Collect, Evaluate, TrainBehaviour, TrainWorldModel, Validate

MODEL, BEHAVIOUR, STEP = TrainWorldModel(), TrainBehaviour(), Collect("behaviour")


def acting_parameters(agent, acting):
    """Those of encoder, recurrent model and actor that choose now, as one digestible list."""
    policy = agent.policy if acting.deputy is None else acting.deputy.policy
    networks = (policy.encoder, policy.rssm, policy.behaviours[0].actor)
    return [p.detach().clone() for network in networks for p in network.parameters()]


@pytest.fixture
def carried_out(make_agent, filled_replay, digest):
    """Carries events out; tells after which of them the parameters were those that act."""

    def carried_out(events, lag):
        agent = make_agent(collection_lag=lag)
        acting, learner = acting_of(agent, "cpu"), Learner(agent, filled_replay())
        history, chose = [digest(acting_parameters(agent, AtOnce()))], []
        for event in events:
            acting.before(event)
            match event:
                case TrainWorldModel():
                    learner.train_world_model()
                case TrainBehaviour():
                    learner.train_behaviour()
                case Collect():
                    chose.append(history.index(digest(acting_parameters(agent, acting))))
            history.append(digest(acting_parameters(agent, AtOnce())))
        return chose

    return carried_out


BLOCKS = [MODEL, BEHAVIOUR, STEP, STEP, MODEL, Validate(), BEHAVIOUR, MODEL, STEP, BEHAVIOUR]
BLOCKS += [Evaluate(1, final=False), STEP, STEP]
"""Blocks of 2, 3 and 1 updates: events 0 and 1, then 4, 6 and 7, then 9."""


def test_without_a_lag_the_newest_parameters_act(carried_out):
    # parameters by the number of events before them; the steps are events 2, 3, 8, 11 and 12
    assert carried_out(BLOCKS, lag=0) == [2, 2, 8, 10, 10]


def test_with_a_lag_those_from_before_the_last_block_of_updates_act(carried_out):
    assert carried_out(BLOCKS, lag=1) == [0, 0, 2, 8, 8]


def test_the_lag_is_of_the_configuration():
    agents = [
        Agent(Parts(agent_config("micro", collection_lag=lag)), ATARI, 5, Streams(0))
        for lag in (0, 1)
    ]
    kinds = [type(acting_of(agent, "cpu")) for agent in agents]
    assert kinds == [AtOnce, OneBehind]


def test_the_copy_is_nobody_elses(make_agent):
    agent = make_agent(collection_lag=1)
    acting = OneBehind(agent, "cpu")
    own = {p.data_ptr() for p in agent.policy.modules.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in acting.deputy.policy.modules.parameters())


def test_a_restored_copy_lies_where_it_lay_and_acts_as_it_did(make_agent, perturb):
    agent = make_agent(collection_lag=1)
    acting, other = OneBehind(agent, "cpu"), OneBehind(make_agent(collection_lag=1), "cpu")
    perturb(acting.deputy.policy.modules)
    acting.before(MODEL)
    perturb(acting.deputy.policy.modules)
    addresses = [p.data_ptr() for p in other.deputy.policy.modules.parameters()]
    state = acting.state_dict()
    perturb(acting.deputy.policy.modules)  # what was saved stays as it was
    other.load_state_dict(state)
    assert [p.data_ptr() for p in other.deputy.policy.modules.parameters()] == addresses
    again = other.state_dict()
    assert again["updating"]
    assert all(torch.equal(state["networks"][k], v) for k, v in again["networks"].items())
    other.before(BEHAVIOUR)  # of the same block: the copy stays
    assert all(
        torch.equal(state["networks"][k], v) for k, v in other.state_dict()["networks"].items()
    )
