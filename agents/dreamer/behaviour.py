"""The behaviour: an actor and a critic, learned from imagined trajectories by A2C.

DreamerV2 (arXiv:2010.02193), section 2.2, with REINFORCE gradients, as the official code does it.
That code attaches a reward to the state on which it arrives, so its critic at z_t contains r(z_t):

    state      z_0        z_1        ...   z_{H-1}    z_H
    reward     r_0        r_1        ...   r_{H-1}    -          r_t = r(z_t); r_0 from the start state
    discount   d_0        d_1        ...   d_{H-1}    -          d_0 = gamma (1 − is_terminal_0), from data
    value      v_0        v_1        ...   v_{H-1}    v_H        target critic
    target     G_0        G_1        ...   G_{H-1}    v_H        G_t = r_t + d_t [(1 − λ) v_{t+1} + λ G_{t+1}]
    critic     V(z_0)     V(z_1)     ...   V(z_{H-1})            regress G_t with weight w_t, t = 0..H-1
    actor      a_0: G_1   a_1: G_2   ...   a_{H-2}: G_{H-1}      advantage G_{t+1} − v_t, t = 0..H-2

The baseline v_t is legal (it does not depend on a_t), but G_{t+1} − v_t is not the advantage: it
is off by r_t and a factor d_t. The last two states train no action.
"""  # noqa: E501

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agents.config import AgentConfig
from agents.dreamer.distributions import entropy, log_probability, one_hot_mode, one_hot_sample
from agents.dreamer.imagination import Trajectory
from agents.dreamer.networks import MLP
from agents.dreamer.returns import lambda_returns
from agents.streams import Streams


@dataclass(frozen=True)
class Targets:
    """What actor and critic learn from one trajectory.

    Attributes:
        returns: [H, N], G_t.
        advantage: [H-1, N], G_{t+1} − v_t.
        weight: [H, N].
    """

    returns: Float[Tensor, "H N"]
    advantage: Float[Tensor, "H1 N"]
    weight: Float[Tensor, "H N"]


class Behaviour(nn.Module):
    """Actor, critic and the target critic."""

    def __init__(self, config: AgentConfig, actions: int, streams: Streams) -> None:
        super().__init__()
        self.config = config
        self.actor = self._network(actions, streams.initialiser("actor"))
        self.critic = self._network(1, streams.initialiser("critic"))
        self.target_critic = self._network(1, streams.initialiser("target_critic"))
        self.target_critic.requires_grad_(False)

    def _network(self, outputs: int, generator: torch.Generator) -> MLP:
        config = self.config
        return MLP(
            config.feat, outputs, units=config.units, layers=config.layers, generator=generator
        )

    def act(
        self, feat: Float[Tensor, "N F"], uniforms: Float[Tensor, " N"] | None
    ) -> Float[Tensor, "N A"]:
        """Chooses one-hot actions: by the uniforms, or the most probable one without them."""
        logits: Tensor = self.actor(feat)
        return one_hot_mode(logits) if uniforms is None else one_hot_sample(logits, uniforms)

    @torch.no_grad()
    def targets(self, trajectory: Trajectory) -> Targets:
        """Computes returns, advantages and weights; none carries a gradient."""
        value = self.target_critic(trajectory.feat).squeeze(-1)
        arrived = torch.cat([trajectory.start_reward[None], trajectory.reward[:-1]])
        disc = torch.cat([trajectory.start_disc[None], trajectory.disc[:-1]])
        returns = lambda_returns(arrived, disc, value[1:], lambda_=self.config.lambda_)
        return Targets(returns, returns[1:] - value[:-2], trajectory.weight)

    def actor_loss(
        self, trajectory: Trajectory, targets: Targets
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """−mean(w_t [log π(a_t | z_t) (G_{t+1} − v_t) + η H(π(·|z_t))]), t = 0..H-2.

        Returns:
            The loss, and the mean entropy in nats.
        """
        logits = self.actor(trajectory.feat[:-2])
        surprise = log_probability(logits, trajectory.action[:-1]) * targets.advantage
        spread = entropy(logits)
        objective = surprise + self.config.entropy_scale * spread
        return -(targets.weight[:-1] * objective).mean(), spread.detach().mean()

    def critic_loss(self, trajectory: Trajectory, targets: Targets) -> Float[Tensor, ""]:
        """mean(w_t ½ (V(z_t) − G_t)²), t = 0..H-1."""
        value: Tensor = self.critic(trajectory.feat[:-1]).squeeze(-1)
        return (targets.weight * 0.5 * (value - targets.returns).square()).mean()

    @torch.no_grad()
    def copy_target(self) -> None:
        """Copies the critic into the target critic."""
        pairs = zip(self.target_critic.parameters(), self.critic.parameters(), strict=True)
        for target, source in pairs:
            target.copy_(source)
