import pytest
import torch
from torch.nn import functional as F

from agents.dreamer.convolutions import (
    IMAGES_PER_SUM,
    as_transposed,
    by_phases,
    channels_last,
    next_to_pixels,
    transposed,
)


def noise(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(12)).to(dtype)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_convolution_of_any_number_of_channels_stays_channels_last(channels, dtype):
    image, weight = noise(4, channels, 16, 16, dtype=dtype), noise(8, channels, 4, 4, dtype=dtype)
    laid = channels_last(image)
    assert torch.equal(laid, image)
    assert laid.stride() == (channels * 256, 1, 16 * channels, channels)
    convolved = F.conv2d(laid, weight, stride=2)
    assert convolved.is_contiguous(memory_format=torch.channels_last)
    assert not convolved.is_contiguous()


def test_the_layout_of_one_channel_moves_no_bit_of_the_results():
    found = []
    for image in (noise(12, 1, 64, 64), channels_last(noise(12, 1, 64, 64))):
        weight = noise(8, 1, 4, 4).requires_grad_()
        convolved = F.elu(F.conv2d(image, weight, stride=2), inplace=True)
        (gradient,) = torch.autograd.grad((convolved * noise(12, 8, 31, 31)).sum(), weight)
        found.append((convolved.detach(), gradient))
    assert all(torch.equal(plain, laid) for plain, laid in zip(*found, strict=True))


def gradients(convolve, x, weight, bias, gradient, **moves):
    x, weight, bias = (one.clone().requires_grad_() for one in (x, weight, bias))
    convolved = convolve(channels_last(x), weight, bias, **moves)
    return convolved, *torch.autograd.grad(convolved, (x, weight, bias), gradient)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("moves", "size"), [({"stride": 2}, 3), ({"padding": 3}, 11)])
def test_what_is_learned_in_groups_is_what_is_learned_at_once(channels, moves, size):
    images = 2 * IMAGES_PER_SUM + 1
    x, weight, bias = noise(images, channels, 8, 8), noise(5, channels, 4, 4), noise(5)
    values = [one.double() for one in (x, weight, bias, noise(images, 5, size, size))]
    exact = gradients(F.conv2d, *values, **moves)
    found = gradients(next_to_pixels, *(one.float() for one in values), **moves)
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(found, exact, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


def test_sums_in_groups_are_at_least_half_again_as_exact():
    images = noise(1024, 1, 64, 64), noise(4, 1, 4, 4), torch.zeros(4), noise(1024, 4, 31, 31)
    _, _, *exact = gradients(F.conv2d, *(one.double() for one in images), stride=2)

    def errors(convolve):
        _, _, *found = gradients(convolve, *images, stride=2)
        return [float((a - b).norm() / b.norm()) for a, b in zip(found, exact, strict=True)]

    for ours, at_once in zip(errors(next_to_pixels), errors(F.conv2d), strict=True):
        assert ours < at_once / 1.5


@pytest.mark.parametrize(("half", "outputs"), [(2, 1), (3, 1), (3, 3)])
def test_by_phases_is_a_transposed_convolution(half, outputs):
    x, weight = noise(2, 5, 7, 7), noise(4 * outputs, 5, half, half)
    expected = F.conv_transpose2d(x, as_transposed(weight), stride=2)
    torch.testing.assert_close(by_phases(x, weight), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("half", "outputs"), [(2, 1), (3, 1), (3, 3)])
def test_in_bf16_the_gradients_are_those_of_the_phases(half, outputs):
    # both sum in fp32 over numbers that bf16 holds, and round once at the end: 2^-9 of the largest
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        x = noise(6, 5, 9, 9, dtype=torch.bfloat16).to(dtype).requires_grad_()
        weight = noise(4 * outputs, 5, half, half, dtype=torch.bfloat16).to(dtype).requires_grad_()
        image = by_phases(x.contiguous(memory_format=torch.channels_last), weight)
        gradients = torch.autograd.grad(
            image, (x, weight), noise(*image.shape).bfloat16().to(dtype)
        )
        found.append([image.detach(), *gradients])
    assert {value.dtype for value in found[1]} == {torch.bfloat16}
    for exact, rounded in zip(*found, strict=True):
        scale = float(exact.abs().max())
        torch.testing.assert_close(rounded.float(), exact, rtol=2**-8, atol=2**-9 * scale)


@pytest.mark.parametrize("kernel", [5, 6])
def test_in_bf16_a_transposed_convolution_learns_what_it_learns_in_fp32(kernel):
    # small whole numbers: every sum is one that bf16 holds, so both are exact
    generator, size, found = torch.Generator().manual_seed(12), 2 * 3 + kernel, []
    values = [
        torch.randint(-1, 2, shape, generator=generator).float()
        for shape in ((2, 3, 4, 4), (3, 2, kernel, kernel), (2,), (2, 2, size, size))
    ]
    for dtype in (torch.float32, torch.bfloat16):
        x, weight, bias, gradient = (value.to(dtype) for value in values)
        laid = gradient.contiguous(memory_format=torch.channels_last)
        found.append(gradients(transposed, x, weight, bias, laid))
    assert {value.dtype for value in found[1]} == {torch.bfloat16}
    assert all(torch.equal(single, half.float()) for single, half in zip(*found, strict=True))
