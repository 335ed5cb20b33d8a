"""Exploration: a second behaviour with rewards of its own, which acts in training for a while.

It learns from dreams of the same world model, from the same starts, by the rule of the occupant of
seam B, on streams of its own. What it is rewarded for is a share of the model's reward and terms
that modifications give (seam I):

    r(z_{t+1}) = task_scale · r_model(z_{t+1}) + Σ_i bonus_i[t],     bonus [H, N] of z_t, a_t, z_{t+1}.

    state     z_0     z_1     ...   z_H
    action        a_0     a_1 ...
    bonus         b_0     b_1 ...           bonus[t] is paid with reward[t], for a_t

A bonus depends on the action and the state that it is taken in, and nobody knows that of a dream's
start. So this behaviour learns by the textbook's alignment, whatever the task's behaviour does.
"""  # noqa: E501

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from agents.config import AgentConfig
from agents.dreamer.behaviour import Behaviour, BehaviourParts
from agents.dreamer.distributions import ActionDistribution
from agents.dreamer.imagination import Imagination, Trajectory
from agents.dreamer.loss_terms import AuxiliaryLoss
from agents.streams import Streams

Bonus = Callable[[Trajectory], Tensor]
"""A reward [H, N] for every step of a trajectory."""


@runtime_checkable
class RewardTerm(Protocol):
    """A reward term before the agent exists (seam I)."""

    @property
    def name(self) -> str:
        """The modification that owns it."""

    def build(self, losses: Mapping[str, AuxiliaryLoss]) -> Bonus:
        """Makes the bonus, which may ask the networks of a loss term."""

    def describe(self) -> dict[str, object]:
        """Its settings, for the run's identity."""


@dataclass(frozen=True)
class Exploration:
    """A second behaviour before the agent exists.

    Attributes:
        name: The modification that owns it, and its random streams.
        terms: What it is rewarded for.
        task_scale: Factor of the model's reward.
        until: The env_frames of the run at which the task's behaviour takes over; None: never.
    """

    name: str
    terms: tuple[RewardTerm, ...]
    task_scale: float = 0.0
    until: int | None = None

    def build(
        self,
        behaviour: BehaviourParts,
        config: AgentConfig,
        actions: ActionDistribution,
        losses: Mapping[str, AuxiliaryLoss],
        streams: Streams,
        device: str | torch.device,
    ) -> "Explorer":
        """Makes a behaviour as the task's is made, on streams of its own."""
        textbook = config.model_copy(update={"corrected_targets": True})
        built = behaviour.build(textbook, actions, streams.within(self.name), device)
        return Explorer(self, built, [term.build(losses) for term in self.terms])

    def describe(self) -> dict[str, object]:
        """Its settings, for the run's identity."""
        terms = [{"name": term.name, **term.describe()} for term in self.terms]
        return {"terms": terms, "task_scale": self.task_scale, "until": self.until}


class Explorer:
    """The second behaviour of an agent.

    Attributes:
        behaviour: What learns and acts.
        over: Whether the task's behaviour has taken over; then this one learns no more.
    """

    def __init__(self, parts: Exploration, behaviour: Behaviour, bonuses: Sequence[Bonus]) -> None:
        self.parts, self.behaviour, self.over = parts, behaviour, False
        self._bonuses = tuple(bonuses)

    @property
    def name(self) -> str:
        """The owner."""
        return self.parts.name

    def acts_at(self, env_frames: int) -> bool:
        """Whether it is this behaviour that acts in training; remembers if its time is over."""
        until = self.parts.until
        self.over = until is not None and env_frames >= until
        return not self.over

    def rewarded(self, trajectory: Trajectory) -> Trajectory:
        """The same rollout with the rewards of this behaviour."""
        scale = self.parts.task_scale
        reward = scale * trajectory.reward
        for bonus in self._bonuses:
            reward = reward + bonus(trajectory)
        return replace(trajectory, reward=reward, start_reward=scale * trajectory.start_reward)

    def update(
        self, imagination: Imagination, uniforms: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, ""]]:
        """Learns from dreams with its own rewards; metrics bear the owner's name."""
        told = self.behaviour.update(replace(imagination, rewarded=self.rewarded), uniforms)
        steps = self.behaviour.config.horizon * len(imagination.start.is_terminal)
        metrics = {f"{self.name}/{key}": value for key, value in told.items()}
        some = next(iter(told.values()))
        return metrics | {f"{self.name}/imagined_steps": torch.full_like(some, float(steps))}

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes."""
        return {"behaviour": self.behaviour.training_state(), "over": self.over}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts it back to where `state_dict` found it."""
        self.behaviour.load_training_state(state["behaviour"])
        self.over = state["over"]
