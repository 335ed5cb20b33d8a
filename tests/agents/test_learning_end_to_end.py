"""The whole agent learns, from pixels to actions, and does not when it is broken.

Minutes on one thread, so all of it is `slow`; the results are recorded in agents/README.md.
`pytest -m slow -s tests/agents/test_learning_end_to_end.py` prints them.
"""

import time
from typing import ClassVar

import gymnasium
import numpy as np
import pytest
import torch

from agents.assemble import assemble
from agents.config import Budget, Protocol, agent_config
from agents.dreamer.optimiser import Optimiser
from agents.modifications import REGISTRY
from agents.training import loop
from agents.training.evaluation import evaluate
from agents.training.process import set_up_process
from agents.training.replay import Replay

pytestmark = pytest.mark.slow

SMALL = {"deter": 64, "hidden": 64, "stoch": 8, "classes": 8, "depth": 8, "units": 64, "layers": 2}
CATCH = SMALL | {
    "batch": 16,
    "length": 20,
    "horizon": 10,
    "gamma": 0.99,
    "model_lr": 1e-3,
    "actor_lr": 3e-4,
    "critic_lr": 5e-4,
    "kl_scale": 1.0,
    "entropy_scale": 2e-2,
    "env_frames_per_update": 32,
    "pretrain_world_model_updates": 500,
    "pretrain_updates": 0,
    "cross_episodes": True,
}
CATCH_BUDGET = Budget(env_frames=64_000, prefill_frames=12_000)  # 16,000 agent steps
COLOUR = CATCH | {"length": 8, "env_frames_per_update": 8, "pretrain_world_model_updates": 200}
COLOUR_BUDGET = Budget(env_frames=8_000, prefill_frames=2_000)
EPISODES = 200


class ColourMatch(gymnasium.Env):
    """A black or a white picture; the matching one of two buttons pays 1, the other -1."""

    metadata: ClassVar = {"render_modes": []}
    observation_space = gymnasium.spaces.Box(0, 255, (16, 16, 1), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._colour = int(self.np_random.integers(2))
        return self._picture(), {}

    def step(self, action):
        reward = 1.0 if action == self._colour else -1.0
        return self._picture(), reward, True, False, {}

    def _picture(self):
        return np.full((16, 16, 1), 255 * self._colour, np.uint8)


@pytest.fixture(scope="module", autouse=True)
def _as_in_a_worker():
    precision = torch.get_float32_matmul_precision()
    set_up_process(threads=1)
    gymnasium.register("ColourMatch-v0", ColourMatch)
    yield
    del gymnasium.registry["ColourMatch-v0"]
    torch.set_float32_matmul_precision(precision)


def learn(monkeypatch, settings, game, budget, seed, modifications=()):
    """Trains; the mean returns of argmax and of sampled play, and the seconds of CPU."""
    runs, begin = [], loop.Run.begin
    monkeypatch.setattr(loop.Run, "begin", lambda *args: runs.append(begin(*args)) or runs[-1])
    protocol = Protocol(evaluation_episodes=1, final_evaluation_episodes=1)
    parts, started = assemble(agent_config("tiny", **settings), modifications), time.process_time()
    means = {}
    for _ in loop.train(parts, game=game, seed=seed, protocol=protocol, budget=budget):
        pass
    seconds = time.process_time() - started
    (run,) = runs
    for policy in ("argmax", "sample"):
        protocol = Protocol(evaluation_policy=policy)
        results = evaluate(
            run.agent, game, protocol, env_frames=budget.env_frames, episodes=EPISODES
        )
        means[policy] = np.mean([result.episode_return for result in results if result])
    returns = ", ".join(f"{name} {mean:.2f}" for name, mean in means.items())
    arm = "+".join(one.name for one in modifications) or "base"
    updates = f"{run.clock.updates} and {run.clock.behaviour_updates} updates"
    print(f"\n{game} {arm} seed {seed}: {returns}, {updates}, {seconds:.0f} s")  # noqa: T201
    return means["argmax"], means["sample"], seconds


@pytest.mark.parametrize("seed", range(3))
def test_it_presses_the_button_of_the_colour_that_it_sees(monkeypatch, seed):
    argmax, sampled, seconds = learn(
        monkeypatch, COLOUR, "gymnasium:ColourMatch-v0", COLOUR_BUDGET, seed
    )
    assert argmax >= 0.9
    assert sampled >= 0.85
    assert seconds < 120


@pytest.mark.parametrize("seed", range(3))
def test_it_catches_the_ball(monkeypatch, seed):
    argmax, sampled, seconds = learn(monkeypatch, CATCH, "Catch", CATCH_BUDGET, seed)
    assert argmax >= 0.9
    assert sampled >= 0.85
    assert seconds < 360


LEARNERS = {
    "ppo": {"epochs": 4, "minibatches": 4},
    "sac": {"temperature": 0.02, "lambda_": 0.95},
    "dynamics_gradients": {"rho": 0.1},
}
"""Other learners of the behaviour, to lay beside the base's; the rates are the base's."""


@pytest.mark.parametrize("name", LEARNERS)
def test_another_learner_catches_it_too(monkeypatch, name):
    # three seeds of each, at 40,000 frames, are the study catch_algorithms
    learner = REGISTRY[name].model_validate(LEARNERS[name])
    argmax, sampled, _ = learn(monkeypatch, CATCH, "Catch", CATCH_BUDGET, 0, [learner])
    assert argmax >= 0.9
    assert sampled >= 0.85


def test_it_does_not_when_the_actions_of_the_replay_are_shuffled(monkeypatch):
    sample = Replay.sample

    def shuffled(self, uniforms, **how):
        batch = sample(self, uniforms, **how)
        order = uniforms[:, 0].argsort()
        object.__setattr__(batch, "action", batch.action[order].roll(1, 0))
        return batch

    monkeypatch.setattr(Replay, "sample", shuffled)
    argmax, sampled, _ = learn(monkeypatch, CATCH, "Catch", CATCH_BUDGET, 0)
    assert argmax <= 0
    assert sampled <= 0


def test_it_does_not_when_the_actor_is_frozen(monkeypatch):
    step = Optimiser.step

    def frozen(self, loss):
        if self.adam.param_groups[0]["lr"] == CATCH["actor_lr"]:
            return torch.zeros(())
        return step(self, loss)

    monkeypatch.setattr(Optimiser, "step", frozen)
    argmax, sampled, _ = learn(monkeypatch, CATCH, "Catch", CATCH_BUDGET, 0)
    assert argmax <= 0
    assert sampled <= 0
