"""The weight of the policy's entropy in what an actor maximises: fixed, or tuned to a target.

Haarnoja et al., "Soft Actor-Critic Algorithms and Applications" (arXiv:1812.05905), section 5: the
weight α descends α (H(π) − H̄), so it falls while the entropy is above its target H̄ and rises while
it is below.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agents.config import AgentConfig
from agents.dreamer.optimiser import Optimiser


@runtime_checkable
class EntropyWeight(Protocol):
    """α, as a living behaviour has it: a component of seam B."""

    def __call__(self) -> float | Float[Tensor, ""]:
        """Returns α, without gradient."""

    def update(
        self, entropy: Float[Tensor, "H N"], weight: Float[Tensor, "H N"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Learns from the entropy of each state, in nats, and how much each counts.

        Returns:
            Metrics.
        """

    def count_update(self, updates: int) -> None:
        """Does what is due after so many updates; the host decides."""

    def networks(self) -> tuple[nn.Module, ...]:
        """What of it is trained, as part of the actor."""

    def optimisers(self) -> Mapping[str, Optimiser]:
        """By name."""


@dataclass(frozen=True)
class FixedEntropyWeight:
    """One number for the whole run."""

    alpha: float

    def __call__(self) -> float:
        """Returns it."""
        return self.alpha

    def update(
        self, entropy: Float[Tensor, "H N"], weight: Float[Tensor, "H N"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Learns nothing."""
        return {}

    def count_update(self, updates: int) -> None:
        """Nothing is due."""

    def networks(self) -> tuple[nn.Module, ...]:
        """Nothing is trained."""
        return ()

    def optimisers(self) -> Mapping[str, Optimiser]:
        """None."""
        return {}


@dataclass(frozen=True)
class EntropyTarget:
    """A weight that is tuned, before it exists.

    Attributes:
        start: α before the first update, above 0.
        share: H̄ as a share of the largest entropy that there is, in (0, 1].
        final: What that share becomes, linearly in the updates of the behaviour; None: it stays.
        falls_over: How many updates that takes.
        lr: Of its Adam.
    """

    start: float
    share: float
    final: float | None
    falls_over: int | None
    lr: float

    def share_after(self, updates: int) -> float:
        """H̄ after so many updates, as a share."""
        if self.final is None or self.falls_over is None:
            return self.share
        return self.share + min(updates / self.falls_over, 1.0) * (self.final - self.share)

    def build(
        self, config: AgentConfig, choices: int, device: str | torch.device
    ) -> "TunedEntropyWeight":
        """Makes one for a policy over so many choices."""
        return TunedEntropyWeight(self, config, choices, device)


class TunedEntropyWeight(nn.Module):
    """α = exp(parameter), trained so that the entropy meets its target.

    Args:
        target: H̄, where α starts, and how fast it learns.
        config: Gives the other settings of the optimiser. There is no decay: it would pull α
            towards 1.
        choices: Of the policy; the largest entropy is their logarithm.
        device: Where it lives.
    """

    def __init__(
        self,
        target: EntropyTarget,
        config: AgentConfig,
        choices: int,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__()
        self._target, self._largest = target, math.log(choices)
        self.log_alpha = nn.Parameter(torch.tensor(math.log(target.start), device=device))
        self.wanted = nn.Buffer(torch.tensor(target.share * self._largest, device=device))
        without_decay = config.model_copy(update={"decay": 0.0})
        self._optimiser = Optimiser([self.log_alpha], target.lr, without_decay)

    def forward(self) -> Float[Tensor, ""]:
        """Returns α, without gradient."""
        return self.log_alpha.detach().exp()

    def update(
        self, entropy: Float[Tensor, "H N"], weight: Float[Tensor, "H N"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Descends mean(w α (H − H̄)) one step."""
        surplus = (weight * (entropy - self.wanted)).detach().mean()
        self._optimiser.step(self.log_alpha.exp() * surplus)
        return {"entropy_weight": self(), "target_entropy": self.wanted.clone()}

    def count_update(self, updates: int) -> None:
        """Moves the target."""
        self.wanted.fill_(self._target.share_after(updates) * self._largest)

    def networks(self) -> tuple[nn.Module, ...]:
        """The parameter."""
        return (self,)

    def optimisers(self) -> Mapping[str, Optimiser]:
        """One."""
        return {"entropy_weight": self._optimiser}
