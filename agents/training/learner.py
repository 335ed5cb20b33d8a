"""The learner: the agent's updates on its replay, and the means of their metrics."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from agents.dreamer.agent import Agent
from agents.dreamer.rssm import LatentState
from agents.dreamer.world_model import Batch, Posteriors
from agents.execution.executor import Eager
from agents.training.recipe import Clock
from agents.training.replay import Replay
from agents.training.reports import Metrics
from agents.training.validation import validate


class DivergedError(Exception):
    """A loss or a gradient became infinite or not a number: the run can teach nothing more."""


class Learner:
    """Trains an agent on a replay and keeps what is to be reported about it."""

    def __init__(self, agent: Agent, replay: Replay) -> None:
        self.agent, self.replay = agent, replay
        # a block that lies elsewhere is read by the host, and what is read is sent over
        self._sampling = agent.execute if replay.at_hand else Eager()
        self._posteriors: Posteriors | None = None  # of the last update, until a dream uses them
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def train_world_model(self) -> Mapping[str, Tensor]:
        """Updates the world model on a batch of replay; returns the metrics."""
        self._posteriors, metrics = self.agent.train_world_model(self._batch("replay"))
        return self._add(metrics)

    def train_behaviour(self) -> Mapping[str, Tensor]:
        """Updates actor and critic on dreams; returns the metrics.

        They start from the states of the last update of the world model, or, when dreams have
        started from those already, from the states of another batch.
        """
        posteriors, self._posteriors = self._posteriors, None
        if posteriors is None:
            posteriors = self.agent.posteriors(self._batch("replay/dreaming"))
        return self._add(self.agent.train_behaviour(posteriors))

    def validate(self) -> Mapping[str, Tensor]:
        """Measures the world model on a batch of validation episodes; returns the metrics."""
        batch = self._batch("validation/replay", validation=True)
        B, T = batch.reward.shape
        world_model = self.agent.world_model
        draws = self.agent.streams.uniforms("validation", *world_model.uniforms_shape(B, T))
        return self._add(validate(world_model, batch, draws))

    def forget(self) -> None:
        """Drops the states that wait for a dream: the model that made them is another now."""
        self._posteriors = None

    def report(self, clock: Clock) -> Iterator[Metrics]:
        """Yields the means since the last report, if there was an update.

        Raises:
            DivergedError: If one of them is infinite or not a number.
        """
        if self._sums:
            means = {name: float(sum_ / self._counts[name]) for name, sum_ in self._sums.items()}
            self._sums.clear()
            self._counts.clear()
            lost = [name for name, mean in means.items() if not math.isfinite(mean)]
            if lost:
                raise DivergedError(
                    f"training diverged: {', '.join(lost)} not finite at update {clock.updates} "
                    f"({clock.env_frames} env_frames)"
                )
            yield Metrics(clock.env_frames, clock.updates, means | self.agent.activity())

    def state_dict(self) -> dict[str, Any]:
        """What waits between two updates: metrics not told yet, states not dreamed from yet."""
        waiting = None
        if self._posteriors is not None:
            state = self._posteriors.state
            waiting = {
                "stoch": _kept(state.stoch),
                "deter": _kept(state.deter),
                "is_terminal": _kept(self._posteriors.is_terminal),
            }
        sums = {name: _kept(sum_) for name, sum_ in self._sums.items()}
        return {"posteriors": waiting, "sums": sums, "counts": dict(self._counts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts the learner back to where `state_dict` found it."""
        device, waiting = self.replay.device, state["posteriors"]
        self._posteriors = None
        if waiting is not None:
            stoch, deter, is_terminal = (
                waiting[name].to(device) for name in ("stoch", "deter", "is_terminal")
            )
            self._posteriors = Posteriors(LatentState(stoch, deter), is_terminal)
        self._sums = {name: sum_.to(device, copy=True) for name, sum_ in state["sums"].items()}
        self._counts = dict(state["counts"])

    def _batch(self, stream: str, *, validation: bool = False) -> Batch:
        draws = self.agent.streams.uniforms(stream, self.agent.config.batch, 2)
        sample = self.replay.sample_validation if validation else self.replay.sample_training
        return self._sampling(stream, sample, {"uniforms": draws})

    def _add(self, metrics: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Adds the metrics of an update to their sums; an accelerator does it in one go."""
        for name, value in metrics.items():
            if name not in self._sums:
                self._sums[name] = torch.zeros_like(value)
            self._counts[name] = self._counts.get(name, 0) + 1
        torch._foreach_add_([self._sums[name] for name in metrics], list(metrics.values()))
        return metrics


def _kept(x: Tensor) -> Tensor:
    """A copy on the host, which stays as it is when the original is written over."""
    return x.to("cpu", copy=True)
