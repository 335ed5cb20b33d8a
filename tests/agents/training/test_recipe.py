import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.config import Budget, Protocol, agent_config
from agents.training.recipe import (
    BudgetTooSmallError,
    Clock,
    Collect,
    Evaluate,
    TrainBehaviour,
    TrainWorldModel,
    dreamer_recipe,
    evaluation_interval,
    planned_updates,
)


def carry_out(config, budget, protocol=None, *, episode_frames=40):
    """All events with the env_frames at which each is carried out."""
    clock, log = Clock(), []
    for event in dreamer_recipe(config, budget, protocol or Protocol(), clock):
        if isinstance(event, Collect):
            clock.env_frames += 4
            clock.episodes = clock.env_frames // episode_frames
        log.append((clock.env_frames, event))
    return log


def frames_of(log, kind):
    return [frames for frames, event in log if isinstance(event, kind)]


def micro(env_frames_per_update, **settings):
    return agent_config("micro", env_frames_per_update=env_frames_per_update, **settings)


EVERY = [64, 32, 16, 8, 4, 2, 1, 6.67, 10, 3, 0.7, 100.5, 7, math.inf]


@pytest.mark.parametrize("every", EVERY)
def test_the_number_of_updates_is_that_of_the_closed_form(every):
    budget = Budget(env_frames=1200, prefill_frames=100)
    config = micro(every)
    log = carry_out(config, budget)
    updates = 2 + int(1100 / every)
    assert len(frames_of(log, TrainWorldModel)) == updates
    assert len(frames_of(log, TrainBehaviour)) == updates
    assert planned_updates(config, budget) == updates


@pytest.mark.parametrize(
    ("every", "updates"),
    [
        (64, 5_937),
        (32, 11_875),
        (16, 23_750),
        (8, 47_500),
        (4, 95_000),
        (2, 190_000),
        (1, 380_000),
    ],
)
def test_the_published_counts_at_400k_frames(every, updates):
    budget = Budget(env_frames=400_000, prefill_frames=20_000)
    assert planned_updates(micro(every, pretrain_updates=0), budget) == updates


@pytest.mark.parametrize("every", EVERY)
def test_update_k_comes_as_soon_as_k_times_e_frames_have_passed(every):
    log = carry_out(micro(every, pretrain_updates=0), Budget(env_frames=1200, prefill_frames=100))
    for k, frames in enumerate(frames_of(log, TrainWorldModel), 1):
        assert frames == 100 + 4 * math.ceil(round(k * every / 4, 9))


def test_each_update_of_the_model_is_followed_by_one_of_the_behaviour():
    log = carry_out(micro(1), Budget(env_frames=400, prefill_frames=100))
    updates = [event for _, event in log if isinstance(event, TrainWorldModel | TrainBehaviour)]
    assert updates[::2] == [TrainWorldModel()] * (len(updates) // 2)
    assert updates[1::2] == [TrainBehaviour()] * (len(updates) // 2)


def test_pretraining_takes_no_frames():
    log = carry_out(micro(64, pretrain_updates=3), Budget(env_frames=400, prefill_frames=100))
    assert frames_of(log, TrainWorldModel)[:4] == [100, 100, 100, 164]
    log = carry_out(micro(64, pretrain_updates=0), Budget(env_frames=400, prefill_frames=100))
    assert frames_of(log, TrainWorldModel)[0] == 164


@given(
    prefill=st.integers(0, 100),
    extra=st.integers(1, 300),
    every=st.floats(0.5, 100),
    episode=st.integers(1, 30),
)
@settings(max_examples=60, deadline=None)
def test_every_frame_is_counted_once(prefill, extra, every, episode):
    budget = Budget(env_frames=4 * (prefill + extra), prefill_frames=4 * prefill)
    try:
        log = carry_out(micro(every), budget, episode_frames=4 * episode)
    except BudgetTooSmallError:
        assert episode > prefill + extra
        return
    assert len(frames_of(log, Collect)) == prefill + extra
    assert log[-1][0] == 4 * (prefill + extra)
    random = [f for f, event in log if event == Collect("random")]
    assert len(random) == max(prefill, episode)
    assert [event.policy for _, event in log if isinstance(event, Collect)] == (
        ["random"] * len(random) + ["behaviour"] * (prefill + extra - len(random))
    )


def test_the_prefill_goes_on_until_one_episode_can_be_replayed():
    log = carry_out(
        micro(64, pretrain_updates=1),
        Budget(env_frames=1000, prefill_frames=100),
        episode_frames=480,
    )
    assert sum(event == Collect("random") for _, event in log) == 120
    # and the updates are counted from its end
    assert frames_of(log, TrainWorldModel)[:3] == [480, 544, 608]


def test_a_budget_without_a_complete_episode_is_refused():
    clock = Clock()
    recipe = dreamer_recipe(
        micro(64), Budget(env_frames=400, prefill_frames=100), Protocol(), clock
    )
    for _ in range(100):
        assert next(recipe) == Collect("random")
        clock.env_frames += 4
    with pytest.raises(BudgetTooSmallError, match="within the budget of 400 env_frames"):
        next(recipe)


@pytest.mark.parametrize(
    ("evaluate_every", "expected"),
    [
        (None, [120, 240, 360, 480, 600, 720, 840, 960, 1080]),
        (300, [300, 600, 900]),
        (252, [252, 504, 756, 1008]),
        (5000, []),
    ],
)
def test_evaluations_lie_on_a_grid_of_frames_and_one_is_final(evaluate_every, expected):
    protocol = Protocol(
        evaluate_every=evaluate_every, evaluation_episodes=3, final_evaluation_episodes=7
    )
    log = carry_out(micro(64), Budget(env_frames=1200, prefill_frames=100), protocol)
    evaluations = [(frames, event) for frames, event in log if isinstance(event, Evaluate)]
    assert evaluations[:-1] == [(f, Evaluate(3, final=False)) for f in expected]
    assert evaluations[-1] == (1200, Evaluate(7, final=True))
    assert log[-1] == evaluations[-1]


def test_grid_points_within_the_prefill_are_not_made_up_for():
    protocol = Protocol(evaluate_every=100)
    log = carry_out(micro(64), Budget(env_frames=600, prefill_frames=100), protocol)
    assert frames_of(log, Evaluate) == [200, 300, 400, 500, 600]
    log = carry_out(
        micro(64), Budget(env_frames=600, prefill_frames=100), protocol, episode_frames=360
    )
    assert frames_of(log, Evaluate) == [400, 500, 600]


def test_an_evaluation_follows_the_updates_that_were_due():
    protocol = Protocol(evaluate_every=164)
    log = carry_out(micro(64), Budget(env_frames=600, prefill_frames=100), protocol)
    events = [event for frames, event in log if frames == 164]
    assert events[1:] == [TrainWorldModel(), TrainBehaviour(), Evaluate(5, final=False)]


def test_the_evaluation_interval_is_a_tenth_of_the_budget_unless_given():
    budget = Budget(env_frames=400_000, prefill_frames=20_000)
    assert evaluation_interval(Protocol(), budget) == 40_000
    assert evaluation_interval(Protocol(evaluate_every=5000), budget) == 5000
    assert evaluation_interval(Protocol(), Budget(env_frames=4, prefill_frames=0)) == 1


def test_frames_never_run_backwards():
    log = carry_out(micro(3), Budget(env_frames=400, prefill_frames=100))
    assert all(before <= after for (before, _), (after, _) in pairwise(log))


def test_the_phase_is_prefill_until_the_first_update():
    clock = Clock()
    assert clock.phase == "prefill"
    clock.updates = 1
    assert clock.phase == "train"
