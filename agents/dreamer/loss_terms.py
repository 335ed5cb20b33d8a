"""Loss terms: what modifications add to the loss of the world model (seam L).

    L = L_base + Σ_i λ_i mean(l_i),      l_i [B, S]: one number for each row that term i speaks of.

A term has networks of its own: they start from its own streams and an optimiser of its own trains
them, so that the base's gradient is clipped as if they were not there. What a target network must
follow, it follows after the step. λ is a coefficient, or follows from the lengths of gradients.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agents.dreamer.optimiser import Optimiser
from agents.dreamer.world_model import Seen, WorldModel
from agents.precision import as_cast_before
from agents.streams import Streams

TINY = 1e-12
"""Added to the length of a gradient before it divides."""


@dataclass(frozen=True)
class Scale:
    """λ of a term.

    Attributes:
        weight: At least 0; 0 leaves the base as it is.
        by: "coefficient": λ = weight. "gradient_ratio": the λ at which the term's gradient is
            `weight` times as long as that of the base and of the terms with coefficients,
            λ = weight · ||∇L|| / ||∇mean(l)||, both with respect to the parameters of the base
            from which the term was computed. It takes one more pass backward.
    """

    weight: float
    by: Literal["coefficient", "gradient_ratio"] = "coefficient"


class Follower(nn.Module):
    """A network that learns nothing: it follows another, θ ← (1 − rate) θ + rate θ_source.

    Args:
        source: What it starts as a copy of.
        rate: τ of the exponential moving average, in (0, 1]; per update.
    """

    def __init__(self, source: nn.Module, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.network = copy.deepcopy(source).requires_grad_(False)

    @torch.no_grad()
    def follow(self, source: nn.Module, rate: float | None = None) -> None:
        """Goes part of the way to its source: `rate`, its own where not given."""
        rate = self.rate if rate is None else rate
        torch._foreach_lerp_(list(self.network.parameters()), list(source.parameters()), rate)

    @torch.no_grad()
    def forward(self, *inputs: Tensor) -> Tensor:
        """What the network makes of its inputs, without gradient."""
        output: Tensor = self.network(*inputs)
        return output


class AuxiliaryLoss(nn.Module, ABC):
    """One term with its networks; of its parameters, those that carry gradients are trained.

    Pure and of fixed shape: the uniforms that it needs are drawn beforehand, from the stream that
    bears its name.

    Args:
        scale: λ.
        lr: Of its own optimiser.
    """

    def __init__(self, scale: Scale, lr: float) -> None:
        super().__init__()
        self.scale, self.lr = scale, lr

    @abstractmethod
    def uniforms_shape(self, batch: int, length: int) -> tuple[int, ...]:
        """How many uniforms one batch of `batch` sequences of `length` steps takes."""

    @abstractmethod
    def forward(
        self, world_model: WorldModel, seen: Seen, uniforms: Tensor
    ) -> tuple[Float[Tensor, "B S"], dict[str, Float[Tensor, ""]]]:
        """Computes the term.

        Args:
            world_model: Whose encoder and recurrent model it may call.
            seen: What the base's own pass over the batch has computed, with its gradients.
            uniforms: In [0, 1).

        Returns:
            The term for every row that it speaks of, and metrics without gradient.
        """

    @abstractmethod
    def networks(self) -> tuple[nn.Module, ...]:
        """Its trained networks, each with its last layer at the end of `layers`."""

    def followers(self, world_model: WorldModel) -> tuple[tuple[Follower, nn.Module], ...]:
        """Its target networks with what they follow; none by default."""
        return ()


@runtime_checkable
class LossTerm(Protocol):
    """A loss term before the agent exists."""

    @property
    def name(self) -> str:
        """The modification that owns it, and its random stream."""

    def build(self, world_model: WorldModel, streams: Streams) -> AuxiliaryLoss:
        """Makes its networks, with initial weights from streams that bear its name."""

    def describe(self) -> dict[str, object]:
        """Its settings, for the run's identity."""


class LossTerms:
    """The loss terms of one agent; without any, a step is that of the base.

    Args:
        terms: What modifications add.
        world_model: To whose loss.
        streams: Give the initial weights.
        device: Where the networks live.
    """

    def __init__(
        self,
        terms: Sequence[LossTerm],
        world_model: WorldModel,
        streams: Streams,
        device: str | torch.device = "cpu",
    ) -> None:
        self._world_model = world_model
        self.losses = {term.name: term.build(world_model, streams).to(device) for term in terms}
        self.optimisers = {
            name: Optimiser(_trained(loss.parameters()), loss.lr, world_model.config)
            for name, loss in self.losses.items()
        }

    def uniforms_shapes(self, batch: int, length: int) -> dict[str, tuple[int, ...]]:
        """How many uniforms `step` takes, by owner."""
        return {name: loss.uniforms_shape(batch, length) for name, loss in self.losses.items()}

    def step(
        self,
        base: Float[Tensor, ""],
        optimiser: Optimiser,
        seen: Seen,
        uniforms: Mapping[str, Tensor],
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Descends one step on the sum of the base's loss and the terms.

        Args:
            base: The scaled loss of the world model.
            optimiser: Of the world model.
            seen: The pass of which that is the loss.
            uniforms: In [0, 1), as `uniforms_shapes` says.

        Returns:
            The norm of the base's gradient before clipping, the terms' part in it, and metrics.
        """
        means, metrics = {}, dict[str, Tensor]()
        for name, loss in self.losses.items():
            rows, told = loss(self._world_model, seen, uniforms[name])
            means[name] = rows.mean()
            metrics |= {f"{name}/{key}": value for key, value in told.items()}
            metrics[f"{name}/loss"] = means[name].detach()
        for name, scale in self._backward(base, optimiser, means).items():
            metrics[f"{name}/scale"] = scale
        norm = optimiser.descend()
        for name, own in self.optimisers.items():
            metrics[f"{name}/grad_norm"] = own.descend()
        for follower, source in self._followers():
            follower.follow(source)
        return norm, metrics

    def _backward(
        self, base: Tensor, optimiser: Optimiser, means: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Leaves in every parameter the gradient of the whole sum; returns every λ."""
        scales, by_ratio = dict[str, Tensor](), list[str]()
        total, inputs = base, list(optimiser.parameters)
        for each in (optimiser, *self.optimisers.values()):
            each.clear()
        for name, mean in means.items():
            scale = self.losses[name].scale
            if scale.by == "gradient_ratio":
                by_ratio.append(name)
                continue
            scales[name] = torch.full_like(base, scale.weight)
            total = total + scale.weight * mean
            inputs += self.optimisers[name].parameters
        with as_cast_before(base.device):
            total.backward(inputs=inputs, retain_graph=bool(by_ratio))
            gradients = {name: self._gradients(name, means[name], optimiser) for name in by_ratio}
        for name, (reached, theirs, _) in gradients.items():
            length = nn.utils.get_total_norm([p.grad for p in reached if p.grad is not None])
            ratio = length / (nn.utils.get_total_norm(theirs) + TINY)
            scales[name] = self.losses[name].scale.weight * ratio
        for name, (reached, theirs, own) in gradients.items():
            for parameter, gradient in zip(reached, theirs, strict=True):
                assert parameter.grad is not None
                parameter.grad.addcmul_(gradient, scales[name])
            for parameter, gradient in zip(self.optimisers[name].parameters, own, strict=True):
                parameter.grad = gradient * scales[name]
        return scales

    def _gradients(
        self, name: str, mean: Tensor, optimiser: Optimiser
    ) -> tuple[list[nn.Parameter], list[Tensor], list[Tensor]]:
        """The base's parameters that a term reaches, its gradients there, and those of its own.

        Raises:
            ValueError: If it reaches none, or has parameters that it does not use.
        """
        base, own = optimiser.parameters, self.optimisers[name].parameters
        found = torch.autograd.grad(mean, [*base, *own], retain_graph=True, allow_unused=True)
        pairs = [(p, g) for p, g in zip(base, found, strict=False) if g is not None]
        owned = [gradient for gradient in found[len(base) :] if gradient is not None]
        if not pairs:
            raise ValueError(
                f"{name} is computed from no parameter of the world model, so its gradient has no "
                "ratio to the base's; scale it by a coefficient"
            )
        if len(owned) < len(own):
            raise ValueError(f"{len(own) - len(owned)} parameters of {name} are not in its loss")
        return [p for p, _ in pairs], [gradient for _, gradient in pairs], owned

    def _followers(self) -> Iterator[tuple[Follower, nn.Module]]:
        for loss in self.losses.values():
            yield from loss.followers(self._world_model)

    def networks(self) -> tuple[nn.Module, ...]:
        """The trained networks of all terms."""
        return tuple(network for loss in self.losses.values() for network in loss.networks())

    def copy_targets(self, touched: Sequence[nn.Parameter]) -> None:
        """Copies what surgery has touched into what follows it."""
        changed = {id(parameter) for parameter in touched}
        for follower, source in self._followers():
            if any(id(parameter) in changed for parameter in source.parameters()):
                follower.follow(source, 1.0)

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes."""
        return {
            name: {
                "networks": loss.state_dict(),
                "optimiser": self.optimisers[name].state_dict(),
            }
            for name, loss in self.losses.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts the terms back to where `state_dict` found them.

        Raises:
            KeyError: If the state is not one of these terms.
        """
        for name, loss in self.losses.items():
            loss.load_state_dict(state[name]["networks"])
            self.optimisers[name].load_state_dict(state[name]["optimiser"])


def _trained(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]
