import pytest

from ablate.catalogue import described, find_modification
from ablate.study import StudyError
from agents.modifications import REGISTRY


def test_every_modification_is_described_in_installation_order() -> None:
    assert [one.name for one in described()] == list(REGISTRY)
    assert all(one.summary and one.paper and one.family and one.seam for one in described())


def test_settings_have_a_type_and_a_default() -> None:
    settings = {one.name: one for one in find_modification("random_shift").settings}
    assert (settings["pad"].kind, settings["pad"].default) == ("int", "3")
    ratio = find_modification("replay_ratio").settings[0]
    assert (ratio.name, ratio.kind, ratio.default) == (
        "env_frames_per_update",
        "float",
        "required",
    )


def test_what_needs_images_is_told() -> None:
    assert find_modification("random_shift").requires_image
    assert not find_modification("replay_ratio").requires_image


def test_an_unknown_modification_names_the_nearest() -> None:
    with pytest.raises(StudyError, match="nearest: random_shift"):
        find_modification("randomshift")
