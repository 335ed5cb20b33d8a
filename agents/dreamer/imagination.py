"""Imagination: rolling the policy out inside the world model.

state     z_0     z_1     z_2     ...   z_H
action        a_0     a_1     ...            a_t is taken in z_t
reward        r_1     r_2     ...   r_H      reward[t] = r(z_{t+1}), paid on entering z_{t+1}
disc          d_1     d_2     ...   d_H      disc[t] of z_{t+1}, gamma inside
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from agents.dreamer.world_model import Posteriors, WorldModel


@dataclass(frozen=True)
class Trajectory:
    """A rollout, real or dreamed, in the standard alignment.

    Attributes:
        feat: [H+1, N, F], features of z_0..z_H.
        action: [H, N, A], action[t] is taken in feat[t].
        reward: [H, N], reward[t] = r(z_{t+1}).
        disc: [H, N], in [0, 1]; disc[t] is the discount of z_{t+1}, gamma inside.
        start_reward: [N], r(z_0).
        start_disc: [N], gamma (1 − is_terminal_0), from data.
    """

    feat: Float[Tensor, "H1 N F"]
    action: Float[Tensor, "H N A"]
    reward: Float[Tensor, "H N"]
    disc: Float[Tensor, "H N"]
    start_reward: Float[Tensor, " N"]
    start_disc: Float[Tensor, " N"]

    @property
    def weight(self) -> Float[Tensor, "H N"]:
        """Probability, discounted, that z_t is reached alive: 1, d_0, d_0 d_1, ... for t < H.

        The official code gives a terminal start the weight 1 and its successors 0.
        """
        first = torch.ones_like(self.start_disc)
        return torch.cat([first[None], self.start_disc[None], self.disc[:-2]]).cumprod(0)


@torch.no_grad()
def imagine(
    world_model: WorldModel,
    policy: Callable[[Tensor, Tensor], Tensor],
    start: Posteriors,
    *,
    latent_uniforms: Float[Tensor, "H N stoch"],
    action_uniforms: Float[Tensor, "H N"],
) -> Trajectory:
    """Rolls the policy out from every start for H steps, without gradients.

    Args:
        world_model: Gives transitions, rewards and discounts.
        policy: Chooses actions [N, A] by features [N, F] and uniforms [N].
        start: N posterior states with their terminal flags.
        latent_uniforms: [H, N, S], in [0, 1).
        action_uniforms: [H, N], in [0, 1).
    """
    state = start.state
    feats, actions = [state.feat], []
    for latent, choice in zip(latent_uniforms, action_uniforms, strict=True):
        action = policy(state.feat, choice)
        state = world_model.rssm.img_step(state, action, latent)
        feats.append(state.feat)
        actions.append(action)
    feat = torch.stack(feats)
    reward = world_model.reward(feat).squeeze(-1)
    return Trajectory(
        feat=feat,
        action=torch.stack(actions),
        reward=reward[1:],
        disc=torch.sigmoid(world_model.discount(feat[1:]).squeeze(-1)),
        start_reward=reward[0],
        start_disc=world_model.config.gamma * (1.0 - start.is_terminal),
    )
