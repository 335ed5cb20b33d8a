"""Of a study with too many arms for a figure the telling ones are shown, and it says so."""

import pytest

from results import figures
from results.figures.many_arms import IN_LINES, IN_ROWS, standing_for_all
from results.statistics.options import Options

SINGLES = ["base+a", "base+b", "base+c", "base+d", "base+e"]
WITHOUT = ["full-a", "full-b", "full-c", "full-d", "full-e"]


@pytest.fixture
def crossed(make_study):
    return make_study(dict.fromkeys("abcde", ("on",)), designs=("factorial",), games=("Pong",),
                      seeds=(0, 1))  # fmt: skip


def test_of_a_factorial_what_is_one_toggle_from_either_end_is_shown(crossed):
    for kind in IN_LINES:
        shown, words = standing_for_all(crossed, kind)
        assert list(shown) == ["base", *SINGLES, "full"]
        assert words.startswith("Of 32 arms 7 are shown: the base, each toggle alone and the full")
    for kind in IN_ROWS:
        assert list(standing_for_all(crossed, kind)[0]) == ["base", *SINGLES, "full", *WITHOUT]


def test_contrasts_and_small_studies_show_everything(crossed, make_study):
    assert standing_for_all(crossed, "combinations") == ((), "")
    assert standing_for_all(make_study(), "curves") == ((), "")


def test_without_a_base_everything_is_shown(make_study):
    study = make_study(dict.fromkeys("abcdefg", ("on",)), designs=("fractional",))
    assert len(study.arms) == 64
    base = [arm for arm in study.arms if not arm.toggles]
    assert (standing_for_all(study, "aggregates")[0] == ()) == (not base)


def test_the_caption_says_what_is_left_out_unless_arms_are_asked_for(crossed, make_data):
    data = make_data(crossed, lambda on, game, seed: len(on) + 0.1 * seed)
    drawn = figures.draw("improvement", data, Options(resamples=20))
    assert "Of 32 arms 12 are shown" in drawn.caption
    assert set(drawn.numbers["arm"]) == {*SINGLES, "full", *WITHOUT}
    asked = figures.draw("improvement", data, Options(resamples=20, arms=("base", "base+a+b")))
    assert "are shown" not in asked.caption
    assert set(asked.numbers["arm"]) == {"base+a+b"}
