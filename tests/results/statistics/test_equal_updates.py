import dataclasses

import pytest

from results.statistics.equal_updates import equal_updates
from results.statistics.options import Options

TWO = {"a": ("on",), "ratio": ("on",)}


def data_of(make_study, make_data, updates, **options):
    """Scores that grow to 1 at the end, in four evaluations; updates(arm) of a finished run."""
    study = make_study(TWO, games=("Assault",))
    data = make_data(study, lambda on, g, s: 1.0 + len(on), **options)
    runs = data.runs.assign(updates=[updates(arm) for arm in data.runs["arm"]])
    return dataclasses.replace(data, runs=runs)


def fourfold(arm):
    return 4_000 if "ratio" in arm or arm == "full" else 1_000


def test_an_arm_of_many_updates_is_judged_where_it_had_made_as_many_as_the_fewest(
    make_study, make_data
):
    found = equal_updates(data_of(make_study, make_data, fourfold), Options())
    assert found is not None
    assert found.updates == 1_000
    quarter = 20_000 + 380_000 // 4  # after a prefill of 20,000 of 400,000 frames
    assert found.env_frames == {
        "base": 400_000,
        "full": quarter,
        "base+ratio": quarter,
        "base+a": 400_000,
    }
    means = found.scores.frame.groupby("arm")["score"].mean()
    assert means["base"] == pytest.approx(1.0)
    assert means["base+a"] == pytest.approx(2.0)
    assert means["base+ratio"] == pytest.approx(2.0 / 4)  # the evaluation at 100,000
    assert means["full"] == pytest.approx(3.0 / 4)


def test_an_arm_that_was_not_evaluated_near_there_is_missing(make_study, make_data):
    found = equal_updates(
        data_of(make_study, make_data, lambda arm: 80_000 if arm == "full" else 1_000), Options()
    )
    assert found is not None
    assert found.env_frames["full"] == 24_750  # before the first evaluation, at 100,000
    assert {run.arm for run in found.scores.missing} == {"full"}


def test_arms_with_the_same_updates_need_no_second_version(make_study, make_data):
    data = data_of(make_study, make_data, lambda arm: 1_000 + 5 * (arm == "full"))
    assert equal_updates(data, Options()) is None


def test_it_is_a_version_of_the_end_of_a_study_of_finished_arms(make_study, make_data):
    data = data_of(make_study, make_data, fourfold)
    assert equal_updates(data, Options(at=200_000)) is None
    assert equal_updates(data, Options(at=400_000)) is not None
    gone = [("base+ratio", "Assault", seed) for seed in (0, 1, 2)]
    unfinished = data_of(make_study, make_data, fourfold, missing=gone)
    assert equal_updates(unfinished, Options(partial=True)) is None
    kept = Options(partial=True, arms=("base", "full", "base+a"))
    assert equal_updates(unfinished, kept) is not None
