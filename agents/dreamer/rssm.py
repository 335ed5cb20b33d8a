"""The recurrent state-space model: a deterministic path and categorical stochastic states.

Hafner et al., "Learning Latent Dynamics for Planning from Pixels" (arXiv:1811.04551), with the
categorical latents of DreamerV2 (arXiv:2010.02193), eq. (1):

    h_t = f(h_{t-1}, z_{t-1}, a_{t-1}),   z_t ~ q(z_t | h_t, x_t)  (posterior),   z_t ~ p(z_t | h_t)  (prior).

In the replay's convention, row t holds the action that led *into* observation t:

    row           0       1       2
    observation   o0      o1      o2
    action        0       a1      a2      a_t moves z_{t-1} to z_t; 0 where is_first
    state         z0  ->  z1  ->  z2
"""  # noqa: E501

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agents.config import AgentConfig
from agents.dreamer import products
from agents.dreamer.activation import elu
from agents.dreamer.deferred import DeferredLinear
from agents.dreamer.distributions import one_hot_sample, straight_through_sample
from agents.dreamer.networks import GRUCell, linear
from agents.precision import at_least_fp32, joined
from agents.streams import Streams


@dataclass(frozen=True)
class LatentState:
    """One state of the model for each element of a batch.

    Attributes:
        stoch: [..., S * C], the flattened one-hot sample.
        deter: [..., D], the recurrent state.
    """

    stoch: Float[Tensor, "*batch stoch"]
    deter: Float[Tensor, "*batch deter"]

    @property
    def feat(self) -> Float[Tensor, "*batch feat"]:
        """[stoch, deter], in the order that every head expects."""
        return torch.cat([self.stoch, self.deter], -1)


class RSSM(nn.Module):
    """Steps the latent state, with an observation (posterior) or without (prior)."""

    def __init__(self, config: AgentConfig, actions: int, embed: int, streams: Streams) -> None:
        super().__init__()
        generator = streams.initialiser("rssm")
        self.stoch, self.classes, self.deter = config.stoch, config.classes, config.deter
        flat, hidden = config.stoch * config.classes, config.hidden
        self.img_in = linear(flat + actions, hidden, generator)
        self.cell = GRUCell(hidden, config.deter, generator)
        self.img_out = linear(config.deter, hidden, generator)
        self.img_logits = linear(hidden, flat, generator)
        self.obs_out = linear(config.deter + embed, hidden, generator)
        self.obs_logits = linear(hidden, flat, generator)

    def initial(self, *batch: int) -> LatentState:
        """The all-zero state before an episode's first row."""
        zeros = self.img_in.weight.new_zeros
        return LatentState(zeros(*batch, self.stoch * self.classes), zeros(*batch, self.deter))

    def prior_logits(
        self, deter: Float[Tensor, "*batch deter"]
    ) -> Float[Tensor, "*batch stoch classes"]:
        """Logits of p(z_t | h_t)."""
        return self._categoricals(self.img_logits(elu(self.img_out(deter))))

    def img_step(
        self,
        state: LatentState,
        action: Float[Tensor, "N actions"],
        uniforms: Float[Tensor, "N stoch"],
        sample: Callable[[Tensor, Tensor], Tensor] = one_hot_sample,
    ) -> LatentState:
        """Imagines one step: the action moves the state, the prior draws what is seen.

        Args:
            state: Where it starts.
            action: What is done there.
            uniforms: In [0, 1), one for each categorical.
            sample: Draws one-hot vectors by logits and uniforms, with or without gradient.
        """
        x = elu(self.img_in(joined(state.stoch, action)))
        deter = self.cell(x, state.deter)
        stoch = sample(self.prior_logits(deter), uniforms).flatten(-2)
        return LatentState(stoch, deter)

    def obs_step(
        self,
        state: LatentState,
        action: Float[Tensor, "N actions"],
        embed: Float[Tensor, "N embed"],
        is_first: Float[Tensor, " N"],
        uniforms: Float[Tensor, "N stoch"],
    ) -> LatentState:
        """Filters one observation: the posterior draws the state. Used for acting."""
        states, _ = self.observe(
            action[:, None], embed[:, None], is_first[:, None], uniforms[:, None], start=state
        )
        return LatentState(states.stoch[:, 0], states.deter[:, 0])

    def observe(
        self,
        action: Float[Tensor, "B T actions"],
        embed: Float[Tensor, "B T embed"],
        is_first: Float[Tensor, "B T"],
        uniforms: Float[Tensor, "B T stoch"],
        start: LatentState | None = None,
    ) -> tuple[LatentState, Float[Tensor, "B T stoch classes"]]:
        """Filters sequences; state and action are zeroed wherever an episode starts.

        The parts of the two input layers that do not depend on the state are computed for all
        steps at once, and so are the gradients of all weights (agents/dreamer/deferred.py).

        Args:
            action: [B, T, A], one-hot; the action that led into row t.
            embed: [B, T, E], embedded observation of row t.
            is_first: [B, T], 1 where row t starts an episode, else 0.
            uniforms: [B, T, S], in [0, 1), one for each categorical.
            start: [B, ...], the state before row 0; zero if not given.

        Returns:
            Posterior states [B, T, ...] with straight-through samples, and posterior logits
            [B, T, S, C].
        """
        B, T = is_first.shape
        flat = self.stoch * self.classes
        to_stoch, to_action = torch.split(self.img_in.weight, [flat, action.shape[-1]], 1)
        to_deter, to_embed = torch.split(self.obs_out.weight, [self.deter, embed.shape[-1]], 1)
        keep = (1.0 - is_first).unsqueeze(-1)
        from_action = products.linear(action * keep, to_action, self.img_in.bias)
        from_embed = products.linear(embed, to_embed, self.obs_out.bias)
        keeps, draws = keep.unbind(1), uniforms.unbind(1)

        def every_step(bias: Tensor) -> Tensor:
            return bias.expand(T, B, -1)

        img_in = DeferredLinear(to_stoch, from_action.transpose(0, 1))
        parts = DeferredLinear(self.cell.parts.weight, every_step(self.cell.parts.bias))
        obs_out = DeferredLinear(to_deter, from_embed.transpose(0, 1))
        obs_logits = DeferredLinear(self.obs_logits.weight, every_step(self.obs_logits.bias))

        start = self.initial(B) if start is None else start
        stoch, deter = start.stoch, start.deter
        stochs, deters, logits = [], [], []
        for t in range(T):
            x, deter = elu(img_in(stoch * keeps[t])), deter * keeps[t]
            deter = self.cell.gates(parts(joined(x, deter)), deter)
            logit = self._categoricals(obs_logits(elu(obs_out(deter))))
            stoch = straight_through_sample(logit, draws[t]).flatten(-2)
            stochs.append(stoch)
            deters.append(deter)
            logits.append(logit)
        states = LatentState(torch.stack(stochs, 1), torch.stack(deters, 1))
        return states, torch.stack(logits, 1)

    def _categoricals(self, logits: Tensor) -> Tensor:
        return torch.unflatten(at_least_fp32(logits), -1, (self.stoch, self.classes))
