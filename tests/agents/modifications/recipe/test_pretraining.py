from dataclasses import asdict

import pytest

from agents.assemble import AssemblyError, assemble
from agents.config import Budget, agent_config
from agents.modifications.recipe.pretraining import Pretraining
from agents.modifications.resets.resets import Resets
from agents.parts import Parts
from agents.training.recipe import Clock

BUDGET = Budget(env_frames=164, prefill_frames=100)
BASE = "....WB" * 4
PATIENT = {"updates": 20, "patience": 2, "validate_every": 2, "batches": 1}


def config(**settings):
    values = {"env_frames_per_update": 16, "pretrain_updates": 0, "validate_every": 10_000}
    return agent_config("micro", **(values | settings))


def pretraining(base=None, **settings):
    return assemble(base or config(), [Pretraining(**settings)])


def validated(**settings):
    return pretraining(config(validation_fraction=0.25), **(PATIENT | settings))


def test_the_base_of_these_tests_does_what_they_say(drive):
    assert drive(Parts(config()), BUDGET).letters == BASE


@pytest.mark.parametrize(
    ("updates", "share", "before"),
    [
        (3, 0.0, "WWW"),
        (3, 1.0, "WBWBWB"),
        (5, 0.5, "WWBWWBW"),
        (4, 0.25, "WWWWB"),
        (2, 0.4, "WW"),
    ],
)
def test_updates_come_before_the_first_step_and_take_none_away(drive, updates, share, before):
    driven = drive(pretraining(updates=updates, behaviour_per_update=share), BUDGET)
    assert driven.letters == before + BASE
    assert driven.clock.env_frames == 164
    assert driven.clock.updates == updates + 4
    assert driven.clock.behaviour_updates == int(updates * share) + 4


def test_every_so_many_of_them_are_validated_as_any_update_is(drive):
    base = config(validation_fraction=0.25, validate_every=2)
    before = "".join(drive(pretraining(base, updates=5), BUDGET, losses=[1.0]).letters)
    assert before.startswith("WWVWWVW.")
    assert before.count("V") == 4  # of 9 updates in all


def test_they_come_before_the_bases_own_pretraining(drive):
    base = config(pretrain_world_model_updates=1, pretrain_updates=1)
    assert drive(pretraining(base, updates=2), BUDGET).letters == "WW" + "WWB" + BASE


@pytest.mark.parametrize(
    ("losses", "before"),
    [
        # best after 4 updates; two validations in a row are no better
        ([5.0, 4.0, 4.5, 4.2], "WWVWWVWWVWWV"),
        # the second that is no better does not follow the first: it goes on
        ([5.0, 5.5, 4.0, 4.5, 4.5], "WWV" * 5),
        # nothing is better than the first
        ([5.0], "WWV" * 3),
        # it gets better all the time: as many as allowed
        ([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0], "WWV" * 10),
    ],
)
def test_scripted_losses_end_it_where_patience_does(drive, losses, before):
    assert drive(validated(), BUDGET, losses).letters == before + BASE


def test_the_mean_over_the_batches_decides(drive):
    # means 4, 3, 3, 3
    losses = [4.0, 4.0, 1.0, 5.0, 2.0, 4.0, 6.0, 0.0]
    assert drive(validated(batches=2), BUDGET, losses).letters == "WWVV" * 4 + BASE


@pytest.mark.parametrize("stop", [26, 27, 28, 29, 31, 33, 36, 37, 45, 52])
def test_a_run_that_is_taken_up_goes_on_as_if_it_had_not_been_left(drive, stop):
    losses, settings = [5.0, 4.0, 4.5, 4.2], {"behaviour_per_update": 0.5}
    whole = drive(validated(**settings), BUDGET, losses)
    before = drive(validated(**settings), BUDGET, losses, stop=stop)
    rest = drive(validated(**settings), BUDGET, losses, Clock.of(asdict(before.clock)))
    assert before.events + rest.events == whole.events
    assert asdict(rest.clock) == asdict(whole.clock)


def test_resets_do_not_count_its_updates(drive):
    resets = Resets(every_updates=2, recovery_fraction=0.0, until_fraction=1.0)
    parts = assemble(config(), [resets, Pretraining(updates=5)])
    assert drive(parts, BUDGET).letters == "WWWWW" + ("....WB" + "....WSB") * 2


def test_without_updates_of_the_behaviour_its_parameters_stay(live, digest):
    prefill = {"env_frames": 12, "prefill_frames": 40}
    base, own = live(Parts(config()), **prefill), live(pretraining(updates=3), **prefill)
    behaviours = [digest(life.agent.state_dict()["behaviour"]) for life in (base, own)]
    models = [digest(life.agent.state_dict()["world_model"]) for life in (base, own)]
    assert behaviours[0] == behaviours[1]
    assert models[0] != models[1]


def test_patience_needs_validation_episodes():
    with pytest.raises(AssemblyError, match="pretraining with patience needs validation"):
        pretraining(patience=2)


def test_how_to_validate_matters_only_with_patience():
    one, other = pretraining(), pretraining(validate_every=7, batches=2)
    assert one.describe() == other.describe()


def test_it_acts_where_the_prefill_ends():
    assert Pretraining().first_action(config(), BUDGET) == 100
