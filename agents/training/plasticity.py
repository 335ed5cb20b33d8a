"""Plasticity: signs that a network is losing its ability to learn, read without touching it.

Per module: the norm of its parameters, how far they have drifted from where they began, and the
share of saturated units. An ELU does not die as a ReLU does (Sokar et al., "The Dormant Neuron
Phenomenon in Deep Reinforcement Learning", arXiv:2302.12902): where its gradient vanishes, it is
close to -1, not to 0. So a unit counts as saturated if it stays below -1 + 1e-2 on the whole
batch; the units of a convolution are its channels.

Per feature matrix, rows x width, not centred, with singular values s_1 >= s_2 >= ...:

    srank           min{k: sum_{i <= k} s_i >= (1 - δ) sum_i s_i},  δ = 0.01
    effective rank  exp(-sum_i p_i ln p_i),  p_i = s_i / sum_j s_j

Kumar et al., "Implicit Under-Parameterization Inhibits Data-Efficient Deep Reinforcement Learning"
(arXiv:2010.14498); Roy and Vetterli, "The Effective Rank" (EUSIPCO 2007).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from agents.dreamer.agent import Agent
from agents.dreamer.rssm import RSSM, LatentState
from agents.dreamer.world_model import Batch, normalised, one_hot_actions

SATURATED = -1.0 + 1e-2
"""The gradient of an ELU below this is less than a hundredth."""

SRANK_DELTA = 0.01
"""Share of the sum of the singular values that srank may leave out."""

ROWS = 256
"""Rows of a feature matrix, evenly spaced over the batch; no rank exceeds their number."""

DECODED_ROWS = 128
"""Rows that are decoded, evenly spaced over the batch."""


def initial_parameters(agent: Agent) -> dict[str, Tensor]:
    """Copies what an agent that has not been trained yet starts from, for `plasticity`."""
    return {
        f"{module}.{name}": parameter.detach().clone()
        for module, network in _networks(agent).items()
        for name, parameter in network.named_parameters()
    }


@torch.no_grad()
def plasticity(agent: Agent, initial: Mapping[str, Tensor], batch: Batch) -> dict[str, float]:
    """Measures an agent; its parameters, optimisers and random streams stay as they are.

    Latent states are drawn with the same numbers in every call, from a generator that nobody else
    uses. To bound the cost, singular values are those of `ROWS` rows of the batch, and the decoder
    runs on `DECODED_ROWS`; both are evenly spaced. All else sees every row.

    Args:
        agent: What is measured.
        initial: What `initial_parameters` gave before its first update.
        batch: [B, T]; the heads, the actor and the critic read its posterior states.

    Returns:
        `plasticity/<module>/norm`, `drift` (||θ - θ_0|| / ||θ_0||) and `saturation` of encoder,
        rssm, decoder, reward, discount, actor and critic; `plasticity/<feature>/srank` and
        `effective_rank` of embed, deter, actor_hidden and critic_hidden, the last two being the
        last hidden layers. A rank is NaN where the features are not finite.
    """
    networks = _networks(agent)
    hidden, features = _activations(agent, batch)
    measured = {}
    for module, network in networks.items():
        now = dict(network.named_parameters())
        start = {name: initial[f"{module}.{name}"] for name in now}
        moved = [now[name] - start[name] for name in now]
        measured[f"plasticity/{module}/norm"] = _norm(now.values())
        measured[f"plasticity/{module}/drift"] = _norm(moved) / _norm(start.values())
        measured[f"plasticity/{module}/saturation"] = hidden[module].saturation
    for name, matrix in features.items():
        values = singular_values(_evenly_spaced(matrix, ROWS))
        measured[f"plasticity/{name}/srank"] = srank(values)
        measured[f"plasticity/{name}/effective_rank"] = effective_rank(values)
    return measured


class HiddenUnits(TorchFunctionMode):
    """Watches every ELU that is computed in fp32 inside its context, whatever network it is in.

    Attributes:
        peaks: For each ELU layer, [units], the largest activation of each unit.
        last: The activations of the last layer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peaks: list[Tensor] = []
        self.last = torch.empty(0)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls the function and, if it is an ELU, looks at what comes out."""
        result = func(*args, **(kwargs or {}))
        if func is F.elu:
            self.last = result
            units = 1 if result.ndim == 4 else result.ndim - 1  # [N, C, H, W] or [..., units]
            others = [axis for axis in range(result.ndim) if axis != units]
            self.peaks.append(result.amax(others))
        return result

    @property
    def saturation(self) -> float:
        """The share of units whose activation was below `SATURATED` for every input."""
        return float((torch.cat(self.peaks) < SATURATED).float().mean())


def recurrent_units(
    rssm: RSSM,
    action: Float[Tensor, "B T actions"],
    embed: Float[Tensor, "B T embed"],
    is_first: Float[Tensor, "B T"],
    states: LatentState,
) -> None:
    """Computes the layers around the recurrent cell once more, each for all rows at once.

    `RSSM.observe` computes two of them row by row, where they would count as many layers.

    Args:
        rssm: The recurrent model.
        action: [B, T, A], one-hot.
        embed: [B, T, E].
        is_first: [B, T], 1 where row t starts an episode.
        states: [B, T, ...], the posterior states that came out.
    """
    keep = (1.0 - is_first).unsqueeze(-1)
    before = torch.cat([torch.zeros_like(states.stoch[:, :1]), states.stoch[:, :-1]], 1)
    F.elu(rssm.img_in(torch.cat([before, action], -1) * keep))
    F.elu(rssm.img_out(states.deter))
    F.elu(rssm.obs_out(torch.cat([states.deter, embed], -1)))


def singular_values(features: Float[Tensor, "N width"]) -> Float[Tensor, " rank"]:
    """The singular values in descending order.

    Returns:
        [min(N, width)]; a single NaN if a feature is not finite.
    """
    if not features.isfinite().all():
        return features.new_full([1], math.nan)
    values: Tensor = torch.linalg.svdvals(features)
    return values


def srank(values: Float[Tensor, " rank"], delta: float = SRANK_DELTA) -> float:
    """How many singular values, in descending order, make up a share 1 - δ of their sum.

    Returns:
        At most the number of values; 0 if all of them are 0.
    """
    sums = values.cumsum(0)
    if sums[-1].isnan():
        return math.nan
    return float((sums < (1.0 - delta) * sums[-1]).sum() + (sums[-1] > 0))


def effective_rank(values: Float[Tensor, " rank"]) -> float:
    """The exponential of the entropy of the singular values' shares; 0 if all of them are 0."""
    total = values.sum()
    if total == 0:
        return 0.0
    return float(torch.special.entr(values / total).sum().exp())


def _networks(agent: Agent) -> dict[str, nn.Module]:
    model, behaviour = agent.world_model, agent.behaviour
    return {
        "encoder": model.encoder,
        "rssm": model.rssm,
        "decoder": model.decoder,
        "reward": model.reward,
        "discount": model.discount,
        "actor": behaviour.actor,
        "critic": behaviour.critic,
    }


def _evenly_spaced(rows: Tensor, most: int) -> Tensor:
    N = len(rows)
    count = min(N, most)
    return rows[torch.arange(count, device=rows.device) * N // count]


def _norm(tensors: Iterable[Tensor]) -> float:
    return float(nn.utils.get_total_norm(tensors))


def _activations(agent: Agent, batch: Batch) -> tuple[dict[str, HiddenUnits], dict[str, Tensor]]:
    """Every module's hidden units on the batch, and the feature matrices, rows first."""
    model, networks = agent.world_model, _networks(agent)
    hidden = {module: HiddenUnits() for module in networks}
    B, T = batch.is_first.shape
    is_first = batch.is_first.float()
    action = one_hot_actions(batch.action, model.actions)
    generator = torch.Generator().manual_seed(agent.streams.integer("plasticity"))
    uniforms = torch.rand(*model.uniforms_shape(B, T), generator=generator).to(is_first.device)

    with hidden["encoder"]:
        embed = model.encoder(normalised(batch.observation).flatten(0, 1))
    rows = embed.unflatten(0, (B, T))
    states, _ = model.rssm.observe(action, rows, is_first, uniforms)
    with hidden["rssm"]:
        recurrent_units(model.rssm, action, rows, is_first, states)
    feat = states.feat.flatten(0, 1)
    with hidden["decoder"]:
        model.decoder(_evenly_spaced(feat, DECODED_ROWS))
    for module in ("reward", "discount", "actor", "critic"):
        with hidden[module]:
            networks[module](feat)
    return hidden, {
        "embed": embed,
        "deter": states.deter.flatten(0, 1),
        "actor_hidden": hidden["actor"].last,
        "critic_hidden": hidden["critic"].last,
    }
