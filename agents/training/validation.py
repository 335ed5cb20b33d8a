"""Validation: how well the world model predicts episodes that it is not trained on.

The total loss is mostly image, so its terms are told apart; and since a posterior that copies
its input fools every one of them, so are the errors of predictions without an observation.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from agents.dreamer.rssm import LatentState
from agents.dreamer.world_model import Batch, WorldModel, normalised
from agents.observation import Observation
from agents.training.open_loop import open_loop
from agents.views import View

CONTEXT = 5
"""Rows observed before a prediction, in sequences of twice as many rows or more."""

DISTANCES = (1, 5, 15)
"""How many rows after the last observed one a prediction is judged."""


@torch.no_grad()
def validate(
    world_model: WorldModel, batch: Batch, uniforms: Float[Tensor, "B T stoch"]
) -> dict[str, Float[Tensor, ""]]:
    """Judges the world model on a batch as it is, without any transform of the views.

    Args:
        world_model: What is judged; nothing of it changes.
        batch: [B, T], of validation episodes.
        uniforms: [B, T, S], in [0, 1), as many as `world_model.uniforms_shape` says.

    Returns:
        `validation/loss`, the scaled sum, and `validation/<term>` for each of its terms; then
        for each distance k of `DISTANCES` that the sequences are long enough for

            validation/open_loop_image_error_<k>     mean squared error per pixel, white is 1
                                                     above black; `_observation_` for vectors,
                                                     in their own units
            validation/open_loop_reward_error_<k>    mean absolute error of tanh r

        k rows after a context of min(`CONTEXT`, T // 2) rows, over the sequences in which no new
        episode starts in between; left out if there is none.
    """
    target = normalised(batch.observation)
    terms, _, seen = world_model.losses([View(target, target)], batch, uniforms)
    losses = {f"validation/{name}": term for name, term in terms.items()}
    losses["validation/loss"] = world_model.total(terms)

    return losses | _open_loop_errors(world_model, batch, target, seen.states, uniforms)


def _open_loop_errors(
    world_model: WorldModel, batch: Batch, target: Tensor, states: LatentState, uniforms: Tensor
) -> dict[str, Tensor]:
    kind = "image" if Observation(tuple(target.shape[2:])).is_image else "observation"
    length = batch.is_first.shape[1]
    context = min(CONTEXT, length // 2)
    distances = [k for k in DISTANCES if context + k <= length]
    end = context + distances[-1]
    feat = open_loop(world_model, batch, states, uniforms, context=context, end=end).feat
    errors = {}
    for k in distances:
        row = context + k - 1
        going_on = ~batch.is_first[:, context : row + 1].any(1)
        if not going_on.any():
            continue
        predicted, seen = feat[going_on, k - 1], target[going_on, row]
        reward = world_model.reward(predicted).squeeze(-1)
        arrived = torch.tanh(batch.reward[going_on, row])
        error = (world_model.decoder(predicted) - seen).square().mean()
        errors[f"validation/open_loop_{kind}_error_{k}"] = error
        errors[f"validation/open_loop_reward_error_{k}"] = (reward - arrived).abs().mean()
    return errors
