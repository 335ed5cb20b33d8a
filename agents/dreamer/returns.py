"""Returns of a rollout: one function per recursion."""

import torch
from jaxtyping import Float
from torch import Tensor


def lambda_returns(
    reward: Float[Tensor, "H N"],
    disc: Float[Tensor, "H N"],
    next_value: Float[Tensor, "H N"],
    *,
    lambda_: float,
) -> Float[Tensor, "H N"]:
    """Mixes the n-step returns of a rollout, backwards from the last value.

    DreamerV2 (arXiv:2010.02193), eq. (4):

        G_t = r_t + d_t [(1 − λ) v_{t+1} + λ G_{t+1}],      G_H = v_H.

    Args:
        reward: [H, N], r_t.
        disc: [H, N], d_t; 0 cuts off whatever follows.
        next_value: [H, N], v_{t+1}; the last row bootstraps.
        lambda_: In [0, 1]; 0 is one-step TD, 1 is Monte Carlo with a bootstrap.

    Returns:
        [H, N], G_0..G_{H-1}. Which reward belongs to t is the caller's alignment.
    """
    one_step = reward + disc * next_value * (1.0 - lambda_)
    following = next_value[-1]
    returns = []
    for t in reversed(range(len(reward))):
        following = one_step[t] + disc[t] * lambda_ * following
        returns.append(following)
    return torch.stack(returns[::-1])
