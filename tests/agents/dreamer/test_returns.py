import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.dreamer.returns import lambda_returns


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_lambda_zero_is_one_step_td():
    targets = lambda_returns(column(1, 2), column(0.5, 0.5), column(10, 20), lambda_=0.0)
    assert targets.tolist() == [[6.0], [12.0]]


def test_lambda_one_is_monte_carlo_with_a_bootstrap():
    # 2 + .5 * 20 = 12;  1 + .5 * 12 = 7; the value 10 does not matter
    targets = lambda_returns(column(1, 2), column(0.5, 0.5), column(10, 20), lambda_=1.0)
    assert targets.tolist() == [[7.0], [12.0]]


def test_lambda_between_mixes_value_and_return():
    # G2 = 3 + .5 * 8 = 7, whatever lambda: the recursion starts at the bootstrap value 8;
    # G1 = 2 + 1 * (.25 * 4 + .75 * 7) = 8.25 and G0 = 1 + .5 * (.25 * 16 + .75 * 8.25)
    reward, disc, value = column(1, 2, 3), column(0.5, 1, 0.5), column(16, 4, 8)
    targets = lambda_returns(reward, disc, value, lambda_=0.75)
    assert targets.flatten().tolist() == [1 + 0.5 * (4 + 6.1875), 8.25, 7.0]


def test_a_discount_of_zero_cuts_off_whatever_follows():
    before = lambda_returns(column(1, 2, 3), column(0.5, 0, 0.5), column(1, 1, 1), lambda_=0.9)
    after = lambda_returns(column(1, 2, 300), column(0.5, 0, 0.5), column(1, 7, 70), lambda_=0.9)
    assert before[:2].tolist() == after[:2].tolist()
    assert before[1].tolist() == [2.0]


numbers = st.floats(-5, 5, allow_nan=False)


@given(
    rows=st.lists(st.tuples(numbers, st.floats(0, 1), numbers), min_size=1, max_size=7),
    lambda_=st.floats(0, 1),
)
@settings(max_examples=100, deadline=None)
def test_the_recursion_is_the_weighted_sum_of_n_step_returns(rows, lambda_):
    H = len(rows)
    reward, disc, value = zip(*rows, strict=True)

    def n_step(t, n):  # r_t + d_t (r_{t+1} + ... d_{t+n-1} v_{t+n})
        total, weight = 0.0, 1.0
        for k in range(t, t + n):
            total += weight * reward[k]
            weight *= disc[k]
        return total + weight * value[t + n - 1]

    expected = []
    for t in range(H):
        longest = H - t
        parts = [(1 - lambda_) * lambda_ ** (n - 1) * n_step(t, n) for n in range(1, longest)]
        expected.append(sum(parts) + lambda_ ** (longest - 1) * n_step(t, longest))
    targets = lambda_returns(column(*reward), column(*disc), column(*value), lambda_=lambda_)
    assert targets.flatten().tolist() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_columns_do_not_touch():
    reward, disc, value = torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(1))
    both = lambda_returns(reward, disc, value, lambda_=0.95)
    for n in range(2):
        alone = lambda_returns(
            reward[:, n : n + 1], disc[:, n : n + 1], value[:, n : n + 1], lambda_=0.95
        )
        assert torch.equal(both[:, n : n + 1], alone)
