"""Dynamics gradients: the actor ascends the return through the model that dreamed it.

Heess et al., "Learning Continuous Control Policies by Stochastic Value Gradients" (arXiv:1510.09142);
Hafner et al., "Dream to Control" (arXiv:1912.01603), and, mixed with REINFORCE for discrete actions,
DreamerV2 (arXiv:2010.02193), eq. (6), whose ρ is 1 for REINFORCE alone; here, as in its code, ρ is the
share of the dynamics:

    −mean(w_t [ρ G_t + (1 − ρ) log π(a_t | z_t) A_t + η H(π(·|z_t))]),

where G_t is the return that a_t leads to, as the critic regresses it: G_{t+1} of DreamerV2's alignment,
G_t of the textbooks'. Its gradient goes

    G  <-  r, d, v of every later state  <-  z_{t+1}  <-  z_t and a_t;     a_t <- θ

straight through the samples of latents and actions. What the policy reads carries none, so θ acts
through each a_t alone; nor do the weights w, the advantages and what log π is taken of. Model and target
critic are passed through and stay as they are. On Atari DreamerV2 uses REINFORCE alone.

Such a gradient follows the tangents of r, d and v at the sample, though a latent can only jump. What an
end costs is then γ (1 − γ) (l − l_end), l the logits of the discount, where the discount falls by γ. The
two agree at l_end = l − 1 / (1 − γ); at γ = 0.999 the head of a world model is nowhere near so sure, and
its ends seem too cheap. They would seem too dear to one that is surer; `discount_gradients` leaves the
discounts out.
"""  # noqa: E501

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from agents.config import AgentConfig, Budget
from agents.dreamer.actor_critic import ActorCritic
from agents.dreamer.imagination import Imagination, Trajectory, uniforms_shapes
from agents.dreamer.targets import Targets
from agents.modification import Example, Modification, Proof
from agents.parts import Parts
from agents.training.recipe import first_behaviour_update


class DynamicsGradients(Modification):
    """Mixes straight-through gradients through the model with REINFORCE."""

    name: ClassVar[str] = "dynamics_gradients"
    summary: ClassVar[str] = "the actor learns through the model, mixed with REINFORCE"
    paper: ClassVar[str] = "arXiv:1510.09142; arXiv:1912.01603; arXiv:2010.02193, eq. (6)"
    family: ClassVar[str] = "RL algorithm"
    seam: ClassVar[str] = "B behaviour"
    examples: ClassVar[tuple[Example, ...]] = (
        Example({}, "rho", 1.0),
        Example({}, "discount_gradients", False),
    )

    rho: float = Field(0.1, ge=0, le=1)  # share of the dynamics; 0.1 is the official code's mix
    discount_gradients: bool = True  # also through the discounts that weigh what follows

    @classmethod
    def null(cls, config: AgentConfig) -> "DynamicsGradients":
        return cls(rho=0.0)

    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        return first_behaviour_update(config, budget)

    def proof(self, config: AgentConfig) -> Proof:
        return Proof("dynamics_gradients/imagined_steps")

    def install(self, parts: Parts) -> Parts:
        return parts.with_rule(self.name, ThroughTheModel(self)) if self.rho else parts


@dataclass(frozen=True)
class ThroughTheModel:
    """The rule of the actor-critic."""

    settings: DynamicsGradients

    @property
    def name(self) -> str:
        """The owner."""
        return self.settings.name

    def describe(self) -> dict[str, object]:
        """The settings."""
        return self.settings.determinants()

    def uniforms_shapes(self, config: AgentConfig, starts: int) -> dict[str, tuple[int, ...]]:
        """Those of one dream."""
        return uniforms_shapes(config, starts)

    def update(
        self, learner: ActorCritic, imagination: Imagination, uniforms: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, ""]]:
        """One dream with gradients, then one step of the actor and one of the critic."""
        dreamed = imagination.dream_pathwise(learner.act_pathwise, uniforms)
        if not self.settings.discount_gradients:
            dreamed = replace(dreamed, disc=dreamed.disc.detach())
        live = learner.targets_pathwise(dreamed)
        trajectory, targets = cut_trajectory(dreamed), cut_targets(live)
        actor_loss, entropy = self.actor_loss(learner, trajectory, targets, live.returns)
        actor_norm = learner.optimisers["actor"].step(actor_loss)
        critic_loss = learner.critic_loss(trajectory, targets)
        critic_norm = learner.optimisers["critic"].step(critic_loss)
        return {
            "actor_loss": actor_loss.detach(),
            "critic_loss": critic_loss.detach(),
            "actor_entropy": entropy.mean(),
            "actor_grad_norm": actor_norm,
            "critic_grad_norm": critic_norm,
            f"{self.name}/imagined_steps": entropy.new_full((), trajectory.reward.numel()),
        } | learner.statistics(trajectory, targets)

    def actor_loss(
        self,
        learner: ActorCritic,
        trajectory: Trajectory,
        targets: Targets,
        returns: Float[Tensor, "H N"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "A N"]]:
        """The mixed loss.

        Args:
            learner: Whose actor.
            trajectory: Cut off from its gradients.
            targets: Likewise.
            returns: [H, N], the same returns with their gradients to the actor.

        Returns:
            The loss, and the entropy of each state whose action is trained, in nats.
        """
        A, rho, actions = len(targets.advantage), self.settings.rho, learner.actions
        logits = learner.actor(trajectory.feat[:A])
        log_probability = actions.log_probability(logits, trajectory.action[:A])
        entropy = actions.entropy(logits)
        reinforce = log_probability * targets.advantage
        dynamics = returns[-A:]  # of the state to which each action leads, or of what it leads to
        objective = (1.0 - rho) * reinforce + rho * dynamics
        bonus = learner.entropy_weight() * entropy
        return -(targets.weight[:A] * (objective + bonus)).mean(), entropy.detach()


def cut_trajectory(dreamed: Trajectory) -> Trajectory:
    """The same trajectory without gradients."""
    return Trajectory(**{name: value.detach() for name, value in vars(dreamed).items()})


def cut_targets(live: Targets) -> Targets:
    """The same targets without gradients."""
    return Targets(**{name: value.detach() for name, value in vars(live).items()})
