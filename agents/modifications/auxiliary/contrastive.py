"""Contrast: an embedding of a frame is told from those of other frames by another look at it.

Laskin, Srinivas and Abbeel, "CURL: Contrastive Unsupervised Representations for Reinforcement
Learning" (arXiv:2004.04136), with the momentum encoder of He et al. (arXiv:1911.05722,
MoCo); both looks at a frame are random shifts:

    l_i = −log exp(s(q_i, k_i)) / Σ_j exp(s(q_i, k_j)),    q = g(f(shift(o))),  k = ḡ(f̄(shift'(o))),
    s(q, k) = q W kᵀ  (CURL),   or  cos(q, k) / temperature  (MoCo).

Frames of one sequence are near copies of each other, so they are poor negatives: by default one
frame of each sequence is drawn. The other way is to take all frames, and to leave those of the
same episode out that are fewer than `window` agent steps away: sequences overlap where there are
few episodes. f̄ and ḡ follow the encoder and the projector g by moving averages, and take no
gradient.
"""  # noqa: E501

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from agents.augmentation import shift
from agents.auxiliary import Auxiliary
from agents.config import IMAGE_SIZE
from agents.dreamer.loss_terms import AuxiliaryLoss, Follower
from agents.dreamer.networks import MLP, glorot_
from agents.dreamer.world_model import Seen, WorldModel
from agents.modification import Example
from agents.parts import AssemblyError, Parts
from agents.precision import at_least_fp32
from agents.streams import Streams

SMALL = {"width": 8, "ema_rate": 0.5}
COSINE = {**SMALL, "similarity": "cosine"}
MASKED = {**SMALL, "negatives": "masked", "window": 2}


class Contrastive(Auxiliary):
    """Tells a frame from other frames by the embeddings of two random shifts."""

    name: ClassVar[str] = "contrastive"
    summary: ClassVar[str] = "frames told from each other by the embeddings of two shifts"
    paper: ClassVar[str] = "arXiv:2004.04136 (CURL); arXiv:1911.05722 (MoCo)"
    requires_image: ClassVar[bool] = True
    examples: ClassVar[tuple[Example, ...]] = (
        Example(SMALL, "negatives", "masked"),
        Example(MASKED, "window", 4),
        Example(SMALL, "similarity", "cosine"),
        Example(COSINE, "temperature", 0.5),
        Example(SMALL, "ema_rate", 1.0),
        Example(SMALL, "width", 4),
        Example(SMALL, "pad", 2),
        Example(SMALL, "weight", 1.0),
        Example(SMALL, "scaling", "coefficient"),
    )

    negatives: Literal["one_per_sequence", "masked"] = "one_per_sequence"  # frames that compete
    window: int = Field(8, ge=1)  # agent steps, of "masked"; this project's guess
    similarity: Literal["bilinear", "cosine"] = "bilinear"  # CURL's, or MoCo's
    temperature: float = Field(0.07, gt=0)  # of "cosine"; MoCo's
    ema_rate: float = Field(0.05, gt=0, le=1)  # τ per update, CURL's; 1: the networks themselves
    width: int = Field(128, ge=1)  # of the projection, CURL's
    pad: int = Field(6, ge=0, lt=IMAGE_SIZE)  # pixels of 64; CURL's crops of 84 move by 8

    def determinants(self) -> dict[str, Any]:
        """As `Settings.determinants`; what has no effect beside the others is left out."""
        values = super().determinants()
        if self.negatives != "masked":
            del values["window"]
        if self.similarity != "cosine":
            del values["temperature"]
        return values

    def install(self, parts: Parts) -> Parts:
        batch, length = parts.config.batch, parts.config.length
        if batch == 1 and (self.negatives != "masked" or length <= self.window):
            raise AssemblyError(
                f"{self.name} tells frames apart, and a batch of one sequence of {length} has "
                f"none that count as others with negatives = {self.negatives!r} and "
                f"window = {self.window}; give it more sequences"
            )
        return super().install(parts)

    def build(self, world_model: WorldModel, streams: Streams) -> "Contrast":
        return Contrast(self, world_model, streams)


class Contrast(AuxiliaryLoss):
    """The term with its networks."""

    def __init__(self, settings: Contrastive, world_model: WorldModel, streams: Streams) -> None:
        super().__init__(settings.scale, world_model.config.model_lr)
        self.settings, embed, width = settings, world_model.encoder.outputs, settings.width
        generator = streams.initialiser(f"{settings.name}/projector")
        self.projector = MLP(embed, width, units=0, layers=0, generator=generator)
        self.bilinear: Bilinear | None = None
        if settings.similarity == "bilinear":
            self.bilinear = Bilinear(width, streams.initialiser(f"{settings.name}/bilinear"))
        self.slow_encoder = Follower(world_model.encoder, settings.ema_rate)
        self.slow_projector = Follower(self.projector, settings.ema_rate)

    def uniforms_shape(self, batch: int, length: int) -> tuple[int, ...]:
        """Which frame, and two shifts, for each frame that takes part."""
        frames = length if self.settings.negatives == "masked" else 1
        return (batch, frames, 5)

    def forward(
        self, world_model: WorldModel, seen: Seen, uniforms: Float[Tensor, "B S 5"]
    ) -> tuple[Float[Tensor, "B S"], dict[str, Float[Tensor, ""]]]:
        """Compares every frame that takes part with every other."""
        frames, batch = seen.view.obs_in, seen.batch
        if self.settings.negatives == "masked":
            counts = far_apart(batch.row, batch.episode, self.settings.window)
        else:
            row = (uniforms[:, 0, 0] * frames.shape[1]).long()
            frames = frames[torch.arange(len(frames), device=frames.device), row][:, None]
            counts = torch.ones(2 * [len(frames)], dtype=torch.bool, device=frames.device)
        query = self.projector(world_model.encoder(self._shifted(frames, uniforms[..., 1:3])))
        key = self.slow_projector(self.slow_encoder(self._shifted(frames, uniforms[..., 3:5])))
        scores = at_least_fp32(self._scores(query, key))
        metrics = {
            "accuracy": hits(scores.detach(), counts).float().mean(),
            "negatives": counts.sum(1).float().mean() - 1.0,
            "frames_encoded": torch.full_like(scores[0, 0].detach(), 2.0 * len(query)),
        }
        return contrastive_loss(scores, counts).view(uniforms.shape[:2]), metrics

    def _shifted(self, frames: Tensor, uniforms: Tensor) -> Tensor:
        pad = self.settings.pad
        offsets = ((2 * pad + 1) * uniforms).long() - pad
        return shift(frames, offsets).flatten(0, 1)

    def _scores(self, query: Tensor, key: Tensor) -> Float[Tensor, "N N"]:
        if self.bilinear is not None:
            scores: Tensor = self.bilinear(query, key)
            return scores
        cosine = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).T
        return cosine / self.settings.temperature

    def networks(self) -> tuple[nn.Module, ...]:
        """All but those that follow."""
        return (self.projector,) if self.bilinear is None else (self.projector, self.bilinear)

    def followers(self, world_model: WorldModel) -> tuple[tuple[Follower, nn.Module], ...]:
        """The networks of the keys."""
        return (self.slow_encoder, world_model.encoder), (self.slow_projector, self.projector)


class Bilinear(nn.Module):
    """Scores of all pairs of queries and keys, q W kᵀ."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        layer: nn.Linear = skip_init(nn.Linear, width, width, bias=False)
        glorot_(layer.weight, width, width, generator)
        self.layers = nn.ModuleList([layer])

    def forward(
        self, query: Float[Tensor, "N width"], key: Float[Tensor, "N width"]
    ) -> Float[Tensor, "N N"]:
        """Of query i and key j at [i, j]."""
        scores: Tensor = self.layers[0](query) @ key.T
        return scores


def far_apart(
    row: Int[Tensor, "B T"], episode: Int[Tensor, "B T"], window: int
) -> Bool[Tensor, "N N"]:
    """Which of N = B T frames count beside each: itself, and all that are not close to it.

    Those of its episode that are fewer than `window` rows away are close, the same frame in
    another sequence among them.
    """
    row, episode = row.flatten(), episode.flatten()
    same = episode[:, None] == episode
    close = same & ((row[:, None] - row).abs() < window)
    return ~close | torch.eye(len(row), dtype=torch.bool, device=row.device)


def contrastive_loss(
    scores: Float[Tensor, "N N"], counts: Bool[Tensor, "N N"]
) -> Float[Tensor, " N"]:
    """−log of the probability of the key of the same frame, among the keys that count."""
    own = torch.arange(len(scores), device=scores.device)
    return F.cross_entropy(scores.masked_fill(~counts, -torch.inf), own, reduction="none")


def hits(scores: Float[Tensor, "N N"], counts: Bool[Tensor, "N N"]) -> Bool[Tensor, " N"]:
    """Whether no key that counts scores higher than that of the same frame."""
    return scores.diagonal() >= scores.masked_fill(~counts, -torch.inf).amax(1)
