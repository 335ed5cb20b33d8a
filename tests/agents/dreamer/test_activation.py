import pytest
import torch
from torch.nn import functional as F

from agents.dreamer.activation import PIECE, elu


def every_number():
    """All numbers of bf16, the first one in the place of those that are not finite."""
    numbers = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16)
    numbers = numbers.view(torch.bfloat16)
    return torch.where(numbers.isfinite(), numbers, numbers[0])


def test_every_number_of_bf16_is_mapped_as_the_equation_says():
    x = every_number()
    assert len(x) == PIECE
    exact = F.elu(x.double())
    found, torchs = elu(x), F.elu(x)
    assert found.dtype == torch.bfloat16
    far = x.abs() > 1e-5
    assert torch.equal(found[far], torchs[far])
    assert float((found.double() - exact)[~far].abs().max()) < 1e-7


TINY = -1e-8
"""e^x is 1 in fp32: what went through it becomes 0, what torch computed stays."""


def test_only_large_tensors_without_gaps_in_bf16_go_through_the_power():
    tiny = torch.full((PIECE,), TINY).bfloat16()
    square = tiny.view(16, 4, 32, 32)
    for x in (tiny, square, square.contiguous(memory_format=torch.channels_last)):
        assert not elu(x).any()
    for x in (tiny[1:], tiny.float(), square.expand(3, 16, 4, 32, 32)[1:, ::2]):
        assert torch.equal(elu(x), F.elu(x))
        assert elu(x).all()


def test_what_needs_the_argument_on_the_way_back_says_that_it_is_gone():
    x = torch.randn(PIECE, generator=torch.Generator().manual_seed(3)).bfloat16().requires_grad_()
    y = elu((x * 1.0).exp(), inplace=True)  # exp learns by its result, which is written over
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.float().sum().backward()


def test_what_is_not_a_number_stays_so_and_infinities_have_their_limits():
    x = torch.tensor([torch.nan, torch.inf, -torch.inf], dtype=torch.bfloat16)
    found = elu(x.repeat(PIECE))
    assert found[0].isnan()
    assert found[1:3].tolist() == [torch.inf, -1.0]


@pytest.mark.parametrize("numbers", [7, PIECE - 1, PIECE, 2 * PIECE + 5])
@pytest.mark.parametrize("inplace", [False, True])
def test_it_learns_as_torchs_whatever_the_number_of_pieces(numbers, inplace):
    values = torch.randn(numbers, generator=torch.Generator().manual_seed(3)).bfloat16()
    found = []
    for activation in (elu, F.elu):
        x = values.clone().requires_grad_()
        y = activation(x * 2.0, inplace=inplace)
        (gradient,) = torch.autograd.grad(y.float().square().sum(), x)
        found.append((y.detach(), gradient))
    assert all(torch.equal(ours, torchs) for ours, torchs in zip(*found, strict=True))


def test_the_result_takes_the_place_of_its_argument_only_where_it_may():
    x = torch.randn(3, PIECE, generator=torch.Generator().manual_seed(3)).bfloat16()
    before = x.clone()
    y = elu(x)
    assert torch.equal(x, before)
    assert y.data_ptr() != x.data_ptr()
    assert elu(x, inplace=True).data_ptr() == x.data_ptr()
    assert torch.equal(x, y)


@pytest.mark.parametrize(
    "lay", [lambda x: x.contiguous(memory_format=torch.channels_last), lambda x: x[:, :, 1:, ::2]]
)
def test_any_layout_is_kept(lay):
    x = lay(torch.randn(16, 3, 64, 64, generator=torch.Generator().manual_seed(3)).bfloat16())
    y = elu(x)
    assert y.stride() == F.elu(x).stride()
    assert torch.equal(y, F.elu(x))


def test_outside_of_bf16_it_is_torchs():
    for dtype in (torch.float32, torch.float64):
        x = torch.randn(100, generator=torch.Generator().manual_seed(3), dtype=dtype)
        assert torch.equal(elu(x), F.elu(x))
