import math
from dataclasses import asdict
from itertools import combinations

import pytest
import torch
from pydantic import ValidationError

from agents.assemble import AssemblyError, assemble
from agents.config import Budget, Protocol, agent_config
from agents.modifications.resets.resets import Resets
from agents.parts import Parts
from agents.training.learner import Learner
from agents.training.loop import train
from agents.training.recipe import (
    Clock,
    Collect,
    Operation,
    Surgery,
    TrainBehaviour,
    TrainWorldModel,
    Validate,
    following,
    planned_updates,
)
from agents.training.reports import Metrics

BUDGET = Budget(env_frames=740, prefill_frames=100)  # 40 updates at E = 16


def config(**settings):
    return agent_config("micro", **{"env_frames_per_update": 16, "pretrain_updates": 0} | settings)


def carry_out(settings, clock=None, *, stop=math.inf, budget=BUDGET, first_episode=40, **base):
    """The events of a run, with the clock; `stop` leaves before the nth event.

    `first_episode` is its length in env_frames.
    """
    parts, clock, log = assemble(config(**base), [settings]), clock or Clock(), []
    recipe = parts.recipe(budget, Protocol(), clock)
    event = next(recipe)
    while event is not None:
        resting = isinstance(event, Collect)
        if len(log) >= stop and resting:
            return log, clock
        log.append(event)
        if resting:
            clock.env_frames += 4
            clock.episodes = clock.validation_episodes = clock.env_frames // first_episode
        clock.updates += isinstance(event, TrainWorldModel)
        clock.behaviour_updates += isinstance(event, TrainBehaviour)
        event = following(recipe, {})
    return log, clock


def letters(log):
    of = {TrainWorldModel: "W", TrainBehaviour: "B", Surgery: "S", Validate: "V"}
    return "".join(of.get(type(event), "") for event in log)


def test_resets_follow_every_so_many_updates_until_the_last_fifth():
    log, _ = carry_out(Resets(every_updates=8, recovery_fraction=0.0))
    # 40 updates: resets after 8, 16, 24 and 32, which is the last before 0.8 x 40
    assert letters(log) == ("WB" * 7 + "WSB") * 4 + "WB" * 8
    assert [event.number for event in log if isinstance(event, Surgery)] == [1, 2, 3, 4]


def test_the_interval_may_be_a_share_of_the_planned_updates():
    log, _ = carry_out(Resets(every_fraction=0.25, recovery_fraction=0.0))
    assert letters(log) == ("WB" * 9 + "WSB") * 3 + "WB" * 10


@pytest.mark.parametrize("first_episode", [2_000, 6_000, 10_800])
def test_the_share_is_of_the_updates_that_a_run_with_an_extended_prefill_makes(first_episode):
    budget = Budget(env_frames=40_000, prefill_frames=2_000)
    log, clock = carry_out(Resets(), budget=budget, first_episode=first_episode)
    updates = letters(log).replace("B", "")
    resets = [updates[:i].count("W") for i, event in enumerate(updates) if event == "S"]
    assert clock.updates == (40_000 - first_episode) // 16
    assert resets == [k * round(clock.updates / 4) for k in (1, 2, 3)]


def test_the_agent_step_that_reaches_the_share_is_in_time():
    # update 103 falls due after 515 of 640 frames, of which 515.2 may pass; the step ends at 516
    log, clock = carry_out(
        Resets(every_updates=103, until_fraction=0.805), env_frames_per_update=5
    )
    assert clock.updates == 128
    assert letters(log).count("S") == 1


def test_recovery_takes_its_updates_from_those_to_come():
    log, clock = carry_out(Resets(every_updates=16, recovery_fraction=0.25, until_fraction=0.5))
    # after the reset four updates of the model at once; then four steps' worth of the behaviour
    assert letters(log) == "WB" * 15 + "WS" + "WWWW" + "B" + "B" * 4 + "WB" * 20
    assert clock.updates == clock.behaviour_updates == planned_updates(config(), BUDGET) == 40


VALIDATED = {"validation_fraction": 0.25, "validate_every": 4}


@pytest.mark.parametrize("every", [1, 3, 6, 8])
@pytest.mark.parametrize("recovery", [0.0, 0.5, 1.0])
def test_every_validation_comes_after_its_update_whoever_asks_for_that(every, recovery):
    settings = Resets(every_updates=every, recovery_fraction=recovery)
    log, _ = carry_out(settings, **VALIDATED)
    updates = letters(log).replace("B", "")
    assert updates.replace("V", "").endswith("W" * 8)
    assert updates.count("S") >= 3
    validated = [updates[:i].count("W") for i, event in enumerate(updates) if event == "V"]
    assert validated == list(range(4, 41, 4))
    assert "SV" not in updates  # what the update has made is measured, not what is left of it


def test_a_recovery_validates_as_any_update_does():
    settings = Resets(every_updates=8, recovery_fraction=0.75, until_fraction=0.2)
    log, _ = carry_out(settings, **VALIDATED)
    rest = "B" * 7 + "WBWVB" + "WBWBWBWVB" * 6
    assert letters(log) == "WBWBWBWVBWBWBWBWV" + "S" + "WWWWV" + "WW" + rest


def test_a_reset_does_what_its_settings_say():
    log, _ = carry_out(
        Resets(every_updates=30, full=("actor",), last_layers=("critic",), shrink=0.5, perturb=0.4)
    )
    (surgery,) = (event for event in log if isinstance(event, Surgery))
    assert surgery.operations == (
        Operation(("encoder", "rssm"), 0.5, 0.4),
        Operation(("actor",), 0.0, 1.0),
        Operation(("critic",), 0.0, 1.0, last_layer=True),
    )


@pytest.mark.parametrize("base", [{}, VALIDATED])
@pytest.mark.parametrize("stop", [5, 100, 130, 170, 210])
def test_a_run_that_is_taken_up_resets_at_the_same_points(stop, base):
    settings = Resets(every_updates=8, recovery_fraction=0.5)
    whole, _ = carry_out(settings, **base)
    before, clock = carry_out(settings, stop=stop, **base)
    rest, _ = carry_out(settings, Clock.of(asdict(clock)), **base)
    assert before + rest == whole


def test_a_run_that_is_left_in_the_middle_of_a_recovery_goes_on_with_it():
    settings = Resets(every_updates=4, recovery_fraction=1.0)
    clock = Clock(env_frames=104, updates=5, prefilled=100, episodes=1)
    clock.counters = {"resets": 1, "resets/recovery": 3}
    log, _ = carry_out(settings, clock)
    assert letters(log)[:3] == "WWW"


def test_it_first_acts_when_the_interval_is_full():
    first = Resets(every_updates=8).first_action(config(), BUDGET)
    assert first == 100 + 8 * 16
    log, _ = carry_out(Resets(every_updates=8))
    surgery = next(i for i, event in enumerate(log) if isinstance(event, Surgery))
    assert 4 * sum(isinstance(event, Collect) for event in log[:surgery]) == first
    assert Resets(every_updates=33).first_action(config(), BUDGET) == math.inf
    pretrained = config(pretrain_world_model_updates=20)
    assert Resets(every_updates=8).first_action(pretrained, BUDGET) == 100


def test_nothing_named_is_the_base():
    parts = Parts(config())
    assert Resets.null(config()).install(parts) == parts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"every_updates": 3}, {"every_updates": 3, "every_fraction": 0.5}),
        ({"shrink_and_perturb": ()}, {"shrink_and_perturb": (), "shrink": 0.5, "perturb": 0.9}),
        ({"shrink_and_perturb": ()}, {"shrink": 1.0, "perturb": 0.0}),
        (
            {"shrink_and_perturb": (), "full": ("decoder", "encoder", "heads", "rssm")},
            {"shrink": 0.0, "perturb": 1.0},
        ),
        ({}, {"shrink_and_perturb": ("rssm", "encoder"), "full": ("heads", "decoder")}),
    ],
)
def test_equal_agents_are_described_alike(one, other, live):
    short = {"recovery_fraction": 0.0, "until_fraction": 1.0}
    agents = [assemble(config(), [Resets(**(short | values))]) for values in (one, other)]
    assert agents[0].describe() == agents[1].describe()
    lives = [live(parts, env_frames=64) for parts in agents]  # 4 updates
    assert any(isinstance(event, Surgery) for event in lives[0].events)
    assert lives[0].outcome == lives[1].outcome


def test_other_agents_are_described_otherwise():
    settings = [
        {},
        {"every_updates": 9},
        {"every_fraction": 0.5},
        {"shrink": 0.5},
        {"shrink_and_perturb": ("encoder",)},
        {"shrink_and_perturb": ()},
        {"full": ()},
        {"last_layers": ("actor",)},
        {"until_fraction": 0.5},
        {"recovery_fraction": 0.5},
    ]
    described = [assemble(config(), [Resets(**one)]).describe() for one in settings]
    assert all(one != other for one, other in combinations(described, 2))


def test_what_leaves_everything_as_it_is_is_the_base():
    settings = Resets(shrink=1.0, perturb=0.0, full=(), every_updates=8)
    assert settings.operations == ()
    assert settings.install(Parts(config())) == Parts(config())
    assert settings.first_action(config(), BUDGET) == math.inf
    with pytest.raises(AssemblyError, match="resets changes nothing"):
        assemble(config(), [settings])
    beside = Resets(shrink=1.0, perturb=0.0, full=("heads",), last_layers=("actor",))
    assert beside.operations == (Operation(("heads",)), Operation(("actor",), last_layer=True))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"full": ("rssm", "heads")}, "shrink_and_perturb and full both name rssm"),
        ({"last_layers": ("heads",)}, "full and last_layers both name heads"),
        ({"shrink_and_perturb": (), "last_layers": ("rssm",)}, "has no last layer"),
        ({"full": ("optimiser",)}, "encoder"),
        ({"shrink": 1.5}, "less than or equal to 1"),
        ({"every_fraction": 0.0}, "greater than 0"),
        ({"every_updates": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, reason):
    with pytest.raises(ValidationError, match=reason):
        Resets(**settings)


PROTOCOL = Protocol(
    max_env_frames_per_episode=80, evaluation_episodes=1, final_evaluation_episodes=1
)


def test_in_a_run_it_acts_and_says_so():
    parts = assemble(config(), [Resets(every_updates=3, full=("actor",), recovery_fraction=0.4)])
    budget = Budget(env_frames=240, prefill_frames=80)
    reports = list(train(parts, game="Pong", seed=0, protocol=PROTOCOL, budget=budget))
    told = [
        (report.updates, report.values)
        for report in reports
        if isinstance(report, Metrics) and "resets/number" in report.values
    ]
    assert [updates for updates, _ in told] == [3, 6]
    assert [values["resets/number"] for _, values in told] == [1.0, 2.0]
    assert all(values["resets/parameters_touched"] > 1000 for _, values in told)


def test_states_of_the_old_model_are_dropped(make_agent, filled_replay):
    learner = Learner(make_agent(), filled_replay())
    learner.train_world_model()
    waiting = learner._posteriors
    learner.forget()
    assert waiting is not None
    assert learner._posteriors is None
    learner.train_behaviour()  # from another batch
    assert torch.isfinite(
        torch.tensor([v for r in learner.report(Clock()) for v in r.values.values()])
    ).all()
