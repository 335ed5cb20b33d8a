import math

import pytest
import torch

from agents.config import agent_config
from agents.dreamer.entropy import EntropyTarget, FixedEntropyWeight

LARGEST = math.log(4)


@pytest.fixture
def make_weight():
    def make(share=0.5, final=None, falls_over=None, *, start=0.2, lr=0.1):
        target = EntropyTarget(start, share, final, falls_over, lr)
        return target.build(agent_config("micro", decay=0.1), 4, "cpu")

    return make


def states(share, weight=1.0):
    return torch.full((2, 3), share * LARGEST), torch.full((2, 3), weight)


def test_it_starts_where_it_is_told(make_weight):
    assert make_weight(start=0.2)().item() == pytest.approx(0.2)


@pytest.mark.parametrize(("share", "grows"), [(0.9, False), (0.1, True)])
def test_it_falls_above_the_target_and_rises_below(make_weight, share, grows):
    weight = make_weight(0.5)
    metrics = weight.update(*states(share))
    assert (weight() > 0.2) == grows
    assert metrics["target_entropy"].item() == pytest.approx(0.5 * LARGEST)
    assert metrics["entropy_weight"] == weight()


def test_its_gradient_is_alpha_times_the_weighted_surplus(make_weight):
    weight = make_weight(0.5)
    entropy = torch.tensor([[0.2, 0.9]]) * LARGEST
    weight.update(entropy, torch.tensor([[1.0, 0.5]]))
    # 0.2 [1 (.2 - .5) + .5 (.9 - .5)] ln 4 / 2
    assert weight.log_alpha.grad.item() == pytest.approx(0.2 * -0.05 * LARGEST, rel=1e-5)


def test_what_does_not_count_teaches_nothing_and_nothing_decays(make_weight):
    weight = make_weight()
    for _ in range(5):
        weight.update(*states(0.9, weight=0.0))
    assert weight().item() == pytest.approx(0.2)


def test_the_target_falls_linearly_in_the_updates(make_weight):
    weight = make_weight(0.8, 0.2, 4)
    for updates, share in ((0, 0.8), (1, 0.65), (2, 0.5), (4, 0.2), (9, 0.2)):
        weight.count_update(updates)
        assert weight.wanted.item() == pytest.approx(share * LARGEST)


def test_a_fixed_weight_is_a_number_and_learns_nothing():
    weight = FixedEntropyWeight(0.3)
    assert weight() == 0.3
    assert weight.update(*states(0.9)) == {}
    assert weight.networks() == ()
    assert weight.optimisers() == {}
