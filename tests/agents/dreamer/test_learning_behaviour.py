"""Actor and critic alone learn: the update of the dreams, on simulators that are exact.

The simulator takes the place of the recurrent model and of the reward and discount heads, so that
`Agent.train_behaviour` runs as it stands: imagination, lambda returns, losses, optimisers, target
copies. A state is one-hot, and its reward is paid on arriving there.
"""

import dataclasses

import pytest
import torch
from torch.nn.functional import one_hot

LEFT, RIGHT = 0, 1


def flip_the_advantage(agent):
    targets = agent.behaviour.targets

    def flipped(trajectory):
        right = targets(trajectory)
        return dataclasses.replace(right, advantage=-right.advantage)

    agent.behaviour.targets = flipped


def credit_other_actions(agent):
    """Learns from actions that have nothing to do with the dream: drawn anew, evenly."""
    actor_loss, generator = agent.behaviour.actor_loss, torch.Generator().manual_seed(1)

    def unrelated(trajectory, targets):
        H, N, A = trajectory.action.shape
        action = one_hot(torch.randint(A, (H, N), generator=generator), A).float()
        return actor_loss(dataclasses.replace(trajectory, action=action), targets)

    agent.behaviour.actor_loss = unrelated


BREAKS = [flip_the_advantage, credit_other_actions]


@pytest.fixture
def learn_chain(exact):
    def learn(seed, broken=None, **settings):
        simulator, agent = exact.chain(seed, **settings)
        if broken is not None:
            broken(agent)
        exact.trained(agent, simulator, seed, updates=200, starts=64)
        return simulator, *exact.policies(agent, simulator), critic(agent, simulator)

    return learn


@pytest.fixture
def learn_catch(exact):
    def learn(seed, broken=None):
        simulator, agent = exact.catch(seed)
        if broken is not None:
            broken(agent)
        exact.trained(agent, simulator, seed, updates=200, starts=256)
        # an episode starts in the top row, which holds the first 25 states
        caught, caught_sampled = (
            simulator.returns(policy)[:25].mean().item()
            for policy in exact.policies(agent, simulator)
        )
        return caught, caught_sampled, critic(agent, simulator)[:25]

    return learn


@torch.no_grad()
def critic(agent, simulator):
    """What the critic says of each state [S]."""
    return agent.behaviour.critic(simulator.state(torch.arange(simulator.states)).feat)[:, 0]


def test_the_chain_is_walked_to_its_paying_end(learn_chain):
    simulator, greedy, sampled, value = learn_chain(0)
    assert greedy[:4].argmax(-1).tolist() == [RIGHT] * 4
    # the critic contains the reward on arrival: .9^4, .9^3, .9^2, .9, 1
    optimum = 0.9 ** torch.arange(4.0, -1, -1)
    torch.testing.assert_close(simulator.returns(greedy, 0.9).float(), optimum)
    # measured .994 to .996, and a critic at most .008 off, in 5 seeds
    assert (simulator.returns(sampled, 0.9)[0] / optimum[0]).item() > 0.95
    torch.testing.assert_close(value, optimum, atol=0.03, rtol=0)


def test_the_chain_is_walked_under_the_corrected_targets_too(learn_chain):
    simulator, greedy, sampled, value = learn_chain(0, corrected_targets=True)
    assert greedy[:4].argmax(-1).tolist() == [RIGHT] * 4
    # this critic tells what follows a state: .9^3, .9^2, .9, 1; the end itself is not learned
    optimum = 0.9 ** torch.arange(3.0, -1, -1)
    # measured .993 to .996, and a critic at most .012 off, in 5 seeds
    assert (simulator.returns(sampled, 0.9)[0] / 0.9**4).item() > 0.95
    torch.testing.assert_close(value[:4], optimum, atol=0.03, rtol=0)


@pytest.mark.parametrize(("corrected_targets", "worth"), [(False, 0.9**4), (True, 0.9**3)])
@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_update_does_not_find_the_end_of_the_chain(
    learn_chain, broken, corrected_targets, worth
):
    simulator, _, sampled, value = learn_chain(0, broken, corrected_targets=corrected_targets)
    # measured at most .42 (which is blind walking) and .42 of the optimum, in 5 seeds of each
    assert simulator.returns(sampled, 0.9)[0] < 0.5 * 0.9**4
    assert value[0] < 0.5 * worth


def test_catch_is_played_to_the_optimum(learn_catch):
    caught, caught_sampled, value = learn_catch(0)
    # measured 1.000 and .997 in 5 seeds; the best is 1
    assert caught >= 0.95
    assert caught_sampled >= 0.95
    # a ball that will be caught in nine steps is worth .914; measured .841 to .935
    torch.testing.assert_close(value, torch.full([25], 0.99**9), atol=0.15, rtol=0)


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_update_does_not_catch(learn_catch, broken):
    caught, caught_sampled, _ = learn_catch(0, broken)
    # measured -.6 or less for both in 5 seeds; a paddle that never moves gets -.6
    assert caught < 0
    assert caught_sampled < 0
