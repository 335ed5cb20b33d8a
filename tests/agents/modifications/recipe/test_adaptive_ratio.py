import math
from dataclasses import asdict

import pytest
from pydantic import ValidationError

from agents.assemble import AssemblyError, assemble
from agents.config import Budget, agent_config
from agents.modifications.recipe.adaptive_ratio import AdaptiveRatio
from agents.modifications.recipe.replay_ratio import ReplayRatio
from agents.modifications.resets.resets import Resets
from agents.training.recipe import Clock

BUDGET = Budget(env_frames=388, prefill_frames=100)
LOSSES = [5.0, 4.0, 4.0, 6.0, 7.0, 8.0, 9.0, 10.0]
SETTINGS = {"factor": 2.0, "interval": 32, "lowest": 4.0, "highest": 64.0, "batches": 1}
RATIOS = {0: 16, 64: 8, 96: 4, 128: 8, 160: 16, 192: 32, 224: 64}
UPDATES = 4 + 4 + 8 + 4 + 2 + 1 + 1  # of 64 frames at 16, then of 32 each, the last 64 at 64


def config(**settings):
    values = {"env_frames_per_update": 16, "pretrain_updates": 0, "validate_every": 10_000}
    return agent_config("micro", validation_fraction=0.25, **(values | settings))


def adaptive(base=None, **settings):
    return assemble(base or config(), [AdaptiveRatio(**(SETTINGS | settings))])


def test_scripted_losses_give_the_ratios_of_a_calculation_by_hand(drive):
    driven = drive(adaptive(), BUDGET, LOSSES)
    # 5, then 4 (fell: 16 / 2), 4 (not risen: / 2), then risen four times: x 2 up to the bound
    assert driven.ratios == RATIOS
    assert driven.letters.count("V") == len(LOSSES)
    assert driven.letters.count("W") == driven.letters.count("B") == UPDATES
    assert driven.clock.updates == UPDATES


def test_the_ratio_stays_within_its_bounds(drive):
    falling = drive(adaptive(), BUDGET, [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    assert falling.ratios == {0: 16, 64: 8, 96: 4}
    rising = drive(adaptive(), BUDGET, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    assert rising.ratios == {0: 16, 64: 32, 96: 64}


def test_the_mean_over_the_batches_decides(drive):
    # means 3, then 3.5: risen, although the last batch of the second is the lowest of all
    driven = drive(adaptive(batches=2, highest=32.0), BUDGET, [2.0, 4.0, 6.0, 1.0, 9.0])
    assert driven.ratios[64] == 32


def test_the_world_model_alone_may_be_adapted(drive):
    driven = drive(adaptive(applies_to="world_model"), BUDGET, LOSSES)
    assert driven.ratios == RATIOS
    assert driven.letters.count("W") == UPDATES
    assert driven.letters.count("B") == 288 / 16


def test_together_the_behaviour_changes_in_proportion(drive):
    parts = adaptive(config(behaviour_frames_per_update=32.0), applies_to="both")
    driven = drive(parts, BUDGET, LOSSES)
    assert driven.letters.count("W") == UPDATES
    assert driven.letters.count("B") == UPDATES / 2


def test_it_may_start_elsewhere_than_the_base(drive):
    parts = adaptive(start=8.0)
    assert (parts.config.env_frames_per_update, parts.config.behaviour_ratio) == (8, 8)
    assert drive(parts, BUDGET, LOSSES).ratios[0] == 8
    alone = adaptive(start=8.0, applies_to="world_model")
    assert (alone.config.env_frames_per_update, alone.config.behaviour_ratio) == (8, 16)


def test_an_update_that_has_half_accumulated_is_not_lost(drive):
    # at E = 48 and 64 frames one update and a third have accumulated; at E = 24 the next one
    # wants two thirds of 24 frames more, and the others follow every 24
    parts = adaptive(config(env_frames_per_update=48), lowest=24.0)
    driven = drive(parts, Budget(env_frames=212, prefill_frames=100), [2.0, 1.0, 0.5])
    steps = [4 * driven.letters[:i].count(".") for i, c in enumerate(driven.letters) if c == "W"]
    assert driven.ratios == {0: 48, 64: 24}
    assert steps == [48, 80, 104]


RISING = [float(k) for k in range(125)]


@pytest.mark.parametrize(
    ("losses", "updates"), [(RISING, 4 + 1 + 61), (RISING[::-1], 4 + 4 + 976)]
)
def test_resets_come_at_quarters_of_the_updates_that_are_made(drive, losses, updates):
    # E = 16 for 64 frames, then 32 or 8 for 32, then one of the bounds for the other 3,904
    parts = assemble(config(), [AdaptiveRatio(**SETTINGS), Resets(recovery_fraction=0.0)])
    driven = drive(parts, Budget(env_frames=4_100, prefill_frames=100), losses)
    assert driven.clock.updates == updates
    assert resets_of(driven) == [k * round(updates / 4) for k in (1, 2, 3)]


def resets_of(driven):
    """The updates after which a reset came."""
    letters = driven.letters
    return [letters[:i].count("W") for i, event in enumerate(letters) if event == "S"]


@pytest.mark.parametrize(("every", "resets"), [(40, [40]), (50, [])])
def test_no_reset_comes_in_the_last_fifth_of_the_frames(drive, every, resets):
    # 28 updates in 448 frames, then 48 in 192: of these 76 four fifths are 60, but of the frames
    # 512, by which there are 44
    settings = {"factor": 4.0, "interval": 224, "lowest": 4.0, "batches": 1}
    modifications = [AdaptiveRatio(**settings), Resets(every_updates=every)]
    budget = Budget(env_frames=740, prefill_frames=100)
    driven = drive(assemble(config(), modifications), budget, [2.0, 1.0])
    assert driven.clock.updates == 76
    assert resets_of(driven) == resets


@pytest.mark.parametrize("stop", [30, 60, 77, 100, 130])
def test_a_run_that_is_taken_up_decides_as_if_it_had_gone_on(drive, stop):
    whole = drive(adaptive(batches=2), BUDGET, LOSSES)
    before = drive(adaptive(batches=2), BUDGET, LOSSES, stop=stop)
    clock = Clock.of(asdict(before.clock))
    rest = drive(adaptive(batches=2), BUDGET, LOSSES, clock)
    assert before.events + rest.events == whole.events
    assert asdict(rest.clock) == asdict(whole.clock)


def test_it_needs_validation_episodes_and_a_start_between_its_bounds():
    with pytest.raises(AssemblyError, match="adaptive_ratio needs validation episodes"):
        adaptive(agent_config("micro"))
    with pytest.raises(AssemblyError, match="starts at E = 16, which is not between"):
        adaptive(highest=8.0)
    with pytest.raises(ValidationError, match=r"lowest = 4.0 is above highest = 2.0"):
        AdaptiveRatio(lowest=4.0, highest=2.0)


def test_it_and_a_fixed_ratio_exclude_each_other():
    with pytest.raises(AssemblyError, match="exclude each other"):
        assemble(config(), [ReplayRatio(env_frames_per_update=8), AdaptiveRatio()])


def test_the_first_comparison_is_the_second_measurement(drive):
    assert AdaptiveRatio(**SETTINGS).first_action(config(), BUDGET) == 100 + 64
    # with another start it acts where the first update falls elsewhere
    assert AdaptiveRatio(**SETTINGS, start=8.0).first_action(config(), BUDGET) == 100 + 8
    assert AdaptiveRatio(factor=1.0).first_action(config(), BUDGET) == math.inf


def test_a_ratio_that_nothing_can_change_never_acts():
    late = AdaptiveRatio(start=8.0, interval=BUDGET.env_frames)
    bound = AdaptiveRatio(start=8.0, interval=4, lowest=8.0, highest=8.0)
    for fixed in (late, bound, AdaptiveRatio(start=8.0, factor=1.0)):
        assert fixed.first_action(config(), BUDGET) == math.inf


def test_another_start_makes_no_other_recipe():
    spelled = assemble(config(), [AdaptiveRatio(**SETTINGS, start=16.0)])
    assert spelled.describe() == adaptive().describe()
