import pytest
import torch
from torch.nn import functional as F

from agents.dreamer import products
from agents.dreamer.products import MANY_COLUMNS, Linear, by_onednn, linear
from agents.precision import arithmetic, casts_kept

CPU = torch.device("cpu")


def whole_numbers(*shape):
    """-1, 0 and 1, few of them other than 0: every sum of products is one that bf16 holds."""
    generator = torch.Generator().manual_seed(sum(shape))
    numbers = torch.randint(-1, 2, shape, generator=generator)
    return (numbers * (torch.rand(shape, generator=generator) < 0.3)).float()


def learned(multiply, x, weight, bias, gradient):
    inputs = [one.clone().requires_grad_() for one in (x, weight, bias) if one is not None]
    y = multiply(*inputs)
    return [y, *torch.autograd.grad(y, inputs, gradient.to(y.dtype))]


@pytest.mark.parametrize("columns", [7, MANY_COLUMNS])
@pytest.mark.parametrize("rows", [(5,), (2, 3)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_in_bf16_products_and_gradients_are_those_of_fp32(rows, columns, has_bias):
    x, weight = whole_numbers(*rows, columns), whole_numbers(4, columns)
    values = x, weight, whole_numbers(4) if has_bias else None, whole_numbers(*rows, 4)
    exact = learned(F.linear, *values)
    with arithmetic("bf16", CPU):
        found = learned(linear, *values)
    assert found[0].dtype == torch.bfloat16
    assert {gradient.dtype for gradient in found[1:]} == {torch.float32}
    for ours, theirs in zip(found, exact, strict=True):
        assert torch.equal(ours.float(), theirs)


def test_outside_of_bf16_a_layer_is_torchs():
    x, layer = torch.randn(3, 5), Linear(5, 2)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    assert layer.double()(x.double()).dtype == torch.float64


def test_rows_in_a_rollout_are_those_outside_of_it():
    x, layer = torch.randn(6, 40), Linear(40, 30)
    with arithmetic("bf16", CPU):
        before = layer(x)
        with casts_kept():
            steps = [layer(x) for _ in range(2)]
    assert all(torch.equal(step, before) for step in steps)


def test_where_onednn_has_no_bf16_torch_multiplies(monkeypatch):
    x, layer = torch.randn(6, 40), Linear(40, 30)
    with arithmetic("bf16", CPU):
        ours = layer(x)
        monkeypatch.setattr(products, "by_onednn", lambda device: False)
        torchs = layer(x)
        assert torch.equal(torchs, F.linear(x, layer.weight, layer.bias))
    torch.testing.assert_close(ours, torchs, rtol=2**-7, atol=2**-7)
    assert not by_onednn(torch.device("cuda"))
