"""Optimiser: clip the gradient's global norm, decay the parameters, then Adam."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agents.config import AgentConfig
from agents.precision import as_cast_before


class Optimiser:
    """One Adam with its own clipping, as the official code has for each of its three losses.

    The decay multiplies every parameter, biases and norms included, by 1 − decay at each update,
    whatever the learning rate; in AdamW's terms that is weight_decay = decay / lr.

    Where parameters live on a GPU, Adam counts its steps there ("capturable"), so that a graph can
    hold a step, and goes through memory once ("fused"). Its bias corrections are then fp32 numbers
    instead of Python's.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, config: AgentConfig) -> None:
        self.parameters = list(parameters)
        self.clip = config.clip
        kinds = {parameter.device.type for parameter in self.parameters}
        self.adam = torch.optim.AdamW(
            self.parameters,
            lr=lr,
            betas=(0.9, 0.999),
            eps=config.adam_eps,
            weight_decay=config.decay / lr,
            foreach=kinds != {"cuda"},
            fused=kinds == {"cuda"},
            capturable=kinds != {"cpu"},
        )

    def in_one_pass(self) -> None:
        """Has a processor's Adam go through memory once, not eight times; other last bits."""
        for group in self.adam.param_groups:
            group["foreach"], group["fused"] = False, True

    def step(self, loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Descends one step.

        Returns:
            The gradient's global norm before clipping.
        """
        self.clear()
        with as_cast_before(loss.device):
            loss.backward(inputs=self.parameters)
        return self.descend()

    def clear(self) -> None:
        """Drops the gradients of the last step."""
        for parameter in self.parameters:
            parameter.grad = None

    def descend(self) -> Float[Tensor, ""]:
        """Descends one step by the gradients that the parameters carry.

        Returns:
            Their global norm before clipping.
        """
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip, foreach=True)
        self.adam.step()
        return norm.detach()

    def state_dict(self) -> dict[str, Any]:
        """Adam's moments and counts, by the number of the parameter."""
        state: dict[str, Any] = self.adam.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts the moments back; the settings are those of this optimiser, on its device."""
        own = self.adam.state_dict()["param_groups"]
        self.adam.load_state_dict({**state, "param_groups": own})
