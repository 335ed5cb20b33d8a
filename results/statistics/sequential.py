"""A group-sequential permutation test of two arms: claims that survive looking several times.

Runs come in batches of n seeds per arm, at most K of them, and after each one looks. Under the
null the two arms have one distribution of scores, so the 2n scores of a batch may be dealt to
the arms in any way. After look k,

    T_k = |Σ_{batches ≤ k} (Σ second arm − Σ first arm)|,

and of all ways to deal the batches, those for which T_j > B_j at some look j ≤ k are at most
k α / K: each boundary B_k is as low as this allows. The arms differ if the T_k that was seen is
above B_k. However often one looks, and whether or not one stops, the null is then rejected with
probability at most α, exactly, at any number of seeds and for any distribution of scores.

Where there are too many ways to deal, a fixed draw of them stands for all, with the one that was
seen among them: the level stays exact (the seen one is like any other under the null).

The test of AdaStop (Mathieu et al., "AdaStop: adaptive statistical testing for sound comparisons
of Deep RL agents", arXiv 2306.10882) for one pair of arms, with α spent evenly over the looks.
Seeds are treated as independent across arms; where runs of one seed resemble each other, the
test rejects more rarely.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_ENUMERATED = 20_000  # ways to deal; beyond it DRAWN of them are drawn
DRAWN = 10_000


@dataclass(frozen=True)
class Look:
    """What one look sees.

    Attributes:
        look: Which one, from 1.
        seeds: Seeds per arm so far.
        difference: Mean of the second arm minus mean of the first.
        boundary: The difference that must be exceeded, either way.
        p: Share of the ways to deal with at least this difference: for this look alone, not
            adjusted for the others.
        rejected: Whether the boundary has been crossed, at this look or before.
    """

    look: int
    seeds: int
    difference: float
    boundary: float
    p: float
    rejected: bool


def looks(
    first: np.ndarray, second: np.ndarray, *, planned: int, alpha: float, seed: int = 0
) -> tuple[Look, ...]:
    """Tests whether two arms differ, after each of the batches that are there.

    Args:
        first: [batches, seeds], one score per seed of the first arm.
        second: [batches, seeds], of the second arm.
        planned: Batches at most, K; chosen before the first look.
        alpha: Probability of rejecting a true null at any look.
        seed: Of the draw of ways to deal.

    Raises:
        ValueError: If the shapes differ, a score is not finite, there are more batches than
            planned, or alpha is no probability.
    """
    if first.ndim != 2 or first.shape != second.shape or not 0 <= len(first) <= planned:
        raise ValueError(
            f"two arms of at most {planned} equal batches, not {first.shape} and {second.shape}"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all() and 0 < alpha < 1):
        raise ValueError("scores must be finite, and alpha between 0 and 1")
    batches, size = first.shape
    if not batches:
        return ()
    pooled = np.concatenate([first, second], axis=1)
    dealt = _dealt(size, planned, seed)
    sums = np.cumsum([signs @ scores for signs, scores in zip(dealt, pooled, strict=False)], 0)
    tolerance = 1e-9 * float(np.abs(pooled).sum())  # equal sums may differ in their last bits
    crossed = np.zeros(sums.shape[1], dtype=bool)
    found = []
    for k, signed in enumerate(sums, start=1):
        statistic = np.abs(signed)
        boundary = _boundary(statistic, crossed, alpha * k / planned)
        crossed |= statistic > boundary + tolerance
        found.append(
            Look(
                look=k,
                seeds=k * size,
                difference=float(signed[0]) / (k * size),
                boundary=boundary / (k * size),
                p=float(np.mean(statistic >= statistic[0] - tolerance)),
                rejected=bool(crossed[0]),
            )
        )
    return tuple(found)


def can_reject(size: int, planned: int, alpha: float) -> bool:
    """Whether any scores at all could be told apart: a way to deal and its mirror must fit in."""
    ways = math.comb(2 * size, size) ** planned
    return alpha * (ways if ways <= MOST_ENUMERATED else DRAWN) >= 2


def batches_of(
    scores: dict[int, float], seeds: Sequence[int], size: int
) -> tuple[tuple[float, ...], ...]:
    """The scores of an arm in batches of consecutive seeds, up to the first that lacks one.

    Args:
        scores: By seed.
        seeds: All seeds of the study, in order.
        size: Seeds of a batch; what is left over at the end makes none.
    """
    whole = [seeds[start : start + size] for start in range(0, len(seeds) - size + 1, size)]
    complete = itertools.takewhile(lambda batch: all(seed in scores for seed in batch), whole)
    return tuple(tuple(scores[seed] for seed in batch) for batch in complete)


def _boundary(statistic: np.ndarray, crossed: np.ndarray, share: float) -> float:
    """The largest statistic that may not be exceeded, so that at most `share` have crossed."""
    left = np.sort(statistic[~crossed])[::-1]
    allowed = math.floor(share * len(statistic) + 1e-9) - int(crossed.sum())
    return float(left[max(allowed, 0)])


def _dealt(size: int, planned: int, seed: int) -> list[np.ndarray]:
    """Per batch, [ways, 2 size]: +1 where a score goes to the second arm; the seen way first."""
    ways = math.comb(2 * size, size)
    if ways**planned <= MOST_ENUMERATED:
        one = np.ones((ways, 2 * size))
        for row, chosen in enumerate(itertools.combinations(range(2 * size), size)):
            one[row, list(chosen)] = -1
        return [one[index.ravel()] for index in np.indices((ways,) * planned)]
    seen = np.repeat([-1.0, 1.0], size)
    drawn = []
    for batch in range(planned):
        rng = np.random.default_rng([seed, batch])
        others = rng.permuted(np.tile(seen, (DRAWN - 1, 1)), axis=1)
        drawn.append(np.concatenate([seen[None], others]))
    return drawn
