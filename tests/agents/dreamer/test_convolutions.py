import pytest
import torch
from torch.nn import functional as F

from agents.dreamer.convolutions import (
    IMAGES_PER_SUM,
    as_transposed,
    channels_last,
    doubled,
    doubled_by_phases,
    halved,
    next_to_pixels,
    patches,
)
from agents.precision import arithmetic

CPU = torch.device("cpu")


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
    x, weight, bias = noise(2, 5, 7, 7), noise(4 * outputs, 5, half, half), noise(outputs)
    expected = F.conv_transpose2d(x, as_transposed(weight), bias, stride=2)
    found = doubled_by_phases(x, weight, bias)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def whole_numbers(*shape):
    """-1, 0 and 1, few of them other than 0: every sum of products is one that bf16 holds."""
    generator = torch.Generator().manual_seed(sum(shape))
    numbers = torch.randint(-1, 2, shape, generator=generator)
    return (numbers * (torch.rand(shape, generator=generator) < 0.3)).float()


CONVOLUTIONS = {
    # ours, torch's, and the shapes of image, kernel and bias; oddly sized ones leave pixels out
    "31 to 14 pixels": (halved, F.conv2d, (2, 3, 31, 31), (5, 3, 4, 4), 5),
    "14 to 6 pixels": (halved, F.conv2d, (66, 3, 14, 14), (5, 3, 4, 4), 5),
    "9 to 3 pixels of one channel": (halved, F.conv2d, (2, 1, 9, 9), (5, 1, 4, 4), 5),
    "5 to 13 pixels": (doubled, F.conv_transpose2d, (2, 3, 5, 5), (3, 5, 5, 5), 5),
    "13 to 30 pixels": (doubled, F.conv_transpose2d, (2, 3, 13, 13), (3, 5, 6, 6), 5),
    "7 to 18 pixels of one channel": (doubled, F.conv_transpose2d, (2, 3, 7, 7), (3, 1, 6, 6), 1),
}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_is_torchs_and_learns_as_torchs(name, precision):
    ours, torchs, image, kernel, outputs = CONVOLUTIONS[name]
    values = whole_numbers(*image), whole_numbers(*kernel), whole_numbers(outputs)
    shape = torchs(*values, stride=2).shape
    gradient = whole_numbers(*shape)
    exact = gradients(torchs, *values, gradient, stride=2)
    with arithmetic(precision, CPU):
        found = gradients(ours, *values, gradient)
    assert {value.dtype for value in found[1:]} == {torch.float32}
    assert found[0].dtype == {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    assert all(torch.equal(one.float(), other) for one, other in zip(found, exact, strict=True))


@pytest.mark.parametrize("outputs", [1, 3])
def test_in_bf16_phases_learn_what_they_learn_in_fp32(outputs):
    values = whole_numbers(2, 5, 7, 7), whole_numbers(4 * outputs, 5, 3, 3), whole_numbers(outputs)
    gradient = whole_numbers(2, outputs, 18, 18)
    exact = gradients(doubled_by_phases, *values, gradient)
    with arithmetic("bf16", CPU):
        found = gradients(doubled_by_phases, *values, gradient)
    assert found[0].dtype == torch.bfloat16
    assert all(torch.equal(one.float(), other) for one, other in zip(found, exact, strict=True))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_images_in_bf16_stay_channels_last(name):
    ours, _, image, kernel, outputs = CONVOLUTIONS[name]
    x = channels_last(whole_numbers(*image)).requires_grad_()
    with arithmetic("bf16", CPU):
        y = ours(x, whole_numbers(*kernel), whole_numbers(outputs))
    (to_x,) = torch.autograd.grad(y.float().sum(), x)
    for one in (y, to_x):
        _, C, h, w = one.shape
        assert one.stride() == (C * h * w, 1, C * w, C)


def test_an_image_made_by_phases_may_be_changed_in_place():
    x, found = noise(2, 3, 5, 5).requires_grad_(), []
    for double in (lambda y: y.mul_(2.0), lambda y: y * 2.0):
        with arithmetic("bf16", CPU):
            y = double(doubled(channels_last(x), noise(3, 5, 6, 6), noise(5)))
        found.append((y.detach(), *torch.autograd.grad(y.sum(), x)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_patches_are_what_a_convolution_sees():
    x, k, size = noise(2, 3, 9, 9), 4, 3
    for laid in (x, channels_last(x)):
        found = patches(laid, k, size).unflatten(-1, (k, 3))
        for i in range(size):
            for j in range(size):
                window = x[:, :, 2 * i : 2 * i + k, 2 * j : 2 * j + k]
                assert torch.equal(found[:, i, j].permute(0, 3, 1, 2), window)


def test_what_patches_share_is_added_up():
    x = noise(2, 3, 9, 9).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: patches(channels_last(x), 4, 3), x)


def test_in_double_precision_torch_convolves():
    x, weight, bias = noise(2, 3, 8, 8).double(), noise(3, 3, 4, 4).double(), noise(3).double()
    for ours, torchs in ((halved, F.conv2d), (doubled, F.conv_transpose2d)):
        gradient = noise(*torchs(x, weight, bias, stride=2).shape).double()
        found = gradients(ours, x, weight, bias, gradient)
        exact = gradients(torchs, x, weight, bias, gradient, stride=2)
        assert all(torch.equal(one, other) for one, other in zip(found, exact, strict=True))
