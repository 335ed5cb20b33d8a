import math

import pytest
from pydantic import ValidationError

from agents.config import PROTOCOLS, SIZES, AgentConfig, Budget, Protocol, agent_config

# shared/spec: the official code's `defaults` overridden by `atari`
OFFICIAL = {
    "env_frames_per_update": 64,  # 16 agent steps
    "pretrain_updates": 2,
    "batch": 16,
    "length": 50,
    "deter": 600,
    "hidden": 600,
    "stoch": 32,
    "classes": 32,
    "depth": 48,
    "units": 400,
    "layers": 4,
    "reward_scale": 1.0,
    "discount_scale": 5.0,
    "kl_scale": 0.1,
    "kl_balance": 0.8,
    "free_nats": 0.0,
    "horizon": 15,
    "gamma": 0.999,
    "lambda_": 0.95,
    "entropy_scale": 1e-3,
    "target_every": 100,
    "model_lr": 2e-4,
    "actor_lr": 4e-5,
    "critic_lr": 1e-4,
    "adam_eps": 1e-5,
    "clip": 100.0,
    "decay": 1e-6,
}

# what later settings must be for the agent to be the one of before
ADDED = {
    "behaviour_frames_per_update": None,
    "pretrain_world_model_updates": 0,
    "ongoing": False,
    "cross_episodes": False,
    "sampler": "episodes",
    "validation_fraction": 0.0,
    "validation_rule": "random",
    "validate_every": 16,
    "collection_lag": 0,
    "corrected_targets": False,
}


def test_the_defaults_are_those_of_the_official_code():
    assert agent_config("atari").model_dump() == OFFICIAL | ADDED
    assert AgentConfig() == agent_config()
    assert agent_config().feat == 1624


def test_settings_that_came_later_are_left_out_of_the_identity_at_their_defaults():
    assert agent_config("atari").determinants() == OFFICIAL
    changed = agent_config("atari", sampler="steps", ongoing=True).determinants()
    assert changed == OFFICIAL | {"sampler": "steps", "ongoing": True}


def test_settings_without_effect_are_left_out_of_the_identity():
    assert agent_config(validation_rule="deterministic").determinants() == OFFICIAL
    assert agent_config(validate_every=4).determinants() == OFFICIAL
    assert agent_config(behaviour_frames_per_update=64.0).determinants() == OFFICIAL
    split = agent_config(validation_fraction=0.15, validate_every=4).determinants()
    assert split == OFFICIAL | {"validation_fraction": 0.15, "validate_every": 4}
    decoupled = agent_config(behaviour_frames_per_update=32.0).determinants()
    assert decoupled == OFFICIAL | {"behaviour_frames_per_update": 32.0}


@pytest.mark.parametrize("size", SIZES)
def test_a_size_changes_widths_and_depths_but_neither_losses_nor_optimisers(size):
    shape = {"batch", "length", "deter", "hidden", "stoch", "classes", "depth", "units"}
    shape |= {"layers", "horizon"}
    values = agent_config(size).model_dump()
    assert {name for name in OFFICIAL if values[name] != OFFICIAL[name]} <= shape


def test_a_single_setting_wins_over_the_size():
    assert agent_config("micro", deter=17).deter == 17
    assert agent_config("micro", deter=17).hidden == agent_config("micro").hidden


def test_a_whole_number_and_a_float_are_one_setting():
    assert agent_config(env_frames_per_update=16) == agent_config(env_frames_per_update=16.0)
    assert isinstance(agent_config(env_frames_per_update=16).env_frames_per_update, float)


def test_an_unknown_size_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown size 'huge'; sizes are " + ", ".join(SIZES)):
        agent_config("huge")


@pytest.mark.parametrize(
    "setting",
    [
        {"deterr": 600},
        {"deter": "600"},
        {"deter": 600.0},
        {"deter": 0},
        {"length": 1},
        {"classes": 1},
        {"horizon": 1},
        {"env_frames_per_update": 0.0},
        {"env_frames_per_update": math.nan},
        {"kl_balance": 1.5},
        {"gamma": 0.0},
        {"decay": 1.0},
        {"batch": True},
    ],
)
def test_settings_that_make_no_agent_are_refused(setting):
    with pytest.raises(ValidationError):
        agent_config("micro", **setting)


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        agent_config("micro").deter = 3
    with pytest.raises(TypeError):
        SIZES["micro"]["deter"] = 3


def test_the_protocols_differ_by_sticky_actions_alone():
    assert set(PROTOCOLS) == {"atari100k", "dreamerv2"}
    assert PROTOCOLS["atari100k"].sticky_actions == 0
    assert PROTOCOLS["dreamerv2"].sticky_actions == 0.25
    assert PROTOCOLS["dreamerv2"].model_copy(update={"sticky_actions": 0.0}) == Protocol()
    assert not Protocol().full_action_space
    assert Protocol().max_env_frames_per_episode == 108_000
    assert Protocol().noop_max == 30


def test_a_budget_leaves_something_to_learn_from():
    Budget(env_frames=404, prefill_frames=400)
    for prefill_frames in (400, 1000):
        with pytest.raises(ValidationError, match=f"prefill_frames = {prefill_frames} leaves"):
            Budget(env_frames=400, prefill_frames=prefill_frames)
    with pytest.raises(ValidationError):
        Budget(env_frames=400, prefill_frames=-4)
    with pytest.raises(ValidationError, match="multiple of 4"):
        Budget(env_frames=402, prefill_frames=100)
