"""Imagination: rolling the policy out inside the world model.

state     z_0     z_1     z_2     ...   z_H
action        a_0     a_1     ...            a_t is taken in z_t
reward        r_1     r_2     ...   r_H      reward[t] = r(z_{t+1}), paid on entering z_{t+1}
disc          d_1     d_2     ...   d_H      disc[t] of z_{t+1}, gamma inside
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from agents.config import AgentConfig
from agents.dreamer.distributions import straight_through_sample
from agents.dreamer.rssm import LatentState
from agents.dreamer.world_model import Posteriors, WorldModel
from agents.precision import casts_kept, joined


@dataclass(frozen=True)
class Trajectory:
    """A rollout, real or dreamed, in the standard alignment.

    Attributes:
        feat: [H+1, N, F], features of z_0..z_H; dreamed ones as products take them.
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


def _by_the_model(trajectory: Trajectory) -> Trajectory:
    return trajectory


Policy = Callable[[Tensor, Tensor], Tensor]
"""Chooses actions [N, A] by features [N, F] and uniforms [N]."""

LATENT, ACTION = "imagination/latent", "imagination/action"
"""The owners of the uniforms that a dream takes."""


@dataclass(frozen=True)
class Imagination:
    """A way to dream: the world model as it stands, and where dreams start.

    Attributes:
        world_model: Gives transitions, rewards and discounts.
        start: N posterior states with their terminal flags.
        rewarded: Puts the rewards of a behaviour in place of the model's; keeps them if not given.
    """

    world_model: WorldModel
    start: Posteriors
    rewarded: Callable[[Trajectory], Trajectory] = _by_the_model

    @torch.no_grad()
    def dream(self, policy: Policy, uniforms: Mapping[str, Tensor]) -> Trajectory:
        """Rolls a policy out from every start, without gradients.

        Args:
            policy: Chooses actions [N, A] by features [N, F] and uniforms [N].
            uniforms: By owner, in [0, 1), in the shapes that `uniforms_shapes` says.
        """
        return self._roll_out(self.world_model.rssm.img_step, policy, uniforms)

    def dream_pathwise(self, policy: Policy, uniforms: Mapping[str, Tensor]) -> Trajectory:
        """The same dream with gradients, from rewards, discounts and features to the actions.

        Samples of latents pass gradients straight through, as in the training of the world model.
        What the policy reads passes none: z_{t+1} depends on z_t and a_t, a_t on the policy's
        parameters alone.
        """
        step = partial(self.world_model.rssm.img_step, sample=straight_through_sample)
        return self._roll_out(step, lambda feat, draws: policy(feat.detach(), draws), uniforms)

    def _roll_out(
        self,
        step: Callable[[LatentState, Tensor, Tensor], LatentState],
        policy: Policy,
        uniforms: Mapping[str, Tensor],
    ) -> Trajectory:
        state, model = self.start.state, self.world_model
        feats, actions = [joined(state.stoch, state.deter)], []
        with casts_kept():
            for latent, choice in zip(uniforms[LATENT], uniforms[ACTION], strict=True):
                action = policy(feats[-1], choice)
                state = step(state, action, latent)
                feats.append(joined(state.stoch, state.deter))
                actions.append(action)
        feat = torch.stack(feats)
        reward = model.reward(feat).squeeze(-1)
        trajectory = Trajectory(
            feat=feat,
            action=torch.stack(actions),
            reward=reward[1:],
            disc=torch.sigmoid(model.discount(feat[1:]).squeeze(-1)),
            start_reward=reward[0],
            start_disc=model.config.gamma * (1.0 - self.start.is_terminal),
        )
        return self.rewarded(trajectory)


def uniforms_shapes(config: AgentConfig, starts: int) -> dict[str, tuple[int, ...]]:
    """How many uniforms one dream takes, by owner."""
    H = config.horizon
    return {LATENT: (H, starts, config.stoch), ACTION: (H, starts)}
