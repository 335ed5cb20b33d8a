"""Soft actor-critic over discrete actions, learned from dreams.

Haarnoja et al., "Soft Actor-Critic Algorithms and Applications" (arXiv:1812.05905), and Christodoulou,
"Soft Actor-Critic for Discrete Action Settings" (arXiv:1910.07207): two critics Q_1, Q_2 of all actions,
their slow copies Q', and a policy that is paid for its entropy.

    state      z_0          z_1          ...   z_{H-1}              z_H
    action     a_0          a_1          ...   a_{H-1}
    reward     r_1          r_2          ...   r_H                        r_{t+1} pays for a_t
    discount   d_1          d_2          ...   d_H
    soft value V_0          V_1          ...   V_{H-1}              V_H   V = Σ_a π(a) (min Q'(a) − α log π(a))
    target     y_0          y_1          ...   y_{H-1}                    y_t = r_{t+1} + d_{t+1} V_{t+1}
    weight     c_0          c_0 d_1      ...   c_0 d_1..d_{H-1}           of all three losses

    critics    mean(w_t ½ [(Q_1(z_t, a_t) − y_t)² + (Q_2(z_t, a_t) − y_t)²])
    actor      mean(w_t Σ_a π(a | z_t) (α log π(a | z_t) − min Q(z_t, a)))
    α          mean(w_t α (H(π(·|z_t)) − H̄)), where it is tuned

The discount damps the entropy of what follows as it damps the rewards. Rewards are aligned as in the
textbooks whatever `corrected_targets` says, and a terminal start trains nothing.

With λ > 0 the target mixes soft n-step returns, which are right because dreams are on-policy:
y_t = r_{t+1} + d_{t+1} [(1 − λ) V_{t+1} + λ (y_{t+1} − α log π(a_{t+1} | z_{t+1}))]; λ = 0 is the papers'.

There is no null: the critics are other networks. What stands for it are closed forms: a greedy policy as
α → 0, an even one as α grows, V = α ln Σ exp(Q / α) under the best policy, and soft value iteration.
"""  # noqa: E501

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from agents.config import AgentConfig, Budget
from agents.dreamer.behaviour import Behaviour, BehaviourTag, network
from agents.dreamer.distributions import ActionDistribution
from agents.dreamer.entropy import EntropyTarget, FixedEntropyWeight
from agents.dreamer.imagination import Imagination, Trajectory
from agents.dreamer.targets import textbook_weight
from agents.modification import Example, Modification, Proof
from agents.parts import AssemblyError, Parts
from agents.streams import Streams
from agents.training.recipe import first_behaviour_update

TUNED = {"target_entropy": 0.5}
FALLING = {"target_entropy": 0.9, "final_target_entropy": 0.1, "falls_over_updates": 4}


class SAC(Modification):
    """Learns two critics of actions, and a policy that is paid for its entropy."""

    name: ClassVar[str] = "sac"
    summary: ClassVar[str] = "twin critics of actions, and pay for the policy's entropy"
    paper: ClassVar[str] = "arXiv:1812.05905; arXiv:1910.07207"
    family: ClassVar[str] = "RL algorithm"
    seam: ClassVar[str] = "B behaviour"
    examples: ClassVar[tuple[Example, ...]] = (
        Example({}, "temperature", 0.5),
        Example({}, "target_entropy", 0.5),
        Example(FALLING, "final_target_entropy", 0.2),
        Example(FALLING, "falls_over_updates", 2),
        Example(TUNED, "temperature_lr", 1.0),
        Example({}, "target_rate", 0.5),
        Example({}, "lambda_", 0.9),
    )

    temperature: float | None = Field(None, gt=0)  # α at first; None: the base's `entropy_scale`
    target_entropy: float | None = Field(None, gt=0, le=1)  # H̄ / ln(actions); None: α is fixed
    final_target_entropy: float | None = Field(None, gt=0, le=1)  # None: the target stays
    falls_over_updates: int | None = Field(None, ge=1)  # of the behaviour, until it is final
    temperature_lr: float = Field(3e-4, gt=0)  # of a tuned α
    target_rate: float | None = Field(None, gt=0, le=1)  # τ per update; None: whole copies
    lambda_: float = Field(0.0, ge=0, le=1)  # 0: one-step targets

    @model_validator(mode="after")
    def _a_schedule_has_two_ends(self) -> "SAC":
        ends = self.final_target_entropy, self.falls_over_updates
        if (ends[0] is None) != (ends[1] is None):
            raise ValueError(
                "final_target_entropy and falls_over_updates make a schedule together; give both "
                "or none"
            )
        if ends[0] is not None and self.target_entropy is None:
            raise ValueError("a schedule begins at target_entropy; give it")
        return self

    @classmethod
    def null(cls, config: AgentConfig) -> "SAC | None":
        return None

    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        return first_behaviour_update(config, budget)

    def proof(self, config: AgentConfig) -> Proof:
        return Proof("sac/imagined_steps")

    def install(self, parts: Parts) -> Parts:
        if self.temperature is None and parts.config.entropy_scale == 0:
            raise AssemblyError(
                f"{self.name} takes its temperature from entropy_scale, which is 0 in [agent]; "
                "give a temperature above 0"
            )
        resolved = self.model_copy(update={"temperature": self.alpha(parts.config)})
        return parts.with_behaviour(self.name, SoftActorCriticParts(resolved))

    def alpha(self, config: AgentConfig) -> float:
        """α before the first update."""
        return config.entropy_scale if self.temperature is None else self.temperature


@dataclass(frozen=True)
class SoftActorCriticParts:
    """The soft actor-critic before it exists."""

    settings: SAC

    @property
    def name(self) -> str:
        """The owner."""
        return self.settings.name

    def describe(self) -> dict[str, object]:
        """The settings; the rate of a temperature that is fixed has no effect.

        The temperature is a number, whoever has given it.
        """
        settings = self.settings.determinants()
        if self.settings.target_entropy is None:
            del settings["temperature_lr"]
        return settings

    def build(
        self,
        config: AgentConfig,
        actions: ActionDistribution,
        streams: Streams,
        device: str | torch.device,
    ) -> "SoftActorCritic":
        """Makes one, with its initial weights."""
        return SoftActorCritic(self.settings, config, actions, streams, device)


class TwinCritic(nn.ModuleList):
    """Two networks that value every action.

    Args:
        config: Their sizes.
        outputs: How many actions there are.
        generator: Of the initial weights.
    """

    def __init__(self, config: AgentConfig, outputs: int, generator: torch.Generator) -> None:
        super().__init__(network(config, outputs, generator) for _ in range(2))

    def forward(self, feat: Float[Tensor, "*batch F"]) -> Float[Tensor, "2 *batch A"]:
        """Q_1 and Q_2 of every action."""
        return torch.stack([twin(feat) for twin in self])


class SoftActorCritic(Behaviour):
    """An actor, twin critics and their targets.

    Args:
        settings: Of the modification.
        config: Sizes, rates, and how often targets are copied.
        actions: One choice of several.
        streams: Gives the initial weights.
        device: Where it lives.
    """

    def __init__(
        self,
        settings: SAC,
        config: AgentConfig,
        actions: ActionDistribution,
        streams: Streams,
        device: str | torch.device = "cpu",
    ) -> None:
        choices = actions.outputs
        critic, target = (
            TwinCritic(config, choices, streams.initialiser(tag)).to(device)
            for tag in ("critic", "target_critic")
        )
        super().__init__(
            config,
            actions,
            actor=network(config, choices, streams.initialiser("actor")).to(device),
            critic=critic,
            target_critic=target,
        )
        self.settings = settings
        if settings.target_entropy is None:
            self.entropy_weight = FixedEntropyWeight(settings.alpha(config))
        else:
            self.tune_entropy(
                EntropyTarget(
                    settings.alpha(config),
                    settings.target_entropy,
                    settings.final_target_entropy,
                    settings.falls_over_updates,
                    settings.temperature_lr,
                ),
                device,
            )

    def networks(self, tag: BehaviourTag) -> tuple[nn.Module, ...]:
        """The networks that a tag names; each twin is one."""
        return tuple(self.critic.children()) if tag == "critic" else super().networks(tag)

    def value(
        self,
        feat: Float[Tensor, "*batch F"],
        reward: Float[Tensor, "*batch"],
        disc: Float[Tensor, "*batch"],
    ) -> Float[Tensor, "*batch"]:
        """d(z) Σ_a π(a | z) min Q(z, a), which holds the pay for the entropy of later states."""
        probability, action_value = torch.softmax(self.actor(feat), -1), self.critic(feat).amin(0)
        value: Tensor = (probability * action_value).sum(-1)
        return disc * value

    def update(
        self, imagination: Imagination, uniforms: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, ""]]:
        """One dream, then one step of the critics, one of the actor, and one of α if tuned."""
        trajectory = imagination.dream(self.act, uniforms)
        weight = textbook_weight(trajectory, gamma=self.config.gamma)
        target, soft_value = self.targets(trajectory)
        critic_loss = self.critic_loss(trajectory, target, weight)
        critic_norm = self.optimisers["critic"].step(critic_loss)
        actor_loss, entropy = self.actor_loss(trajectory, weight)
        actor_norm = self.optimisers["actor"].step(actor_loss)
        return {
            "actor_loss": actor_loss.detach(),
            "critic_loss": critic_loss.detach(),
            "actor_entropy": entropy.mean(),
            "actor_grad_norm": actor_norm,
            "critic_grad_norm": critic_norm,
            "imagined_reward": trajectory.reward.mean(),
            "imagined_discount": trajectory.disc.mean(),
            "imagined_weight": weight.mean(),
            "imagined_value": soft_value.mean(),
            "imagined_value_std": soft_value.std(correction=0),
            "imagined_return": target.mean(),
            "imagined_return_std": target.std(correction=0),
            "sac/imagined_steps": target.new_full((), target.numel()),
            **self.entropy_weight.update(entropy, weight),
        }

    @torch.no_grad()
    def targets(self, trajectory: Trajectory) -> tuple[Float[Tensor, "H N"], Float[Tensor, "H N"]]:
        """Returns y_0..y_{H-1}, and the soft values V_1..V_H that they are made of."""
        alpha, following = self.entropy_weight(), trajectory.feat[1:]
        log_policy = F.log_softmax(self.actor(following), -1)
        value = soft_value(self.target_critic(following).amin(0), log_policy, alpha)
        surprise = torch.zeros_like(value)
        surprise[:-1] = -alpha * (log_policy[:-1] * trajectory.action[1:]).sum(-1)
        target = soft_returns(
            trajectory.reward, trajectory.disc, value, surprise, lambda_=self.settings.lambda_
        )
        return target, value

    def critic_loss(
        self,
        trajectory: Trajectory,
        target: Float[Tensor, "H N"],
        weight: Float[Tensor, "H N"],
    ) -> Float[Tensor, ""]:
        """mean(w_t ½ Σ_i (Q_i(z_t, a_t) − y_t)²)."""
        taken: Tensor = (self.critic(trajectory.feat[:-1]) * trajectory.action).sum(-1)
        return (weight * 0.5 * (taken - target).square().sum(0)).mean()

    def actor_loss(
        self, trajectory: Trajectory, weight: Float[Tensor, "H N"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "H N"]]:
        """−mean(w_t Σ_a π(a) (min Q(a) − α log π(a))).

        Returns:
            The loss, and the entropy of each state in nats.
        """
        feat = trajectory.feat[:-1]
        with torch.no_grad():
            pessimistic = self.critic(feat).amin(0)
        log_policy = F.log_softmax(self.actor(feat), -1)
        value = soft_value(pessimistic, log_policy, self.entropy_weight())
        entropy = -(log_policy.exp() * log_policy).sum(-1)
        return -(weight * value).mean(), entropy.detach()

    def move_target(self) -> None:
        """Moves the targets a little after every update but the first, or copies them at times."""
        rate = self.settings.target_rate
        if rate is None or self.updates == 0:
            super().move_target()
            return
        with torch.no_grad():
            targets, sources = self.target_critic.parameters(), self.critic.parameters()
            torch._foreach_lerp_(list(targets), list(sources), rate)


def soft_value(
    action_value: Float[Tensor, "*batch A"],
    log_policy: Float[Tensor, "*batch A"],
    alpha: float | Float[Tensor, ""],
) -> Float[Tensor, "*batch"]:
    """Σ_a π(a) (Q(a) − α log π(a)).

    Its largest value over all policies is α ln Σ_a exp(Q(a) / α).
    """
    return (log_policy.exp() * (action_value - alpha * log_policy)).sum(-1)


def soft_returns(
    reward: Float[Tensor, "H N"],
    disc: Float[Tensor, "H N"],
    next_value: Float[Tensor, "H N"],
    next_surprise: Float[Tensor, "H N"],
    *,
    lambda_: float,
) -> Float[Tensor, "H N"]:
    """Mixes soft n-step returns, backwards from the last value.

        y_t = r_{t+1} + d_{t+1} [(1 − λ) V_{t+1} + λ (y_{t+1} − α log π(a_{t+1} | z_{t+1}))],

    and y_{H-1} = r_H + d_H V_H.

    Args:
        reward: [H, N], r_{t+1}.
        disc: [H, N], d_{t+1}.
        next_value: [H, N], V_{t+1}, soft.
        next_surprise: [H, N], −α log π(a_{t+1} | z_{t+1}); the last row is not used.
        lambda_: In [0, 1].
    """
    following = next_value[-1]
    returns = [reward[-1] + disc[-1] * following]
    for t in reversed(range(len(reward) - 1)):
        ahead = returns[-1] + next_surprise[t]
        returns.append(reward[t] + disc[t] * torch.lerp(next_value[t], ahead, lambda_))
    return torch.stack(returns[::-1])
