"""Self-prediction: the states of the next steps, rolled out by the prior, foretell embeddings.

Schwarzer et al., "Data-Efficient Reinforcement Learning with Self-Predictive Representations"
(arXiv:2007.05929, SPR), its loss with the world model's own prior as the transition model:

    l_t = −Σ_{k=1..K} cos(q(g(ẑ_{t+k})), ḡ(f̄(o_{t+k}))),    ẑ_{t+k} from K steps of the prior.

    row          t          t+1          t+2              K = 2
    posterior    z_t
    prior        z_t  a_{t+1}-> ẑ_{t+1}  a_{t+2}-> ẑ_{t+2}   a_{t+k} led into row t+k of the replay
    target                 o_{t+1}      o_{t+2}
    counts                 unless is_first at t+1; at t+1 or t+2

ẑ is mapped to the width of an embedding first, because encoder and recurrent model speak of
different things; g projects it, q predicts. f̄ and ḡ follow the encoder and g by moving averages
of rate τ, and take no gradient; at τ = 1 they are the encoder and g themselves, without gradient.
SPR has τ = 0.01 with dropout, and τ = 1 with augmentation. Gradients reach the prior by
straight-through samples, and the encoder through z_t. SPR's g is a layer of its Q network; here
the critic is no part of the world model, so g is the term's own.
"""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from agents.auxiliary import Auxiliary
from agents.dreamer.distributions import straight_through_sample
from agents.dreamer.loss_terms import AuxiliaryLoss, Follower
from agents.dreamer.networks import MLP
from agents.dreamer.rssm import LatentState
from agents.dreamer.world_model import Seen, WorldModel, one_hot_actions
from agents.modification import Example
from agents.parts import AssemblyError, Parts
from agents.precision import at_least_fp32
from agents.streams import Streams

SHORT = {"jumps": 2, "width": 8, "ema_rate": 0.5}


class SelfPredictive(Auxiliary):
    """Predicts the embeddings of the next `jumps` observations from states without them."""

    name: ClassVar[str] = "self_predictive"
    summary: ClassVar[str] = "embeddings of the next observations foretold by the prior"
    paper: ClassVar[str] = "arXiv:2007.05929 (SPR)"
    examples: ClassVar[tuple[Example, ...]] = (
        Example(SHORT, "jumps", 1),
        Example(SHORT, "ema_rate", 1.0),
        Example(SHORT, "width", 4),
        Example(SHORT, "weight", 1.0),
        Example(SHORT, "scaling", "coefficient"),
    )

    jumps: int = Field(5, ge=1)  # K, agent steps ahead; SPR's
    ema_rate: float = Field(0.01, gt=0, le=1)  # τ per update, SPR's without augmentation; 1: none
    width: int = Field(256, ge=1)  # of the projection

    def install(self, parts: Parts) -> Parts:
        length = parts.config.length
        if self.jumps >= length:
            raise AssemblyError(
                f"{self.name} looks jumps = {self.jumps} agent steps ahead, in sequences of "
                f"length = {length}; at most {length - 1} are possible"
            )
        return super().install(parts)

    def build(self, world_model: WorldModel, streams: Streams) -> "SelfPrediction":
        return SelfPrediction(self, world_model, streams)


class SelfPrediction(AuxiliaryLoss):
    """The term with its networks."""

    def __init__(
        self, settings: SelfPredictive, world_model: WorldModel, streams: Streams
    ) -> None:
        config, embed = world_model.config, world_model.encoder.outputs
        super().__init__(settings.scale, config.model_lr)
        self.jumps, self.stoch, width = settings.jumps, config.stoch, settings.width

        def layer(inputs: int, outputs: int, name: str) -> MLP:
            generator = streams.initialiser(f"{settings.name}/{name}")
            return MLP(inputs, outputs, units=0, layers=0, generator=generator)

        self.to_embed = layer(config.feat, embed, "to_embed")
        self.projector = layer(embed, width, "projector")
        self.predictor = layer(width, width, "predictor")
        self.slow_encoder: Follower | None = None
        self.slow_projector: Follower | None = None
        if settings.ema_rate < 1:
            self.slow_encoder = Follower(world_model.encoder, settings.ema_rate)
            self.slow_projector = Follower(self.projector, settings.ema_rate)

    def uniforms_shape(self, batch: int, length: int) -> tuple[int, ...]:
        """One for each categorical of each step of each rollout."""
        return (self.jumps, batch, length - self.jumps, self.stoch)

    def forward(
        self, world_model: WorldModel, seen: Seen, uniforms: Float[Tensor, "K B S stoch"]
    ) -> tuple[Float[Tensor, "B S"], dict[str, Float[Tensor, ""]]]:
        """Rolls out from every row that K rows follow."""
        feat = prior_rollout(world_model, seen, uniforms)
        predicted = at_least_fp32(self.predictor(self.projector(self.to_embed(feat))))
        target = windows(at_least_fp32(self._targets(seen)), self.jumps)
        counts = going_on(seen.batch.is_first, self.jumps)
        loss = prediction_loss(predicted, target, counts)
        with torch.no_grad():
            cosine = F.cosine_similarity(predicted, target, dim=-1) * counts
            means = cosine.sum((1, 2)) / counts.sum((1, 2)).clamp_min(1)
            direction = F.normalize(target, dim=-1).flatten(0, -2).mean(0)
            metrics = {
                "cosine_of_first": means[0],
                "cosine_of_last": means[-1],
                "target_spread": 1.0 - direction.norm(),  # 0: all targets point one way
                "targets_used": counts.float().mean(),
                "prior_steps": torch.full_like(means[0], counts.numel()),
            }
        return loss, metrics

    @torch.no_grad()
    def _targets(self, seen: Seen) -> Float[Tensor, "B T width"]:
        embed, projector = seen.embed, self.slow_projector or self.projector
        if self.slow_encoder is not None:
            flat: Tensor = self.slow_encoder(seen.view.obs_in.flatten(0, 1))
            embed = flat.view(embed.shape)
        targets: Tensor = projector(embed)
        return targets

    def networks(self) -> tuple[nn.Module, ...]:
        """All but those that follow."""
        return self.to_embed, self.projector, self.predictor

    def followers(self, world_model: WorldModel) -> tuple[tuple[Follower, nn.Module], ...]:
        """Encoder and projector; none without a moving average."""
        if self.slow_encoder is None or self.slow_projector is None:
            return ()
        return (self.slow_encoder, world_model.encoder), (self.slow_projector, self.projector)


def prior_rollout(
    world_model: WorldModel, seen: Seen, uniforms: Float[Tensor, "K B S stoch"]
) -> Float[Tensor, "K B S feat"]:
    """Features of the prior 1 to K steps after each of the first S rows, by replayed actions."""
    K, B, S, _ = uniforms.shape
    states, rssm = seen.states, world_model.rssm
    action = one_hot_actions(seen.batch.action, world_model.actions)
    state = LatentState(states.stoch[:, :S].flatten(0, 1), states.deter[:, :S].flatten(0, 1))
    feats = []
    for k in range(1, K + 1):
        led_there = action[:, k : k + S].flatten(0, 1)
        draws = uniforms[k - 1].flatten(0, 1)
        state = rssm.img_step(state, led_there, draws, straight_through_sample)
        feats.append(state.feat.view(B, S, -1))
    return torch.stack(feats)


def windows(rows: Float[Tensor, "B T width"], jumps: int) -> Float[Tensor, "K B S width"]:
    """Row t + k of each sequence at [k − 1, :, t], for k = 1..K and t = 0..T−K−1."""
    starts = rows.shape[1] - jumps
    return torch.stack([rows[:, k : k + starts] for k in range(1, jumps + 1)])


def going_on(is_first: Bool[Tensor, "B T"], jumps: int) -> Bool[Tensor, "K B S"]:
    """Whether no episode starts in rows t + 1 to t + k, at [k − 1, :, t]."""
    starts = is_first.shape[1] - jumps
    begins = torch.stack([is_first[:, k : k + starts] for k in range(1, jumps + 1)])
    return begins.cumsum(0) == 0


def prediction_loss(
    predicted: Float[Tensor, "K B S width"],
    target: Float[Tensor, "K B S width"],
    counts: Bool[Tensor, "K B S"],
) -> Float[Tensor, "B S"]:
    """−Σ_k cos(predicted, target) where it counts: −K at best, 0 where nothing counts."""
    return -(F.cosine_similarity(predicted, target, dim=-1) * counts).sum(0)
