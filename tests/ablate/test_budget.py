import pytest

from ablate.budget import resolve_budget
from ablate.resolution import resolve
from ablate.study import StudyError
from agents.config import Budget, agent_config, scaled_budget

SCALED = (("= 2_000", '= "scaled"'), ("= 400", '= "scaled"'))


def test_a_written_budget_is_taken_as_it_is(parsed) -> None:
    budget, messages = resolve_budget(parsed(), agent_config("micro"))
    assert budget == Budget(env_frames=2000, prefill_frames=400)
    assert messages == ()


def test_a_scaled_budget_follows_from_the_base_agent(parsed) -> None:
    found = resolve(parsed(*SCALED))
    assert found.budget == scaled_budget(64.0)
    assert found.messages == (
        "env_frames = 6,400,000, scaled with env_frames_per_update = 64",
        "prefill_frames = 192,000, scaled with env_frames_per_update = 64",
    )


def test_one_half_of_a_budget_may_be_scaled(parsed) -> None:
    assert resolve(parsed(SCALED[0])).budget == Budget(env_frames=6_400_000, prefill_frames=400)
    other = resolve(parsed(SCALED[1], ("= 2_000", "= 200_000")))
    assert other.budget == Budget(env_frames=200_000, prefill_frames=192_000)
    assert other.messages == ("prefill_frames = 192,000, scaled with env_frames_per_update = 64",)


def test_a_scaled_prefill_must_leave_something_to_train_in(parsed) -> None:
    with pytest.raises(StudyError, match=r"mini.toml: `prefill_frames` is 192000, which leaves"):
        resolve(parsed(SCALED[1]))


@pytest.mark.parametrize("ratio", ["inf", "1e13"])
def test_a_ratio_without_end_scales_no_budget(parsed, ratio: str) -> None:
    with pytest.raises(StudyError, match=r"mini.toml: `env_frames` cannot be scaled with"):
        resolve(parsed(*SCALED, ("= 64", f"= {ratio}")))
