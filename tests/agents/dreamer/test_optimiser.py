import math

import pytest
import torch
from torch import nn

from agents.config import agent_config
from agents.dreamer.optimiser import Optimiser


def parameters():
    weight = torch.tensor([[1.0, -2.0], [3.0, 0.5]], dtype=torch.float64)
    bias = torch.tensor([0.25, -4.0], dtype=torch.float64)
    return [nn.Parameter(weight), nn.Parameter(bias)]


def loss_with_gradient(parameters, gradients):
    return sum((p * g).sum() for p, g in zip(parameters, gradients, strict=True))


GRADIENTS = [
    [torch.tensor([[3.0, -1.0], [2.0, 0.0]]), torch.tensor([1.0, -1.0])],
    [torch.tensor([[-1.0, 1.0], [0.5, 8.0]]), torch.tensor([2.0, 0.0])],
]


@pytest.mark.parametrize("clip", [100.0, 2.0])
@pytest.mark.parametrize("decay", [1e-6, 0.01, 0.0])
@pytest.mark.parametrize("in_one_pass", [False, True])
def test_a_step_clips_then_decays_then_descends_by_adam(clip, decay, in_one_pass):
    lr, eps = 0.1, 1e-5
    values = parameters()
    optimiser = Optimiser(values, lr, agent_config("micro", clip=clip, decay=decay))
    if in_one_pass:
        optimiser.in_one_pass()
    expected = [p.detach().clone() for p in values]
    first = [torch.zeros_like(p) for p in expected]
    second = [torch.zeros_like(p) for p in expected]
    for step, gradients in enumerate(GRADIENTS, 1):
        norm = optimiser.step(loss_with_gradient(values, gradients))
        whole = math.sqrt(sum(float((g**2).sum()) for g in gradients))
        assert float(norm) == pytest.approx(whole)  # before clipping
        shrink = min(1.0, clip / whole)
        for i, gradient in enumerate(gradients):
            g = shrink * gradient.double()
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            expected[i] *= 1 - decay
            mean, square = first[i] / (1 - 0.9**step), second[i] / (1 - 0.999**step)
            expected[i] -= lr * mean / (square.sqrt() + eps)
        for value, wanted in zip(values, expected, strict=True):
            torch.testing.assert_close(value.detach(), wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("lr", [2e-4, 4e-5, 1e-4])
def test_the_decay_is_a_millionth_whatever_the_learning_rate(lr):
    values = parameters()
    before = [p.detach().clone() for p in values]
    Optimiser(values, lr, agent_config()).step(sum((p * 0).sum() for p in values))
    for value, old in zip(values, before, strict=True):  # biases too
        torch.testing.assert_close(value.detach(), old * (1 - 1e-6), rtol=1e-13, atol=0)


def test_the_norm_spans_all_parameters():
    values = parameters()
    norm = Optimiser(values, 0.1, agent_config("micro")).step(
        3 * values[0][0, 0] - 4 * values[1][1]
    )
    assert float(norm) == pytest.approx(5)
    assert not norm.requires_grad


def test_gradients_do_not_pile_up():
    one, two = parameters(), parameters()
    fresh, used = (Optimiser(p, 0.1, agent_config("micro")) for p in (one, two))
    for values in (one, two):
        values[0].grad = torch.full((2, 2), 1e6, dtype=torch.float64)
    norms = [fresh.step((one[0] * 2).sum()), used.step((two[0] * 2).sum())]
    assert [float(norm) for norm in norms] == [4.0, 4.0]
    assert float(used.step((two[0] * 2).sum())) == 4.0


def test_other_parameters_in_the_loss_get_no_gradient():
    values, stranger = parameters(), nn.Parameter(torch.ones(2, dtype=torch.float64))
    Optimiser(values, 0.1, agent_config("micro")).step((values[1] * stranger).sum())
    assert stranger.grad is None


def test_in_one_pass_the_moments_are_the_same_and_a_restored_optimiser_goes_on_in_it():
    found = []
    for in_one_pass in (False, True):
        values = [nn.Parameter(p.detach().float()) for p in parameters()]
        optimiser = Optimiser(values, 1e-4, agent_config("micro"))
        restored = Optimiser(values, 1e-4, agent_config("micro"))
        if in_one_pass:
            optimiser.in_one_pass()
            restored.in_one_pass()
        optimiser.step(loss_with_gradient(values, GRADIENTS[0]))
        restored.load_state_dict(optimiser.state_dict())
        restored.step(loss_with_gradient(values, GRADIENTS[1]))
        assert [group["fused"] or False for group in restored.adam.param_groups] == [in_one_pass]
        moments = [restored.adam.state[p] for p in values]
        found.append(([p.detach() for p in values], moments))
    (values, moments), (others, their_moments) = found
    for one, other in zip(moments, their_moments, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in ("exp_avg", "exp_avg_sq"))
    for value, other in zip(values, others, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-6, atol=0)
