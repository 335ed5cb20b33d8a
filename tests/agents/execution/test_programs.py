"""What an agent does can be recorded and replayed, bit by bit, with every modification.

The device is pretended (conftest.py): it refuses what a graph cannot hold, and what Python decides
anew at every call would show as a difference.
"""

import numpy as np
import pytest
import torch

from agents.assemble import assemble
from agents.config import agent_config
from agents.dreamer.agent import Agent
from agents.execution.executor import REHEARSALS, Eager, Graphed
from agents.modifications import REGISTRY
from agents.observation import ATARI
from agents.parts import Parts
from agents.streams import Streams
from agents.training.learner import Learner

pytestmark = pytest.mark.usefixtures("adam_of_an_accelerator")

ACTIONS = 5
ROUNDS = REHEARSALS + 2


def parts_of(modification, example=0):
    if modification is None:
        return Parts(agent_config("micro"))
    example = modification.examples[example]
    split = {"validation_fraction": 0.25} if modification.requires_validation else {}
    config = agent_config("micro", **modification.requires, **split, **example.base)
    return assemble(config, [modification.model_validate(dict(example.settings))])


class Pupil:
    """An agent that learns, and looks around in between."""

    def __init__(self, parts, replay, execute, precision="fp32"):
        self.agent = Agent(parts, ATARI, ACTIONS, Streams(0), precision=precision, execute=execute)
        self.replay, self.learner = replay, Learner(self.agent, replay)
        self.state, self.rng = self.agent.begin(1), np.random.default_rng(3)
        self.told = []
        replay.begin(self.image()[0])

    def image(self, count=1):
        return self.rng.integers(0, 256, (count, 1, 64, 64), dtype=np.uint8)

    def update(self):
        metrics = self.learner.train_world_model() | self.learner.train_behaviour()
        self.told.append({name: value.clone() for name, value in metrics.items()})

    def act(self, env_frames, ended=False):
        image = self.image()
        self.state = self.agent.act(
            torch.from_numpy(image),
            torch.zeros(1),
            self.state,
            stream="acting",
            explore_at=env_frames,
        )
        action = int(self.state.action)
        self.told.append(action)
        self.replay.add(action, image[0], float(action), terminated=False, ended=ended)
        if ended:
            self.replay.begin(self.image()[0])

    def evaluate(self):
        image, state = torch.from_numpy(self.image(3)), self.agent.begin(3)
        for _ in range(2):
            state = self.agent.act(image, torch.zeros(3), state, stream="evaluation", argmax=True)
        self.told.append(state.action.clone())

    def live(self, rounds=ROUNDS):
        for moment in range(rounds):
            self.update()
            self.act(40 + 4 * moment, ended=moment % 2 == 1)
            self.evaluate()

    def outcome(self, digest):
        return digest([self.told, self.agent.state_dict(), self.learner.state_dict()])


@pytest.fixture
def pupils(filled_replay, device):
    """Two that are alike, one of them graphed."""

    def pupils(parts, precision="fp32"):
        executors = Eager(), Graphed(device)
        return [Pupil(parts, filled_replay(parts.config), one, precision) for one in executors]

    return pupils


@pytest.mark.parametrize("modification", [None, *REGISTRY.values()], ids=lambda m: m and m.name)
def test_graphs_compute_what_the_operations_do(modification, pupils, device, digest):
    eager, graphed = pupils(parts_of(modification))
    for each in (eager, graphed):
        each.live()
    assert eager.outcome(digest) == graphed.outcome(digest)
    programs = {"replay", "world_model", "behaviour", "policy/acting", "policy/evaluation"}
    assert device.recorded == len(programs)
    assert device.replayed > len(programs)
