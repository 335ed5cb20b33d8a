import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chisquare

from agents.assemble import assemble
from agents.config import Budget, agent_config
from agents.dreamer.agent import Agent
from agents.modifications.exploration.epsilon_greedy import EpsilonGreedy, EpsilonGreedyActions
from agents.observation import ATARI
from agents.streams import Streams
from agents.training.learner import Learner
from agents.training.recipe import Clock

LARGEST = 1 - 2**-24


def wrapped(settings, action, uniforms, *, actions=5, env_frames=0):
    return EpsilonGreedyActions(settings)(action, actions, uniforms, env_frames)


def test_the_choice_by_hand():
    draws = torch.tensor([[0.29, 0.0], [0.31, 0.0], [0.0, 0.59], [0.29, LARGEST]])
    taken = wrapped(EpsilonGreedy(epsilon=0.3), torch.tensor([3, 3, 3, 3]), draws)
    assert taken.tolist() == [0, 3, 2, 4]


def test_each_action_is_taken_as_often_as_the_mixture_says(uniforms):
    n, policy, epsilon = 50_000, torch.tensor([0.7, 0.1, 0.1, 0.1, 0.0]), 0.2
    chosen = torch.multinomial(
        policy, n, replacement=True, generator=torch.Generator().manual_seed(1)
    )
    taken = wrapped(EpsilonGreedy(epsilon=epsilon), chosen, uniforms(n, 2))
    counts = torch.bincount(taken, minlength=5).double()
    expected = ((1 - epsilon) * policy + epsilon / 5).double() * n
    assert chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 0.01


def test_at_one_nothing_of_the_policy_is_left(uniforms):
    taken = wrapped(EpsilonGreedy(epsilon=1.0), torch.full((20_000,), 4), uniforms(20_000, 2))
    assert chisquare(torch.bincount(taken).double()).pvalue > 0.01


@pytest.mark.parametrize(
    ("env_frames", "epsilon"), [(0, 1.0), (200, 0.55), (400, 0.1), (401, 0.1), (10**9, 0.1)]
)
def test_a_schedule_falls_linearly_and_stays(env_frames, epsilon):
    schedule = EpsilonGreedy(epsilon=1.0, final=0.1, falls_until=400)
    assert schedule.epsilon_at(env_frames) == pytest.approx(epsilon)
    assert EpsilonGreedy(epsilon=0.3).epsilon_at(env_frames) == 0.3


def agent_and_life(settings, live):
    parts = assemble(agent_config("micro"), [settings])
    return Agent(parts, ATARI, 5, Streams(0)), live(parts)


def observation(seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (1, 1, 64, 64), dtype=np.uint8)
    return torch.from_numpy(image), torch.ones(1)


def test_evaluation_is_untouched(make_agent, live):
    agent, _ = agent_and_life(EpsilonGreedy(epsilon=1.0), live)
    base = make_agent()
    for seed in range(10):
        one, other = (
            each.act(*observation(seed), each.begin(1), stream="evaluation", argmax=True)
            for each in (agent, base)
        )
        assert torch.equal(one.action, other.action)
    assert "epsilon_greedy" not in agent.streams.state_dict()


def test_the_agent_remembers_the_action_that_was_taken():
    agent = Agent(
        assemble(agent_config("micro"), [EpsilonGreedy(epsilon=1.0)]), ATARI, 5, Streams(0)
    )
    drawn = Streams(0)
    for _ in range(10):
        state = agent.act(*observation(), agent.begin(1), stream="acting", explore_at=40)
        expected = (drawn.uniforms("epsilon_greedy", 1, 2)[:, 1] * 5).long()
        assert torch.equal(state.action, expected)


def test_what_it_has_replaced_is_reported_with_the_losses(filled_replay):
    agent = Agent(
        assemble(agent_config("micro"), [EpsilonGreedy(epsilon=1.0)]), ATARI, 5, Streams(0)
    )
    learner = Learner(agent, filled_replay())
    for _ in range(200):
        agent.act(*observation(), agent.begin(1), stream="acting", explore_at=40)
    learner.train_world_model()
    (report,) = learner.report(Clock())
    assert report.values["epsilon_greedy/actions_replaced"] == pytest.approx(0.8, abs=0.1)
    learner.train_world_model()
    (report,) = learner.report(Clock())
    assert "epsilon_greedy/actions_replaced" not in report.values  # nothing was taken since


def test_what_it_has_replaced_is_saved(make_agent):
    parts = assemble(agent_config("micro"), [EpsilonGreedy(epsilon=1.0)])
    agent, again = make_agent(parts=parts), make_agent(parts=parts)
    for _ in range(10):
        agent.act(*observation(), agent.begin(1), stream="acting", explore_at=40)
    again.load_state_dict(agent.state_dict())
    assert again.activity() == agent.activity() != {}


def test_it_acts_when_the_behaviour_takes_over():
    budget = Budget(env_frames=4000, prefill_frames=400)
    assert EpsilonGreedy().first_action(agent_config("micro"), budget) == 400
    rising = EpsilonGreedy(epsilon=0.0, final=0.1, falls_until=4000)
    assert rising.first_action(agent_config("micro"), budget) == 400


def test_a_schedule_that_is_over_before_the_prefill_never_acts():
    config, budget = agent_config("micro"), Budget(env_frames=4000, prefill_frames=400)
    for falls_until, expected in ((399, math.inf), (400, math.inf), (404, 400)):
        fallen = EpsilonGreedy(epsilon=1.0, final=0.0, falls_until=falls_until)
        assert fallen.first_action(config, budget) == expected


@pytest.mark.parametrize(
    "settings",
    [
        {"epsilon": -0.1},
        {"epsilon": 1.1},
        {"epsilon": 0.5, "final": 0.1},
        {"epsilon": 0.5, "falls_until": 400},
        {"epsilon": 0.5, "final": 0.1, "falls_until": 0},
    ],
)
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(ValidationError):
        EpsilonGreedy(**settings)
