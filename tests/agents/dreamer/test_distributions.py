import math

import pytest
import torch
from scipy.stats import chisquare

from agents.dreamer.distributions import (
    ActionDistribution,
    CategoricalActions,
    entropy,
    kl_divergence,
    one_hot_sample,
    straight_through_sample,
)

LARGEST = 1 - 2**-24  # of the numbers that torch.rand can draw
INF = math.inf


def classes(logits, uniforms):
    uniforms = torch.tensor(uniforms)
    sample = one_hot_sample(torch.tensor(logits).expand(len(uniforms), -1), uniforms)
    assert sample.sum(-1).tolist() == [1.0] * len(uniforms)
    return sample.argmax(-1).tolist()


def test_the_class_is_the_number_of_cumulative_probabilities_not_above_the_uniform():
    # four equal classes: cumulative probabilities .25, .5, .75, 1, all exact in binary
    drawn = [0.0, 0.25 - 2**-24, 0.25, 0.5, 0.75 - 2**-24, 0.75, LARGEST]
    assert classes([0.0, 0.0, 0.0, 0.0], drawn) == [0, 0, 1, 2, 2, 3, 3]


def test_a_class_without_probability_is_never_drawn():
    assert classes([-INF, 0.0, -INF], [0.0, 0.5, LARGEST]) == [1, 1, 1]
    assert classes([0.0, -INF, 0.0], [0.0, 0.5 - 2**-24, 0.5, LARGEST]) == [0, 0, 2, 2]


def test_the_largest_uniform_draws_a_class_that_can_occur(uniforms):
    # sums of rounded probabilities may fall short of 1, or exceed it
    logits = 8 * torch.randn(20_000, 32, generator=torch.Generator().manual_seed(1))
    logits[:, -5:] = -INF
    sample = one_hot_sample(logits, torch.full((20_000,), LARGEST))
    assert (sample.sum(-1) == 1).all()
    assert sample[:, -5:].sum() == 0


def test_frequencies_follow_the_probabilities():
    probabilities = torch.tensor([0.05, 0.3, 0.0, 0.15, 0.5])
    draws = torch.rand(40_000, generator=torch.Generator().manual_seed(2))
    sample = one_hot_sample(probabilities.log().expand(40_000, -1), draws)
    counts = sample.sum(0)
    assert counts[2] == 0
    occurring = [0, 1, 3, 4]
    expected = 40_000 * probabilities[occurring] / probabilities.sum()
    assert chisquare(counts[occurring].double(), expected.double(), sum_check=False).pvalue > 0.01


def test_each_distribution_uses_its_own_uniform(uniforms):
    logits = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(3))
    draws = uniforms(3, 4)
    sample = one_hot_sample(logits, draws)
    for i in range(3):
        for j in range(4):
            assert torch.equal(sample[i, j], one_hot_sample(logits[i, j], draws[i, j]))


def test_a_constant_added_to_the_logits_changes_no_draw(uniforms):
    logits = torch.randint(-4, 5, (500, 6), generator=torch.Generator().manual_seed(4)).float()
    draws = uniforms(500)
    assert torch.equal(one_hot_sample(logits, draws), one_hot_sample(logits + 64, draws))


def test_the_straight_through_sample_is_the_sample_with_the_gradient_of_the_softmax(uniforms):
    logits = torch.randn(7, 3, 5, generator=torch.Generator().manual_seed(5), requires_grad=True)
    draws, weight = uniforms(7, 3), torch.linspace(-1, 2, 105).view(7, 3, 5)
    sample = straight_through_sample(logits, draws)
    assert torch.equal(sample, one_hot_sample(logits, draws))
    (through_sample,) = torch.autograd.grad((weight * sample).sum(), logits)
    (through_softmax,) = torch.autograd.grad((weight * logits.softmax(-1)).sum(), logits)
    assert torch.equal(through_sample, through_softmax)
    # by hand: dL/dlogit_i = p_i (w_i - sum_j p_j w_j)
    p = logits.detach().softmax(-1)
    by_hand = p * (weight - (p * weight).sum(-1, keepdim=True))
    torch.testing.assert_close(through_sample, by_hand)


def test_a_plain_sample_carries_no_gradient(uniforms):
    logits = torch.zeros(2, 3, requires_grad=True)
    assert not one_hot_sample(logits, uniforms(2)).requires_grad


def test_the_mode_is_the_most_probable_action():
    mode = CategoricalActions(3).mode(torch.tensor([[0.1, 3.0, -2.0], [5.0, 4.9, 0.0]]))
    assert mode.tolist() == [[0, 1, 0], [1, 0, 0]]


def test_entropy_in_nats():
    uniform, certain = torch.full((7,), 3.0), torch.tensor([50.0, 0, 0])
    assert float(entropy(uniform)) == pytest.approx(math.log(7))
    assert float(entropy(certain)) == pytest.approx(0, abs=1e-12)
    coin = torch.tensor([0.25, 0.75]).log()
    assert float(entropy(coin)) == pytest.approx(0.25 * math.log(4) + 0.75 * math.log(4 / 3))


def test_kl_divergence_in_nats_from_the_first_to_the_second():
    fair, loaded = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
    forward = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    backward = 0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2)
    assert float(kl_divergence(fair, loaded)) == pytest.approx(forward)
    assert float(kl_divergence(loaded, fair)) == pytest.approx(backward)
    assert float(kl_divergence(fair, fair + 3)) == pytest.approx(0, abs=1e-7)


def test_kl_to_the_uniform_distribution_is_what_entropy_lacks():
    logits = torch.randn(50, 9, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    lacking = math.log(9) - entropy(logits)
    torch.testing.assert_close(kl_divergence(logits, torch.zeros_like(logits)), lacking)
    assert (lacking > 0).all()


def test_log_probability_is_that_of_the_chosen_action():
    logits = torch.tensor([[0.25, 0.75], [0.5, 0.5]]).log() + 4
    chosen = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    expected = [math.log(0.75), math.log(0.5)]
    assert CategoricalActions(2).log_probability(logits, chosen).tolist() == pytest.approx(
        expected
    )


def test_categorical_actions_are_an_action_distribution(uniforms):
    actions = CategoricalActions(6)
    assert isinstance(actions, ActionDistribution)
    logits = torch.randn(40, 6, generator=torch.Generator().manual_seed(7))
    draws = uniforms(40)
    assert torch.equal(actions.sample(logits, draws), one_hot_sample(logits, draws))
    assert torch.equal(actions.entropy(logits), entropy(logits))
    # the probabilities of all choices sum to 1
    each = torch.stack(
        [
            actions.log_probability(logits, choice)
            for choice in torch.eye(6)[:, None].expand(6, 40, 6)
        ]
    )
    torch.testing.assert_close(each.exp().sum(0), torch.ones(40))
