"""The behaviour: what is learned from dreams, and acts (seam B).

One actor, one critic and the critic's target; how they learn is the occupant's. An update is pure
and of fixed shape, so that it can run anywhere: it takes its uniforms, never waits for a number,
and leaves what follows from counting to `count_update`, between two updates.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agents.config import AgentConfig
from agents.dreamer.distributions import ActionDistribution
from agents.dreamer.entropy import EntropyTarget, EntropyWeight, FixedEntropyWeight
from agents.dreamer.imagination import Imagination, uniforms_shapes
from agents.dreamer.networks import MLP
from agents.dreamer.optimiser import Optimiser
from agents.streams import Streams

BehaviourTag = Literal["actor", "critic"]
"""What a trained parameter of a behaviour belongs to; a target belongs to its critic."""


class Behaviour(nn.Module, ABC):
    """An actor, a critic and a target critic with their optimisers.

    Args:
        config: Sizes, and what the losses need.
        actions: What the actor's outputs mean.
        actor: Gives the actor's outputs by features.
        critic: Trained by the occupant.
        target_critic: Of the critic's form; trained by nobody, it follows the critic.

    Attributes:
        optimisers: By name, one for each loss; every trained parameter is in exactly one.
        entropy_weight: α, of the entropy in what the actor maximises.
        updates: How many there have been.
    """

    def __init__(
        self,
        config: AgentConfig,
        actions: ActionDistribution,
        *,
        actor: nn.Module,
        critic: nn.Module,
        target_critic: nn.Module,
    ) -> None:
        super().__init__()
        self.config, self.actions = config, actions
        self.actor, self.critic, self.target_critic = actor, critic, target_critic
        self.target_critic.requires_grad_(False)
        self.optimisers = {
            "actor": Optimiser(actor.parameters(), config.actor_lr, config),
            "critic": Optimiser(critic.parameters(), config.critic_lr, config),
        }
        self.entropy_weight: EntropyWeight = FixedEntropyWeight(config.entropy_scale)
        self.updates = 0

    def tune_entropy(self, target: EntropyTarget, device: str | torch.device) -> None:
        """Puts a tuned weight of the entropy in the place of the base's fixed one."""
        self.entropy_weight = target.build(self.config, self.actions.outputs, device)
        self.optimisers |= self.entropy_weight.optimisers()

    def act(
        self, feat: Float[Tensor, "N F"], uniforms: Float[Tensor, " N"] | None
    ) -> Float[Tensor, "N A"]:
        """Chooses actions: by the uniforms, or the most probable one without them."""
        logits: Tensor = self.actor(feat)
        if uniforms is None:
            return self.actions.mode(logits)
        return self.actions.sample(logits, uniforms)

    def act_pathwise(
        self, feat: Float[Tensor, "N F"], uniforms: Float[Tensor, " N"]
    ) -> Float[Tensor, "N A"]:
        """Chooses the same actions by the uniforms, with gradients to the actor."""
        return self.actions.sample_pathwise(self.actor(feat), uniforms)

    @abstractmethod
    def value(
        self,
        feat: Float[Tensor, "*batch F"],
        reward: Float[Tensor, "*batch"],
        disc: Float[Tensor, "*batch"],
    ) -> Float[Tensor, "*batch"]:
        """What is expected to follow each state, the reward on arriving there excluded.

        d(z_t) E[r_{t+1} + d_{t+1} r_{t+2} + d_{t+1} d_{t+2} r_{t+3} + ...]: 0 where the episode
        ends, so that a sum of rewards up to r(z_t), weighted by the discounts before z_t, goes on
        with it under the same weight.

        Args:
            feat: Features of the states.
            reward: r(z_t) of the stream that this behaviour learns from.
            disc: d(z_t), gamma inside.
        """

    def uniforms_shapes(self, starts: int) -> dict[str, tuple[int, ...]]:
        """How many uniforms an update on dreams from so many starts takes, by owner."""
        return uniforms_shapes(self.config, starts)

    @abstractmethod
    def update(
        self, imagination: Imagination, uniforms: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, ""]]:
        """Learns from dreams.

        Args:
            imagination: The way to dream, as often as it likes and as long as there are uniforms.
            uniforms: In [0, 1), as `uniforms_shapes` says.

        Returns:
            Metrics, without gradients.
        """

    def count_update(self) -> None:
        """Does what is due between two updates; the host decides."""
        self.move_target()
        self.updates += 1
        self.entropy_weight.count_update(self.updates)

    def move_target(self) -> None:
        """Lets the target follow its critic: by a copy after every so many updates."""
        if self.updates % self.config.target_every == 0:
            self.copy_target()

    @torch.no_grad()
    def copy_target(self) -> None:
        """Copies the critic into the target critic; an accelerator does it in one go."""
        torch._foreach_copy_(list(self.target_critic.parameters()), list(self.critic.parameters()))

    def networks(self, tag: BehaviourTag) -> tuple[nn.Module, ...]:
        """The networks that a tag names, the target critic not among them."""
        if tag == "critic":
            return (self.critic,)
        return (self.actor, *self.entropy_weight.networks())

    def training_state(self) -> dict[str, Any]:
        """Everything that training changes."""
        return {
            "networks": self.state_dict(),
            "optimisers": {name: one.state_dict() for name, one in self.optimisers.items()},
            "updates": self.updates,
        }

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Puts the behaviour back to where `training_state` found it."""
        self.load_state_dict(state["networks"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.updates = state["updates"]


@runtime_checkable
class BehaviourParts(Protocol):
    """A behaviour before it exists: the occupant of seam B as the parts of an agent hold it.

    One of them can be built more than once, on streams of different names.
    """

    @property
    def name(self) -> str:
        """The base's, or the modification that has put it there."""

    def build(
        self,
        config: AgentConfig,
        actions: ActionDistribution,
        streams: Streams,
        device: str | torch.device,
    ) -> Behaviour:
        """Makes one, with its initial weights."""

    def describe(self) -> dict[str, object]:
        """Its components and settings, for the run's identity."""


def network(config: AgentConfig, outputs: int, generator: torch.Generator) -> MLP:
    """An actor or a critic, before its first update."""
    return MLP(config.feat, outputs, units=config.units, layers=config.layers, generator=generator)
