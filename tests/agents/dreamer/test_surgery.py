from typing import get_args

import pytest
import torch

from agents.dreamer.surgery import networks, operate
from agents.streams import Streams
from agents.training.recipe import Operation, Tag

TAGS = get_args(Tag)


@pytest.fixture
def trained(make_agent, random_batch):
    """An agent after a few updates: away from its start, with Adam moments."""
    agent = make_agent(target_every=1)
    for _ in range(3):
        posteriors, _ = agent.train_world_model(random_batch(2, 6))
        agent.train_behaviour(posteriors)
    return agent


def parameters(agent, *tags):
    return [p for tag in tags for network in networks(agent, tag) for p in network.parameters()]


def values(agent, *tags):
    return [p.detach().clone() for p in parameters(agent, *tags)]


def equal(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_every_trained_parameter_has_exactly_one_tag(make_agent):
    agent = make_agent()
    tagged = [id(p) for p in parameters(agent, *TAGS)]
    trained = [id(p) for optimiser in agent.optimisers for p in optimiser.parameters]
    assert sorted(tagged) == sorted(trained)
    assert len(set(tagged)) == len(tagged)


@pytest.mark.parametrize("tag", TAGS)
def test_a_full_reset_is_the_initialisation_of_another_seed(trained, make_agent, tag):
    operate(trained, [Operation((tag,))], seed=9)
    assert equal(values(trained, tag), values(make_agent(seed=9), tag))


@pytest.mark.parametrize("tag", TAGS)
def test_only_the_named_parts_move(trained, tag):
    others = [other for other in TAGS if other != tag]
    before = values(trained, *others)
    operate(trained, [Operation((tag,), 0.8, 0.2)], seed=9)
    assert equal(values(trained, *others), before)


def test_shrink_and_perturb_by_hand(trained, make_agent):
    old, fresh = values(trained, "encoder", "rssm"), values(make_agent(seed=9), "encoder", "rssm")
    touched = operate(trained, [Operation(("encoder", "rssm"), 0.75, 0.5)], seed=9)
    now = values(trained, "encoder", "rssm")
    assert equal(now, [0.75 * a + 0.5 * b for a, b in zip(old, fresh, strict=True)])
    assert touched == sum(p.numel() for p in now)


def test_shrink_1_and_perturb_0_touch_nothing(trained, digest):
    before = digest(trained.state_dict())
    assert operate(trained, [Operation(TAGS, 1.0, 0.0)], seed=9) == 0
    assert digest(trained.state_dict()) == before


def test_a_reset_heals_numbers_that_are_lost(trained):
    with torch.no_grad():
        parameters(trained, "actor")[0].fill_(float("nan"))
    operate(trained, [Operation(("actor",))], seed=9)
    assert all(p.isfinite().all() for p in parameters(trained, "actor"))


def test_adam_forgets_what_was_touched_and_nothing_else(trained):
    operate(trained, [Operation(("heads",)), Operation(("actor",), last_layer=True)], seed=9)
    touched = {id(p) for p in parameters(trained, "heads")}
    touched |= {id(p) for p in trained.behaviour.actor.layers[-1].parameters()}
    for optimiser in trained.optimisers:
        for parameter in optimiser.parameters:
            moments = optimiser.adam.state[parameter]
            assert set(moments) == {"step", "exp_avg", "exp_avg_sq"}
            zero = [not moment.any() for moment in moments.values()]
            assert all(zero) if id(parameter) in touched else not zero[0]


@pytest.mark.parametrize("tag", [tag for tag in TAGS if tag != "rssm"])
def test_a_last_layer_is_reset_alone(trained, make_agent, tag):
    old, fresh = values(trained, tag), values(make_agent(seed=9), tag)
    operate(trained, [Operation((tag,), last_layer=True)], seed=9)
    for network in networks(trained, tag):
        assert isinstance(network.layers[-1], torch.nn.Module)
    moved = [not torch.equal(a, b) for a, b in zip(values(trained, tag), old, strict=True)]
    new = [torch.equal(a, b) for a, b in zip(values(trained, tag), fresh, strict=True)]
    assert any(moved)
    assert not all(moved)
    assert all(is_new for is_new, was_moved in zip(new, moved, strict=True) if was_moved)


def test_a_touched_critic_is_copied_into_its_target(trained):
    operate(trained, [Operation(("critic",), 0.5, 0.5)], seed=9)
    target = [p.clone() for p in trained.behaviour.target_critic.parameters()]
    assert equal(target, values(trained, "critic"))


def test_another_part_leaves_the_target_alone(trained):
    with torch.no_grad():
        for p in trained.behaviour.target_critic.parameters():
            p.add_(1.0)
    before = [p.clone() for p in trained.behaviour.target_critic.parameters()]
    operate(trained, [Operation(("actor",))], seed=9)
    assert equal([p.clone() for p in trained.behaviour.target_critic.parameters()], before)


def test_no_stream_moves(trained):
    before = trained.streams.state_dict()
    operate(trained, [Operation(TAGS)], seed=9)
    after = trained.streams.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[owner], after[owner]) for owner in before)
    assert isinstance(trained.streams, Streams)
