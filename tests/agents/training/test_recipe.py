import math
from dataclasses import asdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.config import Budget, Protocol, agent_config, scaled_budget
from agents.training.recipe import (
    BudgetTooSmallError,
    Clock,
    Collect,
    Evaluate,
    TrainBehaviour,
    TrainWorldModel,
    Validate,
    dreamer_recipe,
    evaluation_interval,
    first_difference,
    first_update,
    planned_updates,
)


def carry_out(
    config, budget, protocol=None, *, episode_frames=40, validation_frames=40, clock=None
):
    """All events with the env_frames at which each is carried out."""
    clock, log = clock or Clock(), []
    for event in dreamer_recipe(config, budget, protocol or Protocol(), clock):
        if isinstance(event, Collect):
            clock.env_frames += 4
            clock.episodes = clock.env_frames // episode_frames
            clock.validation_episodes = clock.env_frames // validation_frames
        log.append((clock.env_frames, event))
        clock.updates += isinstance(event, TrainWorldModel)
        clock.behaviour_updates += isinstance(event, TrainBehaviour)
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
        assert episode >= prefill + extra
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
    with pytest.raises(BudgetTooSmallError, match="of at least length = 6 agent steps within the"):
        next(recipe)


def test_a_prefill_that_takes_the_whole_budget_is_refused():
    budget = Budget(env_frames=400, prefill_frames=100)
    with pytest.raises(BudgetTooSmallError, match="the prefill has taken the whole budget of 400"):
        carry_out(micro(64), budget, episode_frames=400)
    assert carry_out(micro(64), budget, episode_frames=396)


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


def test_the_phase_is_prefill_until_the_prefill_has_ended():
    assert Clock().phase == "prefill"
    assert Clock(prefilled=240).phase == "train"


# Budgets


@pytest.mark.parametrize(
    ("every", "prefill", "total", "updates"),
    [
        (64, 192_000, 6_400_000, 97_000),
        (32, 96_000, 3_200_000, 97_000),
        (16, 48_000, 1_600_000, 97_000),
        (8, 24_000, 800_000, 97_000),
        (4, 20_000, 400_000, 95_000),
        (2, 20_000, 400_000, 190_000),
        (1, 20_000, 400_000, 380_000),
    ],
)
def test_the_budget_that_grows_with_e_keeps_the_published_counts(every, prefill, total, updates):
    budget = scaled_budget(float(every))
    assert budget == Budget(env_frames=total, prefill_frames=prefill)
    assert planned_updates(micro(every, pretrain_updates=0), budget) == updates


def test_a_scaled_budget_is_a_whole_number_of_agent_steps():
    assert scaled_budget(6.67) == Budget(env_frames=667_000, prefill_frames=20_012)


# Two ratios


def updates_of(log):
    letters = {TrainWorldModel: "W", TrainBehaviour: "B"}
    return "".join(letters.get(type(event), "") for _, event in log)


@pytest.mark.parametrize(
    ("model", "behaviour", "order"),
    [
        (64, 64, "WBWBWB"),
        (64, 32, "BWBBWBBWB"),
        (32, 64, "WWBWWBWWB"),
        (64, 48, "BWBWBWB"),
        (64, math.inf, "WWW"),
    ],
)
def test_updates_come_in_the_order_of_their_due_times_and_the_models_first(
    model, behaviour, order
):
    config = micro(model, behaviour_frames_per_update=behaviour, pretrain_updates=0)
    log = carry_out(config, Budget(env_frames=292, prefill_frames=100))
    assert updates_of(log) == order


def test_a_burst_is_ordered_by_due_times_too():
    # per agent step: model updates at 1, 2, 3, 4 and behaviour updates at 2, 4 frames
    config = micro(1, behaviour_frames_per_update=2.0, pretrain_updates=0)
    log = carry_out(config, Budget(env_frames=108, prefill_frames=100))
    assert updates_of(log) == "WWBWWB" * 2


@pytest.mark.parametrize("behaviour", EVERY)
def test_both_counts_are_those_of_the_closed_form(behaviour):
    budget = Budget(env_frames=1200, prefill_frames=100)
    config = micro(
        10,
        behaviour_frames_per_update=behaviour,
        pretrain_world_model_updates=5,
        pretrain_updates=3,
    )
    log = carry_out(config, budget)
    assert len(frames_of(log, TrainWorldModel)) == planned_updates(config, budget) == 5 + 3 + 110
    assert len(frames_of(log, TrainBehaviour)) == 3 + int(1100 / behaviour)


def test_a_ratio_given_twice_is_the_coupled_agent():
    config = micro(32, behaviour_frames_per_update=32.0)
    budget = Budget(env_frames=1200, prefill_frames=100)
    assert carry_out(config, budget) == carry_out(micro(32), budget)
    assert config.determinants() == micro(32).determinants()


def test_pretraining_gives_the_world_model_its_own_updates_first():
    config = micro(64, pretrain_world_model_updates=3, pretrain_updates=2)
    log = carry_out(config, Budget(env_frames=228, prefill_frames=100))
    assert updates_of(log) == "WWWWBWBWBWB"
    assert frames_of(log, TrainWorldModel) == [100] * 5 + [164, 228]


def test_decoupled_behaviour_first_differs_where_its_counts_do():
    budget = Budget(env_frames=1200, prefill_frames=100)
    faster = micro(64, behaviour_frames_per_update=32.0)
    assert first_difference(micro(64), faster, budget) == 132
    assert first_update(micro(64, pretrain_updates=0), budget) == 164
    assert first_update(faster.model_copy(update={"pretrain_updates": 0}), budget) == 132
    assert (
        first_update(micro(64, pretrain_world_model_updates=1, pretrain_updates=0), budget) == 100
    )


# The validation split


def test_the_prefill_goes_on_until_one_episode_can_validate():
    config = micro(64, validation_fraction=0.15, pretrain_updates=0)
    budget = Budget(env_frames=1000, prefill_frames=100)
    log = carry_out(config, budget, validation_frames=480)
    assert sum(event == Collect("random") for _, event in log) == 120
    with pytest.raises(BudgetTooSmallError, match="no complete validation episode within"):
        carry_out(config, budget, validation_frames=1004)
    unsplit = carry_out(micro(64, pretrain_updates=0), budget, validation_frames=480)
    assert sum(event == Collect("random") for _, event in unsplit) == 25


def test_every_sixteenth_update_of_the_model_is_followed_by_a_validation():
    config = micro(8, validation_fraction=0.15)
    log = carry_out(config, Budget(env_frames=1200, prefill_frames=100))
    events = [event for _, event in log if isinstance(event, TrainWorldModel | Validate)]
    at = [i for i, event in enumerate(events) if isinstance(event, Validate)]
    assert at == [16, 33, 50, 67, 84, 101, 118, 135]
    assert not frames_of(
        carry_out(micro(8), Budget(env_frames=1200, prefill_frames=100)), Validate
    )


# Going on


@pytest.mark.parametrize("stop", [3, 30, 31, 60, 200, 350])
def test_a_recipe_put_back_with_its_clock_goes_on_with_the_same_events(stop):
    config = micro(
        6, behaviour_frames_per_update=9.0, pretrain_world_model_updates=5, validation_fraction=0.1
    )
    budget = Budget(env_frames=1200, prefill_frames=100)
    whole = carry_out(config, budget)
    clock, done = Clock(), []
    for event in dreamer_recipe(config, budget, Protocol(), clock):
        before_a_step = isinstance(event, Collect)
        if len(done) >= stop and before_a_step:
            break
        if before_a_step:
            clock.env_frames += 4
            clock.episodes = clock.validation_episodes = clock.env_frames // 40
        done.append((clock.env_frames, event))
        clock.updates += isinstance(event, TrainWorldModel)
        clock.behaviour_updates += isinstance(event, TrainBehaviour)
    rest = carry_out(config, budget, clock=Clock.of(asdict(clock)))
    assert done + rest == whole
