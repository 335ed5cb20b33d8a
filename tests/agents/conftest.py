"""What the agent's tests share: small agents, batches, digests, and a life without an emulator."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from agents.assemble import assemble
from agents.config import Budget, Protocol, agent_config
from agents.dreamer.agent import Agent
from agents.dreamer.rssm import LatentState
from agents.dreamer.surgery import operate
from agents.dreamer.world_model import Batch, Posteriors
from agents.observation import ATARI
from agents.parts import Parts
from agents.streams import Streams
from agents.training.learner import Learner
from agents.training.observer import counts
from agents.training.recipe import (
    Clock,
    Collect,
    Surgery,
    TrainBehaviour,
    TrainWorldModel,
    Validate,
    following,
)
from agents.training.replay import Replay

ACTIONS = 5


@pytest.fixture(autouse=True, scope="session")
def _one_thread_and_every_warning():
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    torch.set_warn_always(True)  # else a warning fails whichever test comes first
    yield
    torch.set_warn_always(False)
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(threads)


def _digest(value):
    """Sha256 of nested mappings, sequences, tensors and plain values."""
    digest = hashlib.sha256()

    def feed(value):
        if isinstance(value, torch.Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        elif isinstance(value, Mapping):
            for key in sorted(value, key=str):
                digest.update(str(key).encode())
                feed(value[key])
        elif isinstance(value, list | tuple):
            digest.update(f"{len(value)} items".encode())
            for item in value:
                feed(item)
        else:
            digest.update(repr(value).encode())

    feed(value)
    return digest.hexdigest()


@pytest.fixture(scope="session")
def digest():
    return _digest


def _random_batch(B, T, *, actions=ACTIONS, seed=0):
    """A batch whose sequences start at row 0, with rewards beyond 1 and a few terminal rows."""
    generator = torch.Generator().manual_seed(seed)
    is_first = torch.zeros(B, T, dtype=torch.bool)
    is_first[:, 0] = True
    return Batch(
        observation=torch.randint(
            0, 256, (B, T, 1, 64, 64), generator=generator, dtype=torch.uint8
        ),
        action=torch.randint(0, actions, (B, T), generator=generator),
        reward=2 * torch.randn(B, T, generator=generator),
        is_first=is_first,
        is_terminal=torch.rand(B, T, generator=generator) < 0.2,
        row=torch.arange(B * T).view(B, T),
        episode=(T * torch.arange(B))[:, None].expand(B, T),
    )


@pytest.fixture(scope="session")
def random_batch():
    return _random_batch


@pytest.fixture
def uniforms():
    """Draws numbers in [0, 1) from one seeded generator per test."""
    generator = torch.Generator().manual_seed(20)
    return lambda *shape: torch.rand(*shape, generator=generator)


@pytest.fixture
def make_agent():
    """A micro agent of 5 actions; keyword arguments override its configuration."""

    def make(seed=0, *, actions=ACTIONS, parts=None, observation=ATARI, **settings):
        parts = Parts(agent_config("micro", **settings)) if parts is None else parts
        return Agent(parts, observation, actions, Streams(seed))

    return make


@pytest.fixture
def perturb():
    """Moves every parameter, biases included, away from its initial value."""

    def perturb(module, scale=0.3):
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += scale * torch.randn(parameter.shape, generator=generator)
        return module

    return perturb


def _filled_replay(config):
    """Complete episodes of noise, the same in every test: two, or four with a validation split."""
    rng, length = np.random.default_rng(5), config.length
    replay = Replay(12 * length, ATARI, config, Streams(0))
    longer = 2 * length + 1
    episodes = (length, longer, length, longer) if config.validation_fraction else (length, longer)
    for steps in episodes:
        replay.begin(rng.integers(0, 256, (1, 64, 64), dtype=np.uint8))
        for t in range(steps):
            replay.add(
                int(rng.integers(ACTIONS)),
                rng.integers(0, 256, (1, 64, 64), dtype=np.uint8),
                float(rng.normal()),
                terminated=t == steps - 1,
                ended=t == steps - 1,
            )
    return replay


@pytest.fixture
def filled_replay():
    """A replay of noise for a configuration, that of the micro agent unless given."""
    return lambda config=None: _filled_replay(agent_config("micro") if config is None else config)


@dataclass
class Life:
    """What an agent did and became."""

    agent: Agent
    events: list
    actions: list
    metrics: list

    @property
    def outcome(self):
        """Everything but the positions of the random streams."""
        state = self.agent.state_dict()
        del state["streams"]
        return _digest([state, self.events, self.actions])


@pytest.fixture
def live():
    """Carries out the recipe of some parts on a replay of noise, without an emulator."""

    def live(parts, seed=0, *, env_frames=128, prefill_frames=40):
        agent = Agent(parts, ATARI, ACTIONS, Streams(seed))
        replay = _filled_replay(parts.config)
        learner, clock = Learner(agent, replay), Clock(episodes=replay.episodes)
        clock.validation_episodes = replay.validation_episodes
        budget = Budget(env_frames=prefill_frames + env_frames, prefill_frames=prefill_frames)
        rng, state, is_first = np.random.default_rng(6), agent.begin(1), torch.ones(1)
        life = Life(agent, [], [], [])
        recipe = parts.recipe(budget, Protocol(), clock)
        event = next(recipe)
        while event is not None:
            life.events.append(event)
            result = {}
            match event:
                case Collect(policy=policy):
                    clock.env_frames += 4
                    image = torch.from_numpy(rng.integers(0, 256, (1, 1, 64, 64), dtype=np.uint8))
                    if policy == "behaviour":
                        state = agent.act(
                            image, is_first, state, stream="acting", explore_at=clock.env_frames
                        )
                        is_first = torch.zeros(1)
                        life.actions.append(int(state.action))
                case TrainWorldModel():
                    result = learner.train_world_model()
                    clock.updates += 1
                case TrainBehaviour():
                    result = learner.train_behaviour()
                    clock.behaviour_updates += 1
                    life.metrics += [report.values for report in learner.report(clock)]
                case Validate():
                    result = learner.validate()
                case Surgery(owner=owner, number=number, operations=operations):
                    touched = operate(agent, operations, agent.streams.integer(owner, number))
                    life.metrics.append({f"{owner}/parameters_touched": float(touched)})
                    learner.forget()
                    state, is_first = agent.begin(1), torch.ones(1)
            event = following(recipe, result)
        life.metrics.append(counts(clock, parts.config))
        return life

    return live


RATES = {"actor_lr": 1e-3, "critic_lr": 3e-3, "target_every": 20}


class Simulator(nn.Module):
    """A Markov decision process as tables, in the place of the recurrent model.

    States are one-hot, those from which nothing follows terminal, and a reward is paid on
    arriving. A step with gradients is the same one, linear in state and action.
    """

    def __init__(self, successor, reward, terminal):
        super().__init__()
        self.successor, self.reward, self.terminal = successor, reward, terminal
        self.states, self.actions = successor.shape
        self.transition = one_hot(successor, self.states).float()  # [S, A, S']

    def state(self, index):
        return LatentState(one_hot(index, self.states).float(), torch.zeros(len(index), 1))

    def img_step(self, state, action, uniforms, sample=None):
        if sample is None:
            return self.state(self.successor[state.stoch.argmax(-1), action.argmax(-1)])
        stoch = torch.einsum("ns,na,sap->np", state.stoch, action, self.transition)
        return LatentState(stoch, state.deter)

    def returns(self, policy, gamma=1.0):
        """Expected sum of the rewards on arrival, each state's own included, for a policy [S, A].

        V = r + gamma (1 - terminal) P V, solved exactly.
        """
        alive = gamma * (~self.terminal).double()
        step = (policy.double()[..., None] * one_hot(self.successor, self.states)).sum(1)
        system = torch.eye(self.states, dtype=torch.double) - alive[:, None] * step
        return torch.linalg.solve(system, self.reward.double())


class Lookup(nn.Module):
    """A head that knows: one number for each state."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, feat):
        return (feat[..., : len(self.table)] @ self.table).unsqueeze(-1)


def make_chain():
    """States 0..4 in a row; entering 4 pays 1 and ends the episode.

    As in a dream, the rollout goes on past the end: from 4 one can walk back and be paid again,
    and only the discount of 0 says that this does not count.
    """
    state = torch.arange(5)
    successor = torch.stack([(state - 1).clamp_min(0), (state + 1).clamp_max(4)], -1)
    return Simulator(successor, (state == 4).float(), state == 4)


def make_catch():
    """A ball falls nine rows in one of five columns; being below it when it lands pays 1, else -1.

    State (ball's row, ball's column, paddle); actions left, stay, right.
    """
    row, ball, paddle = (
        axis.flatten()
        for axis in torch.meshgrid(torch.arange(10), *2 * [torch.arange(5)], indexing="ij")
    )
    moved = [(paddle + move).clamp(0, 4) for move in (-1, 0, 1)]
    landed = row == 9
    following = torch.stack([((row + 1) * 5 + ball) * 5 + place for place in moved], -1)
    successor = torch.where(landed[:, None], torch.arange(250)[:, None], following)
    won = torch.where(ball == paddle, 1.0, -1.0)
    return Simulator(successor, torch.where(landed, won, 0.0), landed)


def agent_in(simulator, seed, modifications=(), *, end=-1e4, **settings):
    """An agent that dreams of the simulator, whose discount has the logit `end` at its ends."""
    latent = {"stoch": 1, "classes": simulator.states, "deter": 1}
    config = agent_config("micro", layers=2, **{**latent, **RATES, **settings})
    agent = Agent(assemble(config, modifications), ATARI, simulator.actions, Streams(seed))
    alive = config.gamma * (~simulator.terminal).float()
    agent.world_model.rssm = simulator
    agent.world_model.reward = Lookup(simulator.reward)
    agent.world_model.discount = Lookup(torch.logit(alive).clamp_min(end))
    return agent


def agent_in_chain(seed, modifications=(), **settings):
    """The chain, and an agent that dreams of it."""
    simulator, sizes = make_chain(), {"units": 32, "horizon": 10, "gamma": 0.9}
    return simulator, agent_in(simulator, seed, modifications, **sizes, **settings)


def agent_in_catch(seed, modifications=(), **settings):
    """Catch, and an agent that dreams of it."""
    simulator, sizes = make_catch(), {"units": 64, "horizon": 10, "gamma": 0.99}
    return simulator, agent_in(simulator, seed, modifications, **sizes, **settings)


def trained(agent, simulator, seed, *, updates, starts):
    """Updates the behaviour from states drawn evenly, the terminal ones included."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(updates):
        index = torch.randint(simulator.states, (starts,), generator=generator)
        start = Posteriors(simulator.state(index), simulator.terminal[index].float())
        agent.train_behaviour(start)
    return agent


@torch.no_grad()
def policies(agent, simulator):
    """The greedy policy [S, A], and the sampled one."""
    feat = simulator.state(torch.arange(simulator.states)).feat
    return agent.behaviour.act(feat, None), agent.behaviour.actor(feat).softmax(-1)


@torch.no_grad()
def values(agent, simulator):
    """What the behaviour expects to follow each state [S], rewards on arrival excluded."""
    feat = simulator.state(torch.arange(simulator.states)).feat
    disc = agent.config.gamma * (~simulator.terminal).float()
    return agent.behaviour.value(feat, simulator.reward, disc)


@pytest.fixture(scope="session")
def exact():
    """Simulators that are exact, agents that dream of them, and what these have learned."""
    return SimpleNamespace(
        chain=agent_in_chain,
        catch=agent_in_catch,
        trained=trained,
        policies=policies,
        values=values,
    )
