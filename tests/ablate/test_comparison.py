import pytest

from ablate import planner
from ablate.assembly import assemble_study
from ablate.comparison import compare
from ablate.study import StudyError


@pytest.fixture
def submitted(parsed, engine):
    planner.submit(assemble_study(parsed()), engine)
    return engine


def test_two_arms_differ_in_their_agents_only(submitted) -> None:
    found = compare(submitted, "mini/base", "mini/base+ratio")
    assert [(d.path, d.left, d.right) for d in found] == [
        ("agent.config.env_frames_per_update", "64", "32")
    ]


def test_two_runs_of_an_arm_differ_in_game_and_seed(submitted) -> None:
    assert [d.path for d in compare(submitted, "1", "2")] == ["game"]
    assert [d.path for d in compare(submitted, "1", "9")] == ["seed"]


def test_a_run_does_not_differ_from_itself(submitted) -> None:
    assert compare(submitted, "1", "1") == ()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("99", "no run 99"),
        ("9" * 23, f"no run {'9' * 23}"),
        ("²", "neither the id of a run nor an arm"),
        ("base", "neither the id of a run nor an arm"),
        ("mini/bse", "no arm 'bse'; nearest: base"),
    ],
)
def test_what_does_not_exist_is_an_error(submitted, word: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        compare(submitted, "1", word)
