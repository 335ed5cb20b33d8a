"""The policy: the networks by which an agent chooses its next action, and one step of them.

    o_t -> encoder -> e_t,    h_t, z_t ~ q(z | h_t, e_t) of the last state and action,    a ~ π(a | z_t, h_t)

They are the agent's own, or a copy that acts while the agent's own learn.
"""  # noqa: E501

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor, nn

from agents.dreamer.behaviour import Behaviour
from agents.dreamer.networks import Encoder
from agents.dreamer.rssm import RSSM, LatentState
from agents.dreamer.world_model import normalised, one_hot_actions
from agents.execution.executor import Executor, Inputs

LATENT, CHOICE = "latent_draws", "choice_draws"
"""The inputs that hold the uniforms of a step; without the second, the action is the likeliest."""


@dataclass(frozen=True)
class ActingState:
    """What the agent carries from one environment step to the next, for N environments."""

    latent: LatentState
    action: Int[Tensor, " N"]

    @classmethod
    def of(cls, stoch: Tensor, deter: Tensor, action: Tensor) -> "ActingState":
        """Puts the tensors of a saved state together again."""
        return cls(LatentState(stoch, deter), action)


@dataclass(frozen=True)
class Policy:
    """The networks that act.

    Attributes:
        encoder: Of observations.
        rssm: The recurrent model.
        behaviours: Those who may have to choose.
    """

    encoder: Encoder
    rssm: RSSM
    behaviours: tuple[Behaviour, ...]

    @torch.no_grad()
    def step(self, inputs: Inputs, who: int, actions: int) -> ActingState:
        """Filters one observation and chooses, as a program.

        Args:
            inputs: The observation [N, *obs], `is_first` [N], the last state and action, and the
                draws in [0, 1).
            who: Which of the behaviours chooses.
            actions: How many there are.
        """
        latent = self.rssm.obs_step(
            LatentState(inputs["stoch"], inputs["deter"]),
            one_hot_actions(inputs["action"], actions),
            self.encoder(normalised(inputs["observation"])),
            inputs["is_first"],
            inputs[LATENT],
        )
        chosen = self.behaviours[who].act(latent.feat, inputs.get(CHOICE))
        return ActingState(latent, chosen.argmax(-1))

    def copied(self) -> "Policy":
        """The same networks with parameters of their own, which nobody trains."""
        return Policy(
            copy.deepcopy(self.encoder), copy.deepcopy(self.rssm), copy.deepcopy(self.behaviours)
        )

    @property
    def modules(self) -> nn.ModuleList:
        """All networks, as one."""
        return nn.ModuleList([self.encoder, self.rssm, *self.behaviours])

    @torch.no_grad()
    def follow(self, other: "Policy") -> None:
        """Takes over the parameters of another one; an accelerator does it in one go."""
        torch._foreach_copy_(list(self.modules.parameters()), list(other.modules.parameters()))


@dataclass(frozen=True)
class Deputy:
    """A policy that acts in the place of an agent's own, and what carries out its steps."""

    policy: Policy
    execute: Executor
