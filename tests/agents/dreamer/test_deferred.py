import pytest
import torch
from torch.nn import functional as F

from agents.dreamer.deferred import DeferredLinear

T, N, IN, OUT = 5, 3, 4, 6


@pytest.fixture
def parameters(uniforms):
    shapes = {"weight": (OUT, IN), "offset": (T, N, OUT), "start": (N, IN), "back": (IN, OUT)}
    return {name: 2 * uniforms(*shape).double() - 1 for name, shape in shapes.items()}


def gradients(parameters, layer_of):
    """Of a little recurrent scan, whose every state depends on the last layer's output."""
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    layer = layer_of(leaves["weight"], leaves["offset"])
    x, loss = leaves["start"], 0.0
    for t in range(T):
        y = layer(x, t)
        x = torch.tanh(F.linear(y, leaves["back"]))
        loss = loss + (x * (t + 1)).square().sum() + y.sin().sum()
    loss.backward()
    return {name: leaf.grad for name, leaf in leaves.items()}


def deferred(weight, offset):
    layer = DeferredLinear(weight, offset)
    return lambda x, t: layer(x)


def step_by_step(weight, offset):
    return lambda x, t: F.linear(x, weight) + offset[t]


def test_deferred_gradients_are_those_of_step_by_step_differentiation(parameters):
    expected, found = gradients(parameters, step_by_step), gradients(parameters, deferred)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-12, atol=1e-12)


def test_part_of_a_weight_can_be_deferred(parameters, uniforms):
    whole = (2 * uniforms(OUT, IN + 2).double() - 1).requires_grad_()
    part = whole[:, :IN]
    layer = DeferredLinear(part, parameters["offset"])
    loss = sum(layer(parameters["start"]).square().sum() for _ in range(T))
    loss.backward()
    assert whole.grad[:, :IN].abs().min() > 0
    assert not whole.grad[:, IN:].any()


def test_without_gradients_it_is_the_layer_alone(parameters):
    with torch.no_grad():
        layer = DeferredLinear(parameters["weight"].requires_grad_(), parameters["offset"])
        y = layer(parameters["start"])
    torch.testing.assert_close(
        y, F.linear(parameters["start"], parameters["weight"]) + parameters["offset"][0]
    )
    assert not y.requires_grad
