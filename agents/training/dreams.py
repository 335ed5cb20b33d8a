"""Dreams: pictures of what the world model saw, rebuilt and expected, as arrays to be drawn."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor

from agents.dreamer.world_model import Batch, WorldModel
from agents.observation import Observation
from agents.training.open_loop import open_loop


@dataclass(frozen=True)
class Dreams:
    """A few sequences next to what the world model makes of them.

    Rows before `context` of what is open loop are those of the reconstruction.

    Attributes:
        truth: [S, T, C, H, W], gray levels.
        reconstruction: [S, T, C, H, W], decoded from the posterior of every row.
        open_loop: [S, T, C, H, W], decoded from the prior from row `context` on.
        reward: [S, T], tanh r, as it arrived with the row.
        reward_reconstructed: [S, T], predicted from the posterior.
        reward_open_loop: [S, T], predicted from the prior from row `context` on.
        action: [S, T], the action that led into the row.
        context: How many rows were observed before the open loop.
    """

    truth: UInt8[np.ndarray, "S T C H W"]
    reconstruction: UInt8[np.ndarray, "S T C H W"]
    open_loop: UInt8[np.ndarray, "S T C H W"]
    reward: Float32[np.ndarray, "S T"]
    reward_reconstructed: Float32[np.ndarray, "S T"]
    reward_open_loop: Float32[np.ndarray, "S T"]
    action: Int64[np.ndarray, "S T"]
    context: int

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Every attribute by its name as an array, the context of shape []."""
        return {name: np.asarray(value) for name, value in asdict(self).items()}


@torch.no_grad()
def dream_pictures(
    world_model: WorldModel, batch: Batch, uniforms: Float[Tensor, "S T stoch"], context: int
) -> Dreams:
    """Reconstructs every row of some sequences, and predicts those after the context.

    Args:
        world_model: Whose dreams; nothing of it changes.
        batch: [S, T], of images.
        uniforms: [S, T, S'], in [0, 1), as many as `world_model.uniforms_shape` says.
        context: How many rows are observed before the open loop, in 1 .. T - 1.

    Raises:
        ValueError: If the observations are not images, or the context leaves nothing to predict.
    """
    shape = tuple(batch.observation.shape[2:])
    if not Observation(shape).is_image:
        raise ValueError(f"dreams are pictures: observations of shape {shape} are no images")
    length = batch.is_first.shape[1]
    states, _ = world_model.filter(batch, uniforms)
    expected = open_loop(world_model, batch, states, uniforms, context=context, end=length)

    images, rewards = world_model.decoder(states.feat), world_model.reward(states.feat)
    later_images, later_rewards = (
        world_model.decoder(expected.feat),
        world_model.reward(expected.feat),
    )
    return Dreams(
        truth=batch.observation.cpu().numpy(),
        reconstruction=_gray_levels(images),
        open_loop=_gray_levels(torch.cat([images[:, :context], later_images], 1)),
        reward=torch.tanh(batch.reward).cpu().numpy(),
        reward_reconstructed=rewards.squeeze(-1).cpu().numpy(),
        reward_open_loop=torch.cat([rewards[:, :context], later_rewards], 1)
        .squeeze(-1)
        .cpu()
        .numpy(),
        action=batch.action.cpu().numpy(),
        context=context,
    )


def _gray_levels(images: Float[Tensor, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """The inverse of `normalised`, with what lies beyond black and white cut off."""
    levels: NDArray[np.uint8] = (
        ((images + 0.5) * 255.0).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    )
    return levels
