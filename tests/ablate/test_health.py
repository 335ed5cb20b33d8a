"""When starting more workers is no use."""

import pytest

from ablate.health import MOST_BARREN, MOST_DEATHS, Health


@pytest.mark.parametrize("slots", [1, 3])
def test_so_many_deaths_per_slot_without_progress_are_hopeless(slots) -> None:
    health = Health(slots)
    for worker in range(MOST_DEATHS * slots):
        assert not health.is_hopeless
        health.claimed(worker)
        health.ended(worker, died=True, runs_waited=True)
    assert health.is_hopeless


def test_deaths_of_workers_whose_runs_came_further_are_none() -> None:
    health = Health(1)
    for worker in range(3 * MOST_DEATHS):
        health.claimed(worker)
        health.came_further(worker)
        health.ended(worker, died=True, runs_waited=True)
    assert not health.is_hopeless


def test_a_run_that_comes_further_forgives_the_deaths_before_it() -> None:
    health = Health(1)
    for worker in range(3 * MOST_DEATHS):
        health.claimed(worker)
        if worker % MOST_DEATHS == 0:
            health.came_further(worker)
        health.ended(worker, died=True, runs_waited=True)
    assert not health.is_hopeless


def test_workers_that_claim_nothing_are_hopeless_only_where_something_waits() -> None:
    health = Health(2)
    for worker in range(9 * MOST_BARREN):
        health.ended(worker, died=False, runs_waited=False)
    assert not health.is_hopeless
    for worker in range(2 * MOST_BARREN):
        assert not health.is_hopeless
        health.ended(worker, died=False, runs_waited=True)
    assert health.is_hopeless
