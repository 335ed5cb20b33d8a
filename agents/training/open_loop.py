"""Open loop: what the world model expects when it sees nothing but the actions.

After a context of observed rows, the prior takes the posterior's place. Row t holds the action
that led into it, as in the replay:

    row      0 .. context - 1           context .. end - 1
    action   a_t, the replayed one      a_t, the replayed one
    state    z_t ~ q(z_t | h_t, x_t)    z_t ~ p(z_t | h_t)
"""

import torch
from jaxtyping import Float
from torch import Tensor

from agents.dreamer.rssm import LatentState
from agents.dreamer.world_model import Batch, WorldModel, one_hot_actions


def open_loop(
    world_model: WorldModel,
    batch: Batch,
    states: LatentState,
    uniforms: Float[Tensor, "B T stoch"],
    *,
    context: int,
    end: int,
) -> LatentState:
    """Rolls the prior along the replayed actions.

    Row t draws with the uniforms that its posterior was drawn with: where prior and posterior
    agree, so do the two states. Where an episode starts, state and action are zeroed, as they are
    when observing: the model learns that one starts, not what it looks like.

    Args:
        world_model: What is rolled.
        batch: [B, T], whose actions and episode starts are followed.
        states: [B, T, ...], the posterior states.
        uniforms: [B, T, S], in [0, 1).
        context: How many rows were observed; at least 1.
        end: The row to stop before, in context + 1 .. T.

    Returns:
        [B, end - context, ...], the states of rows context .. end - 1.

    Raises:
        ValueError: If `context` and `end` leave no row to observe or none to predict.
    """
    length = batch.is_first.shape[1]
    if not 0 < context < end <= length:
        raise ValueError(f"no open loop from row {context} to {end} of {length} rows")
    keep = 1.0 - batch.is_first.float().unsqueeze(-1)
    action = one_hot_actions(batch.action, world_model.actions) * keep
    stoch, deter = states.stoch[:, context - 1], states.deter[:, context - 1]
    stochs, deters = [], []
    for t in range(context, end):
        before = LatentState(stoch * keep[:, t], deter * keep[:, t])
        state = world_model.rssm.img_step(before, action[:, t], uniforms[:, t])
        stoch, deter = state.stoch, state.deter
        stochs.append(stoch)
        deters.append(deter)
    return LatentState(torch.stack(stochs, 1), torch.stack(deters, 1))
