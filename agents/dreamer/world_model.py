"""The world model: what is learned from replayed sequences.

DreamerV2 (arXiv:2010.02193), eq. (2) and section 2.1, with the official code's scales:

    L = L_image + L_reward + 5 L_discount + 0.1 L_KL,      means over batch and time.

Row t of a sequence is (o_t, r_t, is_terminal_t) as they arrived together, with the action that
led there; every row is trained, those that start an episode included.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from agents.config import AgentConfig
from agents.dreamer.distributions import entropy, kl_divergence
from agents.dreamer.networks import MLP, Decoder, Encoder
from agents.dreamer.rssm import RSSM, LatentState
from agents.observation import Observation
from agents.streams import Streams
from agents.views import View


@dataclass(frozen=True)
class Batch:
    """Replayed sequences.

    Attributes:
        observation: [B, T, *obs], gray levels or colours (uint8), or vectors (float).
        action: [B, T], the action that led into row t; meaningless where is_first.
        reward: [B, T], raw, arrived with row t.
        is_first: [B, T], true where an episode or the sequence starts.
        is_terminal: [B, T], true where the episode ended for good (not by a time limit).
        row: [B, T], which row of the replay it is: rows of one episode follow each other.
        episode: [B, T], the row with which its episode began.
    """

    observation: UInt8[Tensor, "B T *obs"] | Float[Tensor, "B T *obs"]
    action: Int[Tensor, "B T"]
    reward: Float[Tensor, "B T"]
    is_first: Bool[Tensor, "B T"]
    is_terminal: Bool[Tensor, "B T"]
    row: Int[Tensor, "B T"]
    episode: Int[Tensor, "B T"]


@dataclass(frozen=True)
class Posteriors:
    """Where imagination starts: every replayed state, cut off from the world model's gradient.

    Attributes:
        state: [B * T, ...].
        is_terminal: [B * T].
    """

    state: LatentState
    is_terminal: Float[Tensor, " N"]

    @classmethod
    def of(cls, states: LatentState, batch: Batch) -> "Posteriors":
        """Lists the states [B, T, ...] of a batch, row after row."""
        start = LatentState(
            states.stoch.detach().flatten(0, 1), states.deter.detach().flatten(0, 1)
        )
        return cls(start, batch.is_terminal.float().flatten())


@dataclass(frozen=True)
class Seen:
    """What one pass over a batch has computed, with the gradients that lead to it.

    Attributes:
        view: What was encoded.
        batch: [B, T].
        embed: [B, T, E], the embedded observations.
        states: [B, T, ...], posterior states with straight-through samples.
        posterior: [B, T, S, C], the logits that the samples were drawn by.
    """

    view: View
    batch: Batch
    embed: Float[Tensor, "B T embed"]
    states: LatentState
    posterior: Float[Tensor, "B T stoch classes"]

    @property
    def posteriors(self) -> Posteriors:
        """The states as starts of dreams."""
        return Posteriors.of(self.states, self.batch)


def normalised(
    observation: UInt8[Tensor, "*shape"] | Float[Tensor, "*shape"],
) -> Float[Tensor, "*shape"]:
    """Gray levels to [-0.5, 0.5]; vectors stay as they are."""
    if observation.dtype == torch.uint8:
        return observation.float() / 255.0 - 0.5
    return observation


class WorldModel(nn.Module):
    """Encoder, RSSM, and the heads that predict observation, reward and discount."""

    def __init__(
        self, config: AgentConfig, observation: Observation, actions: int, streams: Streams
    ) -> None:
        super().__init__()
        self.config, self.actions = config, actions
        self.reconstruction_loss = "image_loss" if observation.is_image else "vector_loss"
        self.encoder = Encoder(observation, config, streams.initialiser("encoder"))
        self.rssm = RSSM(config, actions, self.encoder.outputs, streams)
        self.decoder = Decoder(observation, config, streams.initialiser("decoder"))
        self.reward = self._head(streams.initialiser("reward"))
        self.discount = self._head(streams.initialiser("discount"))

    def _head(self, generator: torch.Generator) -> MLP:
        config = self.config
        return MLP(config.feat, 1, units=config.units, layers=config.layers, generator=generator)

    def uniforms_shape(self, batch: int, length: int) -> tuple[int, ...]:
        """How many uniforms `losses` takes."""
        return (batch, length, self.config.stoch)

    def losses(
        self, views: list[View], batch: Batch, uniforms: Float[Tensor, "B T stoch"]
    ) -> tuple[dict[str, Float[Tensor, ""]], dict[str, Float[Tensor, ""]], Seen]:
        """Computes the loss terms, averaged over the views.

        All views share the uniforms; the first one's states start the imagination.

        Returns:
            The unscaled loss terms, read-only metrics, and what was seen of the first view.
        """
        passes = [self._view_losses(view, batch, uniforms) for view in views]
        terms = {
            name: torch.stack([losses[name] for losses, _, _ in passes]).mean()
            for name in passes[0][0]
        }
        _, metrics, seen = passes[0]
        return terms, metrics, seen

    @torch.no_grad()
    def filter(
        self, batch: Batch, uniforms: Float[Tensor, "B T stoch"]
    ) -> tuple[LatentState, Float[Tensor, "B T stoch classes"]]:
        """Infers the states of a batch without learning from it.

        Returns:
            Posterior states [B, T, ...] and posterior logits [B, T, S, C], without gradient.
        """
        embed = self._embed(normalised(batch.observation))
        return self._observe(embed, batch, uniforms)

    def _embed(self, observation: Tensor) -> Tensor:
        embed: Tensor = self.encoder(observation.flatten(0, 1))
        return torch.unflatten(embed, 0, observation.shape[:2])

    def _observe(
        self, embed: Tensor, batch: Batch, uniforms: Tensor
    ) -> tuple[LatentState, Tensor]:
        action = one_hot_actions(batch.action, self.actions)
        return self.rssm.observe(action, embed, batch.is_first.float(), uniforms)

    def total(self, terms: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """The scaled sum of the loss terms."""
        config = self.config
        scales = {
            self.reconstruction_loss: 1.0,
            "reward_loss": config.reward_scale,
            "discount_loss": config.discount_scale,
            "kl_loss": config.kl_scale,
        }
        if scales.keys() != terms.keys():
            raise ValueError(f"loss terms {set(terms)} do not match the scales {set(scales)}")
        return torch.stack([scales[name] * term for name, term in terms.items()]).sum()

    def _view_losses(
        self, view: View, batch: Batch, uniforms: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], Seen]:
        embed = self._embed(view.obs_in)
        states, posterior = self._observe(embed, batch, uniforms)
        prior = self.rssm.prior_logits(states.deter)
        feat = states.feat
        squared_error = (self.decoder(feat) - view.obs_target).square()
        discount_target = self.config.gamma * (1.0 - batch.is_terminal.float())
        terms = {
            self.reconstruction_loss: 0.5 * squared_error.flatten(2).sum(-1).mean(),
            "reward_loss": reward_loss(self.reward(feat).squeeze(-1), batch.reward),
            "discount_loss": F.binary_cross_entropy_with_logits(
                self.discount(feat).squeeze(-1), discount_target
            ),
            "kl_loss": balanced_kl(
                posterior,
                prior,
                balance=self.config.kl_balance,
                free_nats=self.config.free_nats,
            ),
        }
        metrics = {
            "prior_entropy": entropy(prior.detach()).sum(-1).mean(),
            "posterior_entropy": entropy(posterior.detach()).sum(-1).mean(),
        }
        return terms, metrics, Seen(view, batch, embed, states, posterior)


def one_hot_actions(action: Int[Tensor, "*shape"], actions: int) -> Float[Tensor, "*shape A"]:
    """One-hot vectors of action indices."""
    choices = torch.arange(actions, device=action.device)
    return (action.unsqueeze(-1) == choices).float()


def reward_loss(mean: Float[Tensor, "B T"], reward: Float[Tensor, "B T"]) -> Float[Tensor, ""]:
    """−log N(tanh r; mean, 1) without its constant, averaged over all rows."""
    return 0.5 * (mean - torch.tanh(reward)).square().mean()


def balanced_kl(
    posterior: Float[Tensor, "B T stoch classes"],
    prior: Float[Tensor, "B T stoch classes"],
    *,
    balance: float,
    free_nats: float,
) -> Float[Tensor, ""]:
    """KL with its gradient split between prior and posterior, DreamerV2, algorithm 2.

        balance · max(KL(sg(q) ‖ p), free) + (1 − balance) · max(KL(q ‖ sg(p)), free),

    the KL summed over the categoricals and averaged over batch and time before the maximum.
    """
    to_prior = kl_divergence(posterior.detach(), prior).sum(-1).mean()
    to_posterior = kl_divergence(posterior, prior.detach()).sum(-1).mean()
    return balance * to_prior.clamp_min(free_nats) + (1.0 - balance) * to_posterior.clamp_min(
        free_nats
    )
