"""The behaviour: an actor and a critic, learned from imagined trajectories by A2C.

DreamerV2 (arXiv:2010.02193), section 2.2, with REINFORCE gradients. What the two regress, and in
which alignment, is drawn in agents/dreamer/targets.py.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agents.config import AgentConfig
from agents.dreamer.distributions import ActionDistribution
from agents.dreamer.imagination import Trajectory
from agents.dreamer.networks import MLP
from agents.dreamer.targets import Targets, arrival_targets, textbook_targets
from agents.streams import Streams


class Behaviour(nn.Module):
    """Actor, critic and the target critic.

    Args:
        config: Sizes, and what the losses need.
        actions: What the actor's outputs mean.
        streams: Gives the initial weights.
    """

    def __init__(self, config: AgentConfig, actions: ActionDistribution, streams: Streams) -> None:
        super().__init__()
        self.config, self.actions = config, actions
        self.actor = self._network(actions.outputs, streams.initialiser("actor"))
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
        """Chooses actions: by the uniforms, or the most probable one without them."""
        logits: Tensor = self.actor(feat)
        if uniforms is None:
            return self.actions.mode(logits)
        return self.actions.sample(logits, uniforms)

    @torch.no_grad()
    def targets(self, trajectory: Trajectory) -> Targets:
        """Computes returns, advantages and weights; none carries a gradient."""
        config, value = self.config, self.target_critic(trajectory.feat).squeeze(-1)
        if config.corrected_targets:
            return textbook_targets(trajectory, value, lambda_=config.lambda_, gamma=config.gamma)
        return arrival_targets(trajectory, value, lambda_=config.lambda_)

    def actor_loss(
        self, trajectory: Trajectory, targets: Targets
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """−mean(w_t [log π(a_t | z_t) A_t + η H(π(·|z_t))]) with the advantages A_t.

        Returns:
            The loss, and the mean entropy in nats.
        """
        trained = len(targets.advantage)
        logits = self.actor(trajectory.feat[:trained])
        log_probability = self.actions.log_probability(logits, trajectory.action[:trained])
        spread = self.actions.entropy(logits)
        objective = log_probability * targets.advantage + self.config.entropy_scale * spread
        return -(targets.weight[:trained] * objective).mean(), spread.detach().mean()

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

    @torch.no_grad()
    def statistics(self, trajectory: Trajectory, targets: Targets) -> dict[str, Float[Tensor, ""]]:
        """Means, and some spreads, of what was imagined and of what is to be learned from it."""
        dreamed = {
            "imagined_reward": trajectory.reward,
            "imagined_discount": trajectory.disc,
            "imagined_weight": targets.weight,
        }
        learned = {
            "imagined_value": targets.value,
            "imagined_return": targets.returns,
            "imagined_advantage": targets.advantage,
        }
        means = {name: numbers.mean() for name, numbers in (dreamed | learned).items()}
        spreads = {f"{name}_std": numbers.std(correction=0) for name, numbers in learned.items()}
        return means | spreads
