"""The actor-critic: the base's behaviour, with a critic of states (seam B, today's occupant).

DreamerV2 (arXiv:2010.02193), section 2.2, with REINFORCE gradients. What the two networks regress,
and in which alignment, is drawn in agents/dreamer/targets.py. How often and by which loss they
learn from one dream is a component of its own, the rule.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from agents.config import AgentConfig
from agents.dreamer.behaviour import Behaviour, network
from agents.dreamer.distributions import ActionDistribution
from agents.dreamer.entropy import EntropyTarget
from agents.dreamer.imagination import Imagination, Trajectory, uniforms_shapes
from agents.dreamer.targets import Targets, arrival_targets, textbook_targets
from agents.streams import Streams


class ActorCritic(Behaviour):
    """An actor, a critic of states and its target.

    Args:
        config: Sizes, and what the losses need.
        actions: What the actor's outputs mean.
        streams: Gives the initial weights.
        device: Where it lives.
        rule: How it learns from dreams; A2C if not given.
        entropy: Tunes the weight of the entropy; it is the base's `entropy_scale` if not given.
    """

    def __init__(
        self,
        config: AgentConfig,
        actions: ActionDistribution,
        streams: Streams,
        device: str | torch.device = "cpu",
        rule: "Rule | None" = None,
        entropy: EntropyTarget | None = None,
    ) -> None:
        super().__init__(
            config,
            actions,
            actor=network(config, actions.outputs, streams.initialiser("actor")).to(device),
            critic=network(config, 1, streams.initialiser("critic")).to(device),
            target_critic=network(config, 1, streams.initialiser("target_critic")).to(device),
        )
        self.rule = A2C() if rule is None else rule
        if entropy is not None:
            self.tune_entropy(entropy, device)

    def value(
        self,
        feat: Float[Tensor, "*batch F"],
        reward: Float[Tensor, "*batch"],
        disc: Float[Tensor, "*batch"],
    ) -> Float[Tensor, "*batch"]:
        """V(z) - r(z); under the corrected targets, where V does not contain r(z), d(z) V(z)."""
        value: Tensor = self.critic(feat).squeeze(-1)
        return disc * value if self.config.corrected_targets else value - reward

    def uniforms_shapes(self, starts: int) -> dict[str, tuple[int, ...]]:
        """Those of the rule."""
        return self.rule.uniforms_shapes(self.config, starts)

    def update(
        self, imagination: Imagination, uniforms: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, ""]]:
        """Learns from dreams as the rule says."""
        return self.rule.update(self, imagination, uniforms)

    @torch.no_grad()
    def targets(self, trajectory: Trajectory) -> Targets:
        """Computes returns, advantages and weights; none carries a gradient."""
        return self.targets_pathwise(trajectory)

    def targets_pathwise(self, trajectory: Trajectory) -> Targets:
        """The same targets, with gradients to all that a dream with gradients holds."""
        config, value = self.config, self.target_critic(trajectory.feat).squeeze(-1)
        if config.corrected_targets:
            return textbook_targets(trajectory, value, lambda_=config.lambda_, gamma=config.gamma)
        return arrival_targets(trajectory, value, lambda_=config.lambda_)

    def actor_loss(
        self, trajectory: Trajectory, targets: Targets
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "A N"]]:
        """−mean(w_t [log π(a_t | z_t) A_t + η H(π(·|z_t))]) with the advantages A_t.

        Returns:
            The loss, and the entropy of each state whose action is trained, in nats.
        """
        trained = len(targets.advantage)
        logits = self.actor(trajectory.feat[:trained])
        log_probability = self.actions.log_probability(logits, trajectory.action[:trained])
        spread = self.actions.entropy(logits)
        objective = log_probability * targets.advantage + self.entropy_weight() * spread
        return -(targets.weight[:trained] * objective).mean(), spread.detach()

    def critic_loss(self, trajectory: Trajectory, targets: Targets) -> Float[Tensor, ""]:
        """mean(w_t ½ (V(z_t) − G_t)²), t = 0..H-1."""
        value: Tensor = self.critic(trajectory.feat[:-1]).squeeze(-1)
        return (targets.weight * 0.5 * (value - targets.returns).square()).mean()

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


@runtime_checkable
class Rule(Protocol):
    """How an actor-critic learns from dreams: a component of the behaviour (seam B)."""

    @property
    def name(self) -> str:
        """Its name, and that of the uniforms that it takes beside those of dreams."""

    def uniforms_shapes(self, config: AgentConfig, starts: int) -> dict[str, tuple[int, ...]]:
        """How many uniforms an update on dreams from so many starts takes, by owner."""

    def update(
        self, learner: ActorCritic, imagination: Imagination, uniforms: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, ""]]:
        """As `Behaviour.update`, for the given actor-critic."""

    def describe(self) -> dict[str, object]:
        """Its settings, for the run's identity."""


@dataclass(frozen=True)
class A2C:
    """One dream, then one step of the actor and one of the critic."""

    name: ClassVar[str] = "a2c"

    def uniforms_shapes(self, config: AgentConfig, starts: int) -> dict[str, tuple[int, ...]]:
        """Those of one dream."""
        return uniforms_shapes(config, starts)

    def update(
        self, learner: ActorCritic, imagination: Imagination, uniforms: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, ""]]:
        """Learns from one dream."""
        trajectory = imagination.dream(learner.act, uniforms)
        targets = learner.targets(trajectory)
        actor_loss, entropy = learner.actor_loss(trajectory, targets)
        actor_norm = learner.optimisers["actor"].step(actor_loss)
        critic_loss = learner.critic_loss(trajectory, targets)
        critic_norm = learner.optimisers["critic"].step(critic_loss)
        return {
            "actor_loss": actor_loss.detach(),
            "critic_loss": critic_loss.detach(),
            "actor_entropy": entropy.mean(),
            "actor_grad_norm": actor_norm,
            "critic_grad_norm": critic_norm,
            **learner.entropy_weight.update(entropy, targets.weight[: len(entropy)]),
        } | learner.statistics(trajectory, targets)

    def describe(self) -> dict[str, object]:
        """It has no settings but those of the base agent."""
        return {}


@dataclass(frozen=True)
class ActorCriticParts:
    """The actor-critic before it exists, and its components.

    Attributes:
        rule: How it learns from dreams.
        entropy: How the weight of the entropy is tuned; None: it stays as the base has it.
    """

    rule: Rule = A2C()
    entropy: EntropyTarget | None = None
    name: ClassVar[str] = "actor_critic"

    def build(
        self,
        config: AgentConfig,
        actions: ActionDistribution,
        streams: Streams,
        device: str | torch.device,
    ) -> ActorCritic:
        """Makes one, with its initial weights."""
        return ActorCritic(config, actions, streams, device, self.rule, self.entropy)

    def describe(self) -> dict[str, object]:
        """The components."""
        described: dict[str, object] = {"rule": {"name": self.rule.name, **self.rule.describe()}}
        if self.entropy is not None:
            described["entropy"] = asdict(self.entropy)
        return described
