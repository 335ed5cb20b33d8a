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
test rejects more rarely. Several pairs are tested together by `step_down`.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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
    return nested_looks(first, second, planned=planned, alphas=(alpha,), seed=seed)[0]


def nested_looks(
    first: np.ndarray,
    second: np.ndarray,
    *,
    planned: int,
    alphas: Sequence[float],
    seed: int = 0,
) -> tuple[tuple[Look, ...], ...]:
    """Tests at several levels, each of them exact, so that what one rejects all higher ones do.

    A higher level by itself need not: having spent more at an early look, it may have less left
    for a later one. So each one starts from what the level below lets cross.

    Args:
        first: [batches, seeds], as `looks`.
        second: [batches, seeds].
        planned: Batches at most.
        alphas: The levels, from the lowest on.
        seed: Of the draw of ways to deal.

    Returns:
        Per level, its looks.

    Raises:
        ValueError: As `looks`.
    """
    if first.ndim != 2 or first.shape != second.shape or not 0 <= len(first) <= planned:
        raise ValueError(
            f"two arms of at most {planned} equal batches, not {first.shape} and {second.shape}"
        )
    levels_hold = all(0 < alpha < 1 for alpha in alphas) and list(alphas) == sorted(alphas)
    if not (np.isfinite(first).all() and np.isfinite(second).all() and levels_hold):
        raise ValueError("scores must be finite, and alpha between 0 and 1")
    batches, size = first.shape
    if not batches:
        return ((),) * len(alphas)
    pooled = np.concatenate([first, second], axis=1)
    dealt = _dealt(size, planned, seed)
    signed = np.cumsum([signs @ scores for signs, scores in zip(dealt, pooled, strict=False)], 0)
    statistics = np.abs(signed)
    tolerance = 1e-9 * float(np.abs(pooled).sum())  # equal sums may differ in their last bits
    p = [float(np.mean(row >= row[0] - tolerance)) for row in statistics]
    below = np.zeros(statistics.shape, dtype=bool)  # what has crossed at the level below
    found = []
    for alpha in alphas:
        crossed = np.zeros(statistics.shape[1], dtype=bool)
        own = []
        for k, statistic in enumerate(statistics, start=1):
            crossed |= below[k - 1]
            boundary = _boundary(statistic, crossed, alpha * k / planned)
            crossed |= statistic > boundary + tolerance
            below[k - 1] = crossed
            own.append(
                Look(
                    look=k,
                    seeds=k * size,
                    difference=float(signed[k - 1, 0]) / (k * size),
                    boundary=boundary / (k * size),
                    p=p[k - 1],
                    rejected=bool(crossed[0]),
                )
            )
        found.append(tuple(own))
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
    left = statistic[~crossed]
    allowed = math.floor(share * len(statistic) + 1e-9) - int(crossed.sum())
    place = len(left) - 1 - max(allowed, 0)
    return float(np.partition(left, place)[place])


@lru_cache(maxsize=4)
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
