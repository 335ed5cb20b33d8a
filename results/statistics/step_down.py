"""Several group-sequential tests together: a joint level, and shares of it that claims set free.

Closed testing (Marcus, Peritz and Gabriel, Biometrika 63, 1976): a comparison is claimed if every
set of comparisons that holds it is rejected, "all arms of these pairs are equal", each at level α.
A set of s of them is rejected if one of its own tests rejects at α / s. Whatever is equal and
however the comparisons depend on each other, a false claim has probability α at most, over all
looks, since each test keeps its level over all looks. It is Holm's method (Scandinavian Journal of
Statistics 6, 1979) for sequential tests: the first claim is made at α / m, after it the rest share
α as m − 1, and so on. What Bonferroni's α / m claims is always among it.

AdaStop (arXiv 2306.10882) compares the largest statistic of all comparisons with its distribution
when the scores of every pair are dealt in the same way. Where pairs share an arm, as all added
toggles share the base, that keeps no level: dealing moves a score of the base to the place of a
different arm in each pair. Of 20,000 studies of eight equal arms beside an equal base (normal
scores, five seeds, one look), it claimed something in 6.5% at a level of 5%
(`tests/results/statistics/test_step_down.py`).
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

Comparison = TypeVar("Comparison")


def levels(comparisons: int, alpha: float) -> tuple[float, ...]:
    """The levels at which each of m comparisons is tested: α / m, ..., α / 2, α."""
    return tuple(alpha / size for size in range(comparisons, 0, -1))


def claimed(rejected: Mapping[Comparison, Sequence[bool]]) -> set[Comparison]:
    """The comparisons that may be claimed.

    Args:
        rejected: Per comparison, whether its own test rejects at each of `levels`.
    """
    found = set(rejected)
    for place in range(len(rejected)):
        size = len(rejected) - place  # of the sets that are tested at this level
        kept = {comparison for comparison, at in rejected.items() if not at[place]}
        if len(kept) >= size:  # enough for a set that nobody rejects
            found -= kept
    return found
