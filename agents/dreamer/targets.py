"""Targets: what actor and critic learn from a rollout, in the two alignments of its rewards.

Both read the same trajectory (agents/dreamer/imagination.py): z_0..z_H, and with each action the
reward and the discount of the state it leads to. They differ in where a reward counts.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from agents.dreamer.imagination import Trajectory
from agents.dreamer.returns import lambda_returns


@dataclass(frozen=True)
class Targets:
    """What actor and critic learn from one trajectory.

    Attributes:
        value: [H, N], v_t, the values from which the advantages are measured.
        returns: [H, N], G_t, what the critic regresses.
        advantage: [A, N], of the first A actions; the others train no actor.
        weight: [H, N], how much state t counts.
    """

    value: Float[Tensor, "H N"]
    returns: Float[Tensor, "H N"]
    advantage: Float[Tensor, "A N"]
    weight: Float[Tensor, "H N"]


def arrival_targets(
    trajectory: Trajectory, value: Float[Tensor, "H1 N"], *, lambda_: float
) -> Targets:
    """Computes the targets of the official DreamerV2 code (arXiv:2010.02193, section 2.2).

    That code attaches a reward to the state on which it arrives: its critic at z_t contains r(z_t).

        state      z_0        z_1        ...   z_{H-1}    z_H
        reward     r_0        r_1        ...   r_{H-1}    -       r_t = r(z_t); r_0 of the start
        discount   d_0        d_1        ...   d_{H-1}    -       d_0 = γ (1 − is_terminal_0)
        value      v_0        v_1        ...   v_{H-1}    v_H
        target     G_0        G_1        ...   G_{H-1}    v_H     G_t = r_t + d_t [(1 − λ) v_{t+1} + λ G_{t+1}]
        weight     1          d_0        ...                      w_t = w_{t-1} d_{t-1}
        critic     G_0        G_1        ...   G_{H-1}
        actor      a_0: G_1   a_1: G_2   ...   a_{H-2}: G_{H-1}   advantage G_{t+1} − v_t

    The baseline v_t is legal (it does not depend on a_t), but G_{t+1} − v_t is not the advantage:
    it is off by r_t and a factor d_t. The last two states train no action; a terminal start
    trains its first, as its weight is 1.

    Args:
        trajectory: H steps from N starts.
        value: [H+1, N], v_0..v_H.
        lambda_: In [0, 1].
    """  # noqa: E501
    reward = torch.cat([trajectory.start_reward[None], trajectory.reward[:-1]])
    disc = torch.cat([trajectory.start_disc[None], trajectory.disc[:-1]])
    returns = lambda_returns(reward, disc, value[1:], lambda_=lambda_)
    return Targets(value[:-1], returns, returns[1:] - value[:-2], trajectory.weight)


def textbook_targets(
    trajectory: Trajectory, value: Float[Tensor, "H1 N"], *, lambda_: float, gamma: float
) -> Targets:
    """Computes the targets of the textbooks: a value is of what follows the state.

        state      z_0        z_1        ...   z_{H-1}         z_H
        action     a_0        a_1        ...   a_{H-1}
        reward     r_1        r_2        ...   r_H                  r_{t+1} = r(z_{t+1}) pays for a_t
        discount   d_1        d_2        ...   d_H
        value      v_0        v_1        ...   v_{H-1}         v_H
        target     G_0        G_1        ...   G_{H-1}         v_H  G_t = r_{t+1} + d_{t+1} [(1 − λ) v_{t+1} + λ G_{t+1}]
        weight     c_0        c_0 d_1    ...   c_0 d_1..d_{H-1}     c_0 = 1 − is_terminal_0
        critic     G_0        G_1        ...   G_{H-1}
        actor      a_0: G_0   a_1: G_1   ...   a_{H-1}: G_{H-1}     advantage G_t − v_t

    Every action is trained, and nothing after the end of an episode: a terminal start weighs 0.
    DreamerV3 (arXiv:2301.04104) aligns its imagined returns in this way.

    Args:
        trajectory: H steps from N starts.
        value: [H+1, N], v_0..v_H.
        lambda_: In [0, 1].
        gamma: In (0, 1], the discount of a state from which life goes on.
    """  # noqa: E501
    returns = lambda_returns(trajectory.reward, trajectory.disc, value[1:], lambda_=lambda_)
    weight = textbook_weight(trajectory, gamma=gamma)
    return Targets(value[:-1], returns, returns - value[:-1], weight)


def textbook_weight(trajectory: Trajectory, *, gamma: float) -> Float[Tensor, "H N"]:
    """How much each state z_0..z_{H-1} counts: c_0, c_0 d_1, c_0 d_1 d_2, ...

    The start counts as its continuation c_0 = d_0 / γ, so a terminal one trains nothing.
    """
    alive = trajectory.start_disc / gamma
    return torch.cat([alive[None], trajectory.disc[:-1]]).cumprod(0)
