"""Plan2Explore: a second behaviour seeks states about which an ensemble disagrees.

Sekar et al., "Planning to Explore via Self-Supervised World Models" (arXiv:2005.05960): K networks
learn to predict the next latent state; where they disagree, more can be learned:

    μ_k(z_t, a_t) ≈ y_{t+1},     bonus[t] = scale · mean_d spread_k μ_k(z_t, a_t)[d],

y the probabilities of the posterior at t + 1, or its sample, or its recurrent state. The spread is
the standard deviation of the official DreamerV2 code, or the paper's variance. The ensemble reads
posterior states in training and prior states in dreams.

    replay row    t             t+1                dream      z_t   a_t    z_{t+1}
    state         z_t           z_{t+1}            "taken"    μ(z_t, a_t): what is to come
    action        a_t (into t)  a_{t+1}            "published"  μ(z_{t+1}, a_t): as below
    "taken"       μ(z_t, a_{t+1}) → y_{t+1}        unless is_first at t+1
    "published"   μ(z_t, a_t) → y_{t+1}            the official code: conditions on the action into t

A recurrent state follows from z_t and the action without any doubt, so a disagreement about it is
one about the model's own function; the probabilities say what will be seen. The ensemble learns
from states without gradient, by an optimiser of its own, and leaves the world model as it is.
Evaluation plays the task's behaviour, which learns beside the other from the same data.
"""  # noqa: E501

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from agents.config import AgentConfig, Budget
from agents.dreamer.exploration import Bonus, Exploration
from agents.dreamer.imagination import Trajectory
from agents.dreamer.loss_terms import AuxiliaryLoss, Scale
from agents.dreamer.networks import MLP
from agents.dreamer.world_model import Seen, WorldModel, one_hot_actions
from agents.modification import Example, Modification, Proof
from agents.parts import Parts
from agents.precision import at_least_fp32
from agents.streams import Streams

ALWAYS = {"ensemble": 2, "until": None, "lr": 1e-2}


class Plan2Explore(Modification):
    """Lets a behaviour act that is rewarded for the disagreement of an ensemble."""

    name: ClassVar[str] = "plan2explore"
    summary: ClassVar[str] = "a second behaviour seeks what an ensemble disagrees about"
    paper: ClassVar[str] = "arXiv:2005.05960 (Plan2Explore)"
    family: ClassVar[str] = "exploration"
    seam: ClassVar[str] = "I reward terms, L loss terms, B behaviour"
    examples: ClassVar[tuple[Example, ...]] = (
        Example(ALWAYS, "intrinsic_scale", 10.0),
        Example(ALWAYS, "task_scale", 1.0),
        Example(ALWAYS, "ensemble", 3),
        Example(ALWAYS, "lr", 1e-3),
        Example(ALWAYS, "target", "deter"),
        Example(ALWAYS, "spread", "variance"),
        Example(ALWAYS, "action", "published"),
        Example({**ALWAYS, "until": 80}, "until", 100),
    )

    until: int | None = Field(100_000, ge=0)  # env_frames of the run; a guess; None: to its end
    intrinsic_scale: float = Field(1.0, ge=0)  # of the bonus; 1, the official code's
    task_scale: float = Field(0.0, ge=0)  # of the model's reward, for this behaviour; 0, likewise
    ensemble: int = Field(10, ge=2)  # K, networks as large as a head; the official code's
    lr: float = Field(3e-4, gt=0)  # of the ensemble, likewise
    target: Literal["probabilities", "sample", "deter"] = "probabilities"  # published: sample
    spread: Literal["std", "variance"] = "std"  # DreamerV2's code, or the paper
    action: Literal["taken", "published"] = "taken"  # that the prediction is conditioned on

    @classmethod
    def null(cls, config: AgentConfig) -> "Plan2Explore":
        return cls(until=0)

    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        acts = self.until is None or self.until > budget.prefill_frames
        return float(budget.prefill_frames) if acts else float("inf")

    def proof(self, config: AgentConfig) -> Proof:
        return Proof(f"{self.name}/actions_replaced")

    def install(self, parts: Parts) -> Parts:
        if self.until == 0:
            return parts
        exploration = Exploration(self.name, (Disagreement(self),), self.task_scale, self.until)
        return parts.with_loss_term(EnsembleTerm(self)).with_exploration(exploration)


@dataclass(frozen=True)
class EnsembleTerm:
    """The ensemble's loss, before the agent exists."""

    settings: Plan2Explore

    @property
    def name(self) -> str:
        """The owner."""
        return self.settings.name

    def describe(self) -> dict[str, object]:
        """What the ensemble learns."""
        fields = {"ensemble", "lr", "target", "action"}
        return self.settings.model_dump(include=fields)

    def build(self, world_model: WorldModel, streams: Streams) -> "Ensemble":
        """Makes the networks."""
        return Ensemble(self.settings, world_model, streams)


@dataclass(frozen=True)
class Disagreement:
    """The bonus, before the agent exists."""

    settings: Plan2Explore

    @property
    def name(self) -> str:
        """The owner."""
        return self.settings.name

    def describe(self) -> dict[str, object]:
        """What is made of the ensemble's predictions."""
        return self.settings.model_dump(include={"intrinsic_scale", "spread"})

    def build(self, losses: Mapping[str, AuxiliaryLoss]) -> Bonus:
        """The bonus of the agent's ensemble."""
        ensemble = losses[self.name]
        assert isinstance(ensemble, Ensemble)
        return ensemble.bonus


class Ensemble(AuxiliaryLoss):
    """The networks, their loss and their disagreement."""

    def __init__(self, settings: Plan2Explore, world_model: WorldModel, streams: Streams) -> None:
        super().__init__(Scale(1.0), settings.lr)
        config, self.settings = world_model.config, settings
        outputs = config.deter if settings.target == "deter" else config.stoch * config.classes
        self.members = nn.ModuleList(
            MLP(
                config.feat + world_model.actions,
                outputs,
                units=config.units,
                layers=config.layers,
                generator=streams.initialiser(f"{settings.name}/member/{k}"),
            )
            for k in range(settings.ensemble)
        )

    def uniforms_shape(self, batch: int, length: int) -> tuple[int, ...]:
        """None."""
        return (0,)

    def forward(
        self, world_model: WorldModel, seen: Seen, uniforms: Tensor
    ) -> tuple[Float[Tensor, "B S"], dict[str, Float[Tensor, ""]]]:
        """½ Σ_k |μ_k − y|² for every row but the last, 0 where another episode follows."""
        is_first = seen.batch.is_first
        action = one_hot_actions(seen.batch.action, world_model.actions)
        action = action * (~is_first).unsqueeze(-1)
        led = action[:, 1:] if self.settings.action == "taken" else action[:, :-1]
        inputs = torch.cat([seen.states.feat[:, :-1].detach(), led], -1)
        predictions = self._predictions(inputs)
        target, goes_on = self._targets(seen)[:, 1:], ~is_first[:, 1:]
        errors = torch.stack([(p - target).square().sum(-1) for p in predictions])
        disagreement = self._disagreement([p.detach() for p in predictions])
        rows = goes_on.sum().clamp_min(1)
        metrics = {
            "disagreement": (disagreement * goes_on).sum() / rows,
            "prediction_error": (errors.detach().mean(0) * goes_on).sum() / rows,
        }
        return 0.5 * errors.sum(0) * goes_on, metrics

    @torch.no_grad()
    def _targets(self, seen: Seen) -> Float[Tensor, "B T D"]:
        match self.settings.target:
            case "probabilities":
                return torch.softmax(seen.posterior.detach(), -1).flatten(-2)
            case "sample":
                return seen.states.stoch.detach()
            case "deter":
                return seen.states.deter.detach()

    def bonus(self, trajectory: Trajectory) -> Float[Tensor, "H N"]:
        """The scaled disagreement about each step of a dream."""
        taken = self.settings.action == "taken"
        feat = trajectory.feat[:-1] if taken else trajectory.feat[1:]
        predictions = self._predictions(torch.cat([feat, trajectory.action], -1))
        return self.settings.intrinsic_scale * self._disagreement(predictions)

    def _predictions(self, inputs: Tensor) -> list[Tensor]:
        return [at_least_fp32(member(inputs)) for member in self.members]

    def _disagreement(self, predictions: list[Tensor]) -> Tensor:
        variance = variance_over(predictions)
        spread = root(variance) if self.settings.spread == "std" else variance
        return spread.mean(-1)

    def networks(self) -> tuple[nn.Module, ...]:
        """Every member."""
        return tuple(self.members)


def root(x: Tensor) -> Tensor:
    """The square root of numbers from 0 on, whose gradient at 0 is 0, not infinite.

    A dream with gradients passes through the bonus, and in bf16 members agree now and then.
    """
    positive = x > 0
    return torch.where(positive, torch.where(positive, x, 1.0).sqrt(), 0.0)


def variance_over(predictions: list[Tensor]) -> Tensor:
    """Variance over a list of tensors, one at a time; exactly 0 where all are equal.

    Welford's recursion: the whole list is never laid side by side.
    """
    mean, squares = predictions[0], torch.zeros_like(predictions[0])
    for count, prediction in enumerate(predictions[1:], 2):
        away = prediction - mean
        mean = mean + away / count
        squares = squares + away * (prediction - mean)
    return squares / len(predictions)
