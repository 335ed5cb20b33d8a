"""Categorical latents and actions: sampling from given uniforms, straight-through, KL, entropy."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def one_hot_sample(
    logits: Float[Tensor, "*shape classes"], uniforms: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape classes"]:
    """Draws one-hot vectors by inverting the cumulative distribution.

    The class is the number of cumulative probabilities that do not exceed the uniform, so equal
    uniforms give equal samples on every device, without a draw inside.

    Args:
        logits: Unnormalised log-probabilities.
        uniforms: In [0, 1), one for each draw.
    """
    cumulative = torch.softmax(logits.detach(), -1).cumsum(-1)
    threshold = uniforms.unsqueeze(-1) * cumulative[..., -1:]
    below = (cumulative <= threshold).sum(-1, keepdim=True, dtype=torch.int32)
    chosen = below.clamp_max(
        logits.shape[-1] - 1
    ).long()  # counting in int64 takes four times as long
    return torch.zeros_like(cumulative).scatter_(-1, chosen, 1.0)


def straight_through_sample(
    logits: Float[Tensor, "*shape classes"], uniforms: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape classes"]:
    """A one-hot sample whose gradient is that of the probabilities: sample + p − sg(p).

    DreamerV2 (arXiv:2010.02193), algorithm 1 ("straight-through gradients").
    """
    probabilities = torch.softmax(logits, -1)
    return one_hot_sample(logits, uniforms) + (probabilities - probabilities.detach())


def entropy(logits: Float[Tensor, "*shape classes"]) -> Float[Tensor, "*shape"]:
    """Entropy in nats of each categorical distribution."""
    log_probabilities = F.log_softmax(logits, -1)
    return -(log_probabilities.exp() * log_probabilities).sum(-1)


def kl_divergence(
    logits_p: Float[Tensor, "*shape classes"], logits_q: Float[Tensor, "*shape classes"]
) -> Float[Tensor, "*shape"]:
    """KL(p || q) in nats of each pair of categorical distributions."""
    log_p = F.log_softmax(logits_p, -1)
    log_q = F.log_softmax(logits_q, -1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


@runtime_checkable
class ActionDistribution(Protocol):
    """How an actor's outputs say which actions are how likely.

    An action is a vector: what the world model is told, and what a rollout keeps.
    """

    @property
    def outputs(self) -> int:
        """Width of the actor's last layer."""

    def sample(
        self, logits: Float[Tensor, "*shape outputs"], uniforms: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape A"]:
        """Draws actions by the uniforms, in [0, 1); without gradient."""

    def sample_pathwise(
        self, logits: Float[Tensor, "*shape outputs"], uniforms: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape A"]:
        """Draws the same actions, with a gradient from them to the outputs."""

    def mode(self, logits: Float[Tensor, "*shape outputs"]) -> Float[Tensor, "*shape A"]:
        """The most probable actions."""

    def log_probability(
        self, logits: Float[Tensor, "*shape outputs"], action: Float[Tensor, "*shape A"]
    ) -> Float[Tensor, "*shape"]:
        """Log-probability (density) of each action."""

    def entropy(self, logits: Float[Tensor, "*shape outputs"]) -> Float[Tensor, "*shape"]:
        """Entropy in nats of each distribution."""


@dataclass(frozen=True)
class CategoricalActions:
    """One of `outputs` choices, as a one-hot vector."""

    outputs: int

    def sample(
        self, logits: Float[Tensor, "*shape outputs"], uniforms: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape outputs"]:
        """Draws one-hot vectors by the uniforms, in [0, 1)."""
        return one_hot_sample(logits, uniforms)

    def sample_pathwise(
        self, logits: Float[Tensor, "*shape outputs"], uniforms: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape outputs"]:
        """Draws the same vectors; gradients pass straight through to the probabilities."""
        return straight_through_sample(logits, uniforms)

    def mode(self, logits: Float[Tensor, "*shape outputs"]) -> Float[Tensor, "*shape outputs"]:
        """The most probable choices, the first of equals."""
        return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)

    def log_probability(
        self, logits: Float[Tensor, "*shape outputs"], action: Float[Tensor, "*shape outputs"]
    ) -> Float[Tensor, "*shape"]:
        """Log-probability of each one-hot vector."""
        return (F.log_softmax(logits, -1) * action).sum(-1)

    def entropy(self, logits: Float[Tensor, "*shape outputs"]) -> Float[Tensor, "*shape"]:
        """Entropy in nats of each distribution."""
        return entropy(logits)
