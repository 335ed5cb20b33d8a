import math

import pytest
from pydantic import ValidationError

from agents.assemble import assemble
from agents.config import Budget, agent_config
from agents.modifications.recipe.replay_ratio import ReplayRatio
from agents.parts import Parts
from agents.training.recipe import Collect, TrainBehaviour, TrainWorldModel

BUDGET = Budget(env_frames=4000, prefill_frames=400)


@pytest.mark.parametrize("every", [64, 32, 16, 8, 4, 2, 1])
def test_a_life_has_one_update_every_e_frames(live, every):
    config = agent_config("micro", env_frames_per_update=10.0)
    life = live(assemble(config, [ReplayRatio(env_frames_per_update=every)]), env_frames=64)
    assert sum(event == TrainWorldModel() for event in life.events) == 2 + 64 // every
    assert sum(isinstance(event, Collect) for event in life.events) == (40 + 64) // 4


def test_the_behaviour_may_have_a_ratio_of_its_own(live):
    config = agent_config("micro", pretrain_updates=0)
    settings = {"env_frames_per_update": 32, "behaviour_frames_per_update": 8}
    life = live(assemble(config, [ReplayRatio(**settings)]), env_frames=64)
    assert sum(event == TrainWorldModel() for event in life.events) == 2
    assert sum(event == TrainBehaviour() for event in life.events) == 8


def test_a_ratio_without_one_for_the_behaviour_couples_the_two():
    config = agent_config("micro", behaviour_frames_per_update=8.0)
    assert assemble(config, [ReplayRatio(env_frames_per_update=16)]).config.behaviour_ratio == 16


def test_nothing_but_the_ratio_is_set():
    config = agent_config("micro")
    edited = assemble(config, [ReplayRatio(env_frames_per_update=4)]).config
    assert edited == config.model_copy(update={"env_frames_per_update": 4.0})


def test_it_first_acts_when_base_or_arm_makes_its_first_update():
    config = agent_config("micro")  # E = 64
    assert ReplayRatio(env_frames_per_update=16).first_action(config, BUDGET) == 416
    assert ReplayRatio(env_frames_per_update=2).first_action(config, BUDGET) == 404
    assert ReplayRatio(env_frames_per_update=1000).first_action(config, BUDGET) == 464


def test_ratios_that_differ_too_little_for_the_budget_never_act():
    config = agent_config("micro")  # E = 64
    near = ReplayRatio(env_frames_per_update=62)
    # floor(n / 64) and floor(n / 62) first differ at n = 124, a multiple of 4
    assert near.first_action(config, Budget(env_frames=520, prefill_frames=400)) == math.inf
    assert near.first_action(config, Budget(env_frames=524, prefill_frames=400)) == 524


def test_its_null_is_the_bases_own_ratio():
    config = agent_config("micro", env_frames_per_update=12.5)
    assert ReplayRatio.null(config) == ReplayRatio(env_frames_per_update=12.5)
    decoupled = config.model_copy(update={"behaviour_frames_per_update": 3.0})
    assert ReplayRatio.null(decoupled).install(Parts(decoupled)).config == decoupled


@pytest.mark.parametrize("every", [0, -4, math.nan, "8"])
def test_a_ratio_that_means_nothing_is_refused(every):
    with pytest.raises(ValidationError):
        ReplayRatio(env_frames_per_update=every)
