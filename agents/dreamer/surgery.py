"""Surgery: shrinking, perturbing and replacing the parameters of a living agent (seam X).

    θ ← shrink · θ + perturb · θ_fresh,

θ_fresh from the initialiser with another seed (Ash and Adams, arXiv:1910.08475). A plain reset is
shrink 0, perturb 1. What is touched loses its Adam moments, a touched critic is copied into its
target, any touched network into those that follow it, and nothing else moves. The networks of
added loss terms count as heads.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from agents.dreamer.agent import Agent
from agents.training.recipe import Operation, Tag


def networks(agent: Agent, tag: Tag) -> tuple[nn.Module, ...]:
    """The networks that a tag names."""
    model = agent.world_model
    match tag:
        case "encoder":
            return (model.encoder,)
        case "rssm":
            return (model.rssm,)
        case "decoder":
            return (model.decoder,)
        case "heads":
            return (model.reward, model.discount, *agent.loss_terms.networks())
        case "actor" | "critic":
            return tuple(one for each in agent.behaviours for one in each.networks(tag))


@torch.no_grad()
def operate(agent: Agent, operations: Sequence[Operation], seed: int) -> int:
    """Applies the operations to an agent.

    Args:
        agent: Is changed in place.
        operations: One after the other; one with shrink 1 and perturb 0 touches nothing.
        seed: Of the fresh parameters.

    Returns:
        How many numbers were touched.
    """
    fresh, touched = agent.fresh(seed), list[nn.Parameter]()
    for operation in operations:
        if operation.is_identity:
            continue
        pairs = zip(_parameters(agent, operation), _parameters(fresh, operation), strict=True)
        for old, new in pairs:
            kept = torch.zeros_like(old) if operation.shrink == 0 else operation.shrink * old
            old.copy_(kept + operation.perturb * new)
            touched.append(old)
    for optimiser in agent.optimisers:
        for parameter in touched:
            for moment in optimiser.adam.state.get(parameter, {}).values():
                moment.zero_()
    changed = {id(parameter) for parameter in touched}
    for behaviour in agent.behaviours:
        critics = behaviour.networks("critic")
        if any(id(one) in changed for critic in critics for one in critic.parameters()):
            behaviour.copy_target()
    agent.loss_terms.copy_targets(touched)
    return sum(parameter.numel() for parameter in touched)


def _parameters(agent: Agent, operation: Operation) -> Iterator[nn.Parameter]:
    for tag in operation.tags:
        for network in networks(agent, tag):
            part = network
            layers = dict(network.named_children()).get("layers")
            if operation.last_layer and layers is not None:
                assert isinstance(layers, nn.ModuleList)
                part = layers[-1]
            yield from part.parameters()
