import pytest

from ablate import assembly
from ablate.assembly import assemble_study
from ablate.study import StudyError


def test_the_cells_of_a_design_that_are_no_agents_are_not_defined(six_toggles) -> None:
    file = six_toggles('["base", "pairs_in"]', excludes={"gamma": "kl_scale"})
    assembled = assemble_study(file)
    [one] = assembled.undefined
    assert (one.name, dict(one.toggles)) == (
        "base+gamma+kl_scale",
        {"gamma": "on", "kl_scale": "on"},
    )
    assert one.reason == "set_gamma and set_kl_scale exclude each other"
    assert len(assembled.arms) == 1 + 6 + 14
    assert not any(run.arm == one.name for run in assembled.runs)
    assert assembled.messages[0].startswith("not defined: base+gamma+kl_scale: set_gamma and")


def test_a_quarter_of_a_fraction_is_not_defined_where_a_pair_excludes_each_other(
    six_toggles,
) -> None:
    assembled = assemble_study(six_toggles('["fractional"]', excludes={"gamma": "kl_scale"}))
    assert (len(assembled.arms), len(assembled.undefined)) == (24, 8)
    assert all({"gamma", "kl_scale"} <= one.toggles.keys() for one in assembled.undefined)
    assert " and 5 more: " in assembled.messages[0]


@pytest.mark.parametrize(
    ("designs", "more", "arm"),
    [
        ('["fractional", "full"]', "", "full"),
        ('["pairs_in"]', '[[arms]]\non = ["gamma", "kl_scale"]\n', "base+gamma+kl_scale"),
    ],
)
def test_an_arm_that_the_study_names_must_be_an_agent(six_toggles, designs, more, arm) -> None:
    file = six_toggles(designs, excludes={"gamma": "kl_scale"}, more=more)
    with pytest.raises(StudyError) as error:
        assemble_study(file)
    assert f"arm {arm} cannot be assembled: set_gamma and set_kl_scale exclude" in str(error.value)


def test_a_toggle_that_is_no_agent_alone_is_no_fault_of_the_design(parsed) -> None:
    file = parsed(
        ("pad = 3", 'pad = 0, per = "frame"'),
        ('["base", "full", "leave_one_out", "add_one_in"]', '["base", "factorial"]'),
    )
    with pytest.raises(StudyError, match="cannot be assembled: random_shift changes nothing"):
        assemble_study(file)


def test_a_modification_that_another_keeps_from_acting_is_not_defined_beside_it(
    six_toggles, monkeypatch
) -> None:
    file = six_toggles('["pairs_in"]')
    late = assembly.REGISTRY["set_gamma"]
    monkeypatch.setattr(
        late,
        "first_action",
        lambda self, config, budget: budget.env_frames * (2 if config.kl_scale == 0.5 else 0),
    )
    assembled = assemble_study(file)
    [one] = assembled.undefined
    assert one.name == "base+gamma+kl_scale"
    assert one.reason == "set_gamma never acts within env_frames = 2,000 beside set_kl_scale"
