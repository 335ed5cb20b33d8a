"""Categorical latents and actions: sampling from given uniforms, straight-through, KL, entropy."""

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
    chosen = (cumulative <= threshold).sum(-1, keepdim=True).clamp_max(logits.shape[-1] - 1)
    return torch.zeros_like(cumulative).scatter_(-1, chosen, 1.0)


def straight_through_sample(
    logits: Float[Tensor, "*shape classes"], uniforms: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape classes"]:
    """A one-hot sample whose gradient is that of the probabilities: sample + p − sg(p).

    DreamerV2 (arXiv:2010.02193), algorithm 1 ("straight-through gradients").
    """
    probabilities = torch.softmax(logits, -1)
    return one_hot_sample(logits, uniforms) + (probabilities - probabilities.detach())


def one_hot_mode(logits: Float[Tensor, "*shape classes"]) -> Float[Tensor, "*shape classes"]:
    """The most probable class of each distribution, as a one-hot vector."""
    return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)


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


def log_probability(
    logits: Float[Tensor, "*shape classes"], one_hot: Float[Tensor, "*shape classes"]
) -> Float[Tensor, "*shape"]:
    """Log-probability of each one-hot vector."""
    return (F.log_softmax(logits, -1) * one_hot).sum(-1)
