import pytest
import torch

from agents.config import Protocol
from agents.streams import Streams
from agents.training import evaluation
from agents.training.environments.atari import AtariEnvironments
from agents.training.evaluation import evaluate

CAPPED = Protocol(max_env_frames_per_episode=40)  # 10 agent steps
ACTIONS = 6  # of Pong
FIRE = torch.tensor([[0.0, 9.0, 0.0, 0.0]])


def results(agent, *, episodes, env_frames=400, protocol=CAPPED, game="Pong"):
    told = evaluate(agent, game, protocol, env_frames=env_frames, episodes=episodes)
    return [result for result in told if result is not None]


@pytest.fixture
def agent(make_agent, perturb):
    agent = make_agent(actions=ACTIONS)
    perturb(agent.world_model, 0.1), perturb(agent.behaviour.actor, 0.3)
    return agent


def test_evaluation_touches_nothing_of_the_training(agent, make_agent, digest):
    for owner in ("acting", "replay", "world_model", "prefill"):
        agent.streams.uniforms(owner, 3)
    before = agent.state_dict()
    hashes = {name: digest(value) for name, value in before.items() if name != "streams"}
    positions = {owner: digest(state) for owner, state in before["streams"].items()}
    results(agent, episodes=2)
    after = agent.state_dict()
    assert {name: digest(after[name]) for name in hashes} == hashes
    assert {owner: digest(after["streams"][owner]) for owner in positions} == positions
    assert set(after["streams"]) - set(positions) == {"evaluation"}
    assert not any(p.grad is not None for p in agent.world_model.parameters())


@pytest.mark.parametrize("episodes", [1, 7])
def test_every_episode_is_played_once_and_numbered(agent, monkeypatch, episodes):
    monkeypatch.setattr(evaluation, "ENVIRONMENTS", 3)
    found = results(agent, episodes=episodes)
    assert sorted(result.episode for result in found) == list(range(episodes))


def test_more_episodes_than_the_default_number_of_environments(agent):
    found = results(agent, episodes=evaluation.ENVIRONMENTS + 2)
    assert sorted(result.episode for result in found) == list(range(evaluation.ENVIRONMENTS + 2))


def test_a_capped_episode_is_recorded_as_truncated(agent):
    found = results(agent, episodes=2)
    assert [(result.length, result.truncated) for result in found] == [(10, True)] * 2


def test_every_step_is_told_of_and_every_episode_when_it_ends(agent):
    told = list(evaluate(agent, "Pong", CAPPED, env_frames=0, episodes=2))
    # ten steps, the last of which ends both episodes
    assert [result is None for result in told] == [True] * 9 + [False, False, True]


def test_the_actions_of_every_episode_are_counted(agent):
    agent.behaviour.actor.forward = lambda feat: torch.eye(ACTIONS)[[2, 4]][: len(feat)]
    found = sorted(results(agent, episodes=2), key=lambda result: result.episode)
    assert [result.actions for result in found] == [(0, 0, 10, 0, 0, 0), (0, 0, 0, 0, 10, 0)]


def test_an_episode_that_the_game_ends_is_not_truncated(make_agent):
    # five balls of Breakout, all served and none returned
    protocol = Protocol(max_env_frames_per_episode=8_000)
    agent = make_agent(actions=4)
    agent.behaviour.actor.forward = lambda feat: FIRE.expand(len(feat), -1)
    (result,) = results(agent, episodes=1, protocol=protocol, game="Breakout")
    assert not result.truncated
    assert 0 < result.length < 2_000


def test_the_same_agent_at_the_same_point_gets_the_same_results(make_agent, perturb):
    def play(seed=0, env_frames=400):
        agent = make_agent(seed, actions=ACTIONS)
        perturb(agent.world_model, 0.1), perturb(agent.behaviour.actor, 0.3)
        protocol = Protocol(max_env_frames_per_episode=800, evaluation_policy="sample")
        return results(agent, episodes=2, env_frames=env_frames, protocol=protocol)

    first = play()
    assert play() == first
    assert all(result.episode_return < 0 for result in first)


def test_episodes_are_seeded_by_run_point_and_number(agent, monkeypatch):
    monkeypatch.setattr(evaluation, "ENVIRONMENTS", 2)
    seeds, reset = {}, AtariEnvironments.reset

    def spy(self, given):
        seeds.setdefault(id(self), []).extend(given.values())
        return reset(self, given)

    monkeypatch.setattr(AtariEnvironments, "reset", spy)
    results(agent, episodes=4, env_frames=800)
    (used,) = seeds.values()
    expected = [Streams(0).integer("evaluation", 800, episode) for episode in range(4)]
    assert sorted(used) == sorted(expected)
    assert len(set(expected)) == 4


@pytest.mark.parametrize(("policy", "argmax"), [("argmax", True), ("sample", False)])
def test_the_protocol_chooses_the_policy(agent, monkeypatch, policy, argmax):
    modes, act = set(), agent.act

    def spy(*args, **options):
        modes.add((options["stream"], options["argmax"]))
        return act(*args, **options)

    monkeypatch.setattr(agent, "act", spy)
    protocol = Protocol(max_env_frames_per_episode=40, evaluation_policy=policy)
    results(agent, episodes=1, protocol=protocol)
    assert modes == {("evaluation", argmax)}


def test_each_episode_starts_from_the_zero_state(agent, monkeypatch):
    monkeypatch.setattr(evaluation, "ENVIRONMENTS", 2)
    firsts, act = [], agent.act

    def spy(observation, is_first, state, **options):
        firsts.append(is_first.tolist())
        return act(observation, is_first, state, **options)

    monkeypatch.setattr(agent, "act", spy)
    results(agent, episodes=3)
    # two side by side for 10 steps, then the third alone beside an idle environment
    assert len(firsts) == 20
    assert [t for t, flags in enumerate(firsts) if flags[0]] == [0, 10]
    assert [t for t, flags in enumerate(firsts) if flags[1]] == [0]


def test_the_environments_are_closed_when_somebody_stops_listening(agent, monkeypatch):
    closed, close = [], AtariEnvironments.close
    monkeypatch.setattr(AtariEnvironments, "close", lambda self: closed.append(1) or close(self))
    listening = evaluate(agent, "Pong", CAPPED, env_frames=0, episodes=3)
    next(listening)
    listening.close()
    assert closed == [1]
