"""PPO: several epochs of clipped steps on one dream.

Schulman et al., "Proximal Policy Optimization Algorithms" (arXiv:1707.06347), eq. (7). With the
ratio ρ_t = π(a_t | z_t) / π_dreaming(a_t | z_t), the actor descends

    −mean(w_t [min(ρ_t Â_t, clip(ρ_t, 1 − ε, 1 + ε) Â_t) + η H(π(·|z_t))]),

and the critic mean(w_t ½ (V(z_t) − G_t)²), or with a value clip the larger of that and of the
error of V_dreaming + clip(V − V_dreaming, −ε_v, ε_v). Â is the advantage, normalised to mean 0 and
deviation 1 under the weights: a fuzzy termination makes a later state count less here too.

Rewards are aligned as in the textbooks (`corrected_targets`). The base's own targets differ from
the advantage by a baseline, which costs REINFORCE nothing; but whether a ratio is clipped depends
on the sign of Â, and its deviation scales the step.

A minibatch is a share of the dreams, each whole. A dream is on-policy in the first step only; a
fresh dream per step is what `behaviour_frames_per_update` buys.

There is no null: an update with one epoch and one minibatch has the gradients of the base agent's
under the same targets when advantages are not normalised (a test), but PPO's minibatches have
another order.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from agents.config import AgentConfig, Budget
from agents.dreamer.actor_critic import ActorCritic
from agents.dreamer.entropy import EntropyTarget
from agents.dreamer.imagination import Imagination, Trajectory, uniforms_shapes
from agents.dreamer.targets import Targets
from agents.modification import Example, Modification, Proof
from agents.parts import AssemblyError, Parts
from agents.training.recipe import first_behaviour_update

TINY = 1e-8
ORDER = "ppo/order"
FEW = {"epochs": 2, "minibatches": 2}
"""Settings under which examples are cheap."""


class PPO(Modification):
    """Learns `epochs` times from each dream, in clipped steps."""

    name: ClassVar[str] = "ppo"
    summary: ClassVar[str] = "several epochs of clipped steps on each dream"
    paper: ClassVar[str] = "arXiv:1707.06347"
    family: ClassVar[str] = "RL algorithm"
    seam: ClassVar[str] = "B behaviour"
    examples: ClassVar[tuple[Example, ...]] = (
        Example(FEW, "epochs", 3),
        Example(FEW, "minibatches", 3),
        Example(FEW, "clip", 1e-6),
        Example(FEW, "value_clip", 1e-6),
        Example(FEW, "normalise_advantages", False),
        Example(FEW, "target_entropy", 0.5),
        Example({**FEW, "target_entropy": 0.5}, "entropy_lr", 1.0),
    )

    epochs: int = Field(8, ge=1)  # times that each dream is learned from
    minibatches: int = Field(8, ge=1)  # parts of an epoch; each makes one step of actor and critic
    clip: float = Field(0.2, gt=0)  # ε, of the ratio of probabilities
    value_clip: float | None = Field(None, gt=0)  # ε_v, in units of the return; None: no clip
    normalise_advantages: bool = True
    target_entropy: float | None = Field(None, gt=0, le=1)  # of ln(actions); None: fixed weight
    entropy_lr: float = Field(3e-4, gt=0)  # of the tuned weight, which starts at `entropy_scale`

    @classmethod
    def null(cls, config: AgentConfig) -> "PPO | None":
        return None

    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        return first_behaviour_update(config, budget)

    def proof(self, config: AgentConfig) -> Proof:
        return Proof("ppo/gradient_steps")

    def install(self, parts: Parts) -> Parts:
        dreams, entropy = parts.config.batch * parts.config.length, None
        if self.minibatches > dreams:
            raise AssemblyError(
                f"{self.name}: minibatches = {self.minibatches}, but batch times length makes "
                f"{dreams} dreams per update; a minibatch has at least one"
            )
        if self.target_entropy is not None:
            entropy = entropy_target(self, self.target_entropy, parts.config)
        aligned = parts.with_settings(self.name, corrected_targets=True)
        return aligned.with_rule(self.name, ClippedEpochs(self), entropy)


def entropy_target(settings: PPO, share: float, config: AgentConfig) -> EntropyTarget:
    """The weight of the entropy that is tuned, beginning where the base's stays."""
    if config.entropy_scale == 0:
        raise AssemblyError(
            f"{settings.name} tunes the weight of the entropy from entropy_scale, which is 0 in "
            "[agent]; let it begin above 0"
        )
    return EntropyTarget(config.entropy_scale, share, None, None, settings.entropy_lr)


@dataclass(frozen=True)
class ClippedEpochs:
    """The rule of the actor-critic."""

    settings: PPO

    @property
    def name(self) -> str:
        """The owner."""
        return self.settings.name

    def describe(self) -> dict[str, object]:
        """The settings; those of the entropy are told where it is tuned."""
        entropy = {"target_entropy", "entropy_lr"}
        settings = self.settings.determinants()
        return {name: value for name, value in settings.items() if name not in entropy}

    def uniforms_shapes(self, config: AgentConfig, starts: int) -> dict[str, tuple[int, ...]]:
        """Those of one dream, and an order of the dreams for each epoch."""
        return uniforms_shapes(config, starts) | {ORDER: (self.settings.epochs, starts)}

    def update(
        self, learner: ActorCritic, imagination: Imagination, uniforms: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, ""]]:
        """Learns several times from one dream."""
        settings = self.settings
        trajectory = imagination.dream(learner.act, uniforms)
        targets = learner.targets(trajectory)
        dreamed = Dreamed.by(learner, trajectory, targets)
        if settings.normalise_advantages:
            dreamed = replace(dreamed, advantage=normalised(dreamed.advantage, dreamed.trained))
        steps = [
            self._step(learner, part)
            for order in uniforms[ORDER].argsort(-1)
            for part in dreamed.parts(order, settings.minibatches)
        ]
        metrics = {name: torch.stack([step[name] for step in steps]).mean() for name in steps[0]}
        entropy = learner.actions.entropy(dreamed.logits)
        metrics |= learner.entropy_weight.update(entropy, dreamed.trained)
        costs = {"gradient_steps": len(steps), "imagined_steps": trajectory.reward.numel()}
        counts = {f"{self.name}/{name}": entropy.new_full((), n) for name, n in costs.items()}
        return metrics | counts | learner.statistics(trajectory, targets)

    def _step(self, learner: ActorCritic, part: "Dreamed") -> dict[str, Float[Tensor, ""]]:
        """One step of the actor and one of the critic on some of the dreams."""
        settings, alpha = self.settings, learner.entropy_weight()
        logits = learner.actor(part.feat[: len(part.advantage)])
        log_ratio = learner.actions.log_probability(logits, part.action) - part.log_probability
        surrogate, clipped = clipped_surrogate(log_ratio, part.advantage, settings.clip)
        entropy = learner.actions.entropy(logits)
        actor_loss = -(part.trained * (surrogate + alpha * entropy)).mean()
        actor_norm = learner.optimisers["actor"].step(actor_loss)
        value = learner.critic(part.feat).squeeze(-1)
        error = clipped_error(value, part.value, part.returns, settings.value_clip)
        critic_loss = (part.weight * 0.5 * error).mean()
        critic_norm = learner.optimisers["critic"].step(critic_loss)
        log_ratio = log_ratio.detach()
        return {
            "actor_loss": actor_loss.detach(),
            "critic_loss": critic_loss.detach(),
            "actor_entropy": entropy.detach().mean(),
            "actor_grad_norm": actor_norm,
            "critic_grad_norm": critic_norm,
            f"{self.name}/clipped_share": clipped.float().mean(),
            f"{self.name}/kl": (log_ratio.exp() - 1.0 - log_ratio).mean(),
        }


@dataclass(frozen=True)
class Dreamed:
    """What a dream leaves to be learned from, dreams along the second axis; without gradients.

    Attributes:
        feat: [H, N, F], of z_0..z_{H-1}.
        action: [A, N, C], of the states whose action is trained.
        logits: [A, N, C], of the policy that dreamed.
        log_probability: [A, N], of the actions when they were dreamed.
        advantage: [A, N].
        trained: [A, N], how much those states count.
        value: [H, N], of the critic when it was dreamed.
        returns: [H, N], what the critic regresses.
        weight: [H, N], how much each state counts.
    """

    feat: Float[Tensor, "H N F"]
    action: Float[Tensor, "A N C"]
    logits: Float[Tensor, "A N C"]
    log_probability: Float[Tensor, "A N"]
    advantage: Float[Tensor, "A N"]
    trained: Float[Tensor, "A N"]
    value: Float[Tensor, "H N"]
    returns: Float[Tensor, "H N"]
    weight: Float[Tensor, "H N"]

    @classmethod
    @torch.no_grad()
    def by(cls, learner: ActorCritic, trajectory: Trajectory, targets: Targets) -> "Dreamed":
        """Computes it before the first step."""
        A, feat = len(targets.advantage), trajectory.feat[:-1]
        logits, action = learner.actor(feat[:A]), trajectory.action[:A]
        return cls(
            feat=feat,
            action=action,
            logits=logits,
            log_probability=learner.actions.log_probability(logits, action),
            advantage=targets.advantage,
            trained=targets.weight[:A],
            value=learner.critic(feat).squeeze(-1),
            returns=targets.returns,
            weight=targets.weight,
        )

    def parts(self, order: Tensor, count: int) -> Iterator["Dreamed"]:
        """Yields minibatches of whole dreams.

        Args:
            order: [N], a permutation.
            count: How many; the first ones have a dream more where N is no multiple of it.
        """
        for chosen in order.tensor_split(count):
            yield Dreamed(
                **{name: value.index_select(1, chosen) for name, value in vars(self).items()}
            )


def normalised(
    advantage: Float[Tensor, "A N"], weight: Float[Tensor, "A N"]
) -> Float[Tensor, "A N"]:
    """Shifts and scales to mean 0 and deviation 1, both under the weights.

    m = Σ w A / Σ w,   s² = Σ w (A − m)² / Σ w,   Â = (A − m) / (s + 1e-8).
    """
    share = weight / weight.sum().clamp_min(TINY)
    centred = advantage - (share * advantage).sum()
    return centred / ((share * centred.square()).sum().sqrt() + TINY)


def clipped_surrogate(
    log_ratio: Float[Tensor, "A N"], advantage: Float[Tensor, "A N"], clip: float
) -> tuple[Float[Tensor, "A N"], Tensor]:
    """Returns min(ρ A, clip(ρ, 1 − ε, 1 + ε) A), and where it stops the gradient."""
    ratio = log_ratio.exp()
    free, held = ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage
    return torch.minimum(free, held), held.detach() < free.detach()


def clipped_error(
    value: Float[Tensor, "H N"],
    before: Float[Tensor, "H N"],
    returns: Float[Tensor, "H N"],
    clip: float | None,
) -> Float[Tensor, "H N"]:
    """Returns (V − G)², or the larger of that and the same of a value held near what it was."""
    error = (value - returns).square()
    if clip is None:
        return error
    held = before + (value - before).clamp(-clip, clip)
    return torch.maximum(error, (held - returns).square())
