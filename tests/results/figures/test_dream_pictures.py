import numpy as np
import pytest

from results.figures import dream_pictures, style
from results.figures.dream_pictures import MOST_COLUMNS, Columns
from results.figures.dream_sequences import Dreams

STEPS, CONTEXT = 12, 4


def dreams(lowest=0.0, steps=STEPS, context=CONTEXT):
    """One sequence; the truth is as bright as its step, the dream 100 gray levels brighter."""
    bright = np.arange(steps, dtype=np.uint8)[None, :, None, None, None]
    truth = np.broadcast_to(bright, (1, steps, 1, 16, 16)).astype(np.uint8)
    open_loop = truth.copy()
    open_loop[:, context:] += 100
    reward = np.zeros((1, steps))
    reward[0, 1], reward[0, -1] = 0.76, lowest
    return Dreams(
        truth,
        truth,
        open_loop,
        reward,
        np.full((1, steps), 0.1),
        np.full((1, steps), 0.2),
        np.zeros((1, steps), int),
        context,
    )


def figure_of(found):
    with style.house_style():
        return dream_pictures.draw(found, note="the note")


def centre(picture):
    left, right, *_ = picture.get_extent()
    return (left + right) / 2


@pytest.mark.parametrize("steps", [2, 3, 7, 8, 9, 20, 50, 64])
def test_columns_are_few_increasing_and_reach_both_ends_and_the_mark(steps):
    for context in range(1, steps):
        columns = Columns.of(steps, context)
        assert len(columns.steps) == min(MOST_COLUMNS, steps)
        assert list(columns.steps) == sorted(set(columns.steps))
        assert columns.seen[-1] == context - 1
        assert columns.dreamed[0] == context
        assert columns.steps[-1] == steps - 1
        if context > 1:
            assert columns.steps[0] == 0


def test_columns_are_shared_out_as_the_context_shares_the_steps():
    assert Columns.of(50, 5).seen == (0, 4)
    assert len(Columns.of(50, 25).seen) == 4
    assert Columns.of(50, 5).dreamed == (5, 14, 23, 31, 40, 49)


def test_every_step_stands_at_its_picture_or_between_two():
    columns = Columns.of(50, 5)
    places = columns.places(range(50))
    assert (np.diff(places) > 0).all()
    gap = dream_pictures.GAP
    assert places[list(columns.steps)] == pytest.approx([0, 1, *(np.arange(2, 8) + gap)])
    assert places[4] < columns.mark < places[5]
    assert columns.mark - places[4] == pytest.approx(places[5] - columns.mark)


def test_the_mark_stands_between_the_last_frame_seen_and_the_first_dreamed(named):
    figure = figure_of(dreams())
    marks = named(figure, "mark")
    assert len(marks) == 2  # through the pictures and through the rewards
    for mark in marks:
        at = mark.get_xdata()[0]
        sides = [centre(picture) < at for picture in named(figure, "truth")]
        brightness = [int(picture.get_array().flat[0]) for picture in named(figure, "truth")]
        assert [value < CONTEXT for value in brightness] == sides


def test_only_the_open_loop_after_the_mark_is_framed_as_dreamed(named):
    figure = figure_of(dreams())
    (mark, _) = named(figure, "mark")
    frames = named(figure, "dreamed")
    assert len(frames) == len(Columns.of(STEPS, CONTEXT).dreamed)
    for frame in frames:
        assert frame.get_x() > mark.get_xdata()[0]
        assert 1.5 < frame.get_y() + frame.get_height() / 2 < 2.5


def test_a_picture_shows_its_step_on_a_scale_of_0_to_255(named):
    figure = figure_of(dreams())
    steps = Columns.of(STEPS, CONTEXT).steps
    for name, added in (("truth", 0), ("reconstruction", 0), ("open loop", 100)):
        pictures = [
            picture
            for picture in named(figure, name)
            if hasattr(picture, "get_extent")  # the line of the rewards has the same name
        ]
        for step, picture in zip(steps, pictures, strict=True):
            expected = step + (added if step >= CONTEXT else 0)
            assert picture.get_array().flat[0] == expected
            assert picture.get_clim() == (0, 255)


def test_the_error_row_is_the_difference_from_the_open_loop(named, words_of):
    figure = figure_of(dreams())
    values = [float(picture.get_array().mean()) for picture in named(figure, "error")]
    steps = Columns.of(STEPS, CONTEXT).steps
    assert values == [100.0 if step >= CONTEXT else 0.0 for step in steps]
    shown = [text.get_text() for text in named(figure, "mean error")]
    assert shown == ["100.0" if step >= CONTEXT else "0.0" for step in steps]


def test_the_columns_are_labelled_with_agent_steps_from_one(words_of):
    words = words_of(figure_of(dreams()))
    assert "agent step" in words
    for step in Columns.of(STEPS, CONTEXT).steps:
        assert str(step + 1) in words


def test_rewards_of_all_steps_stand_under_their_pictures(named):
    figure = figure_of(dreams())
    (bars,) = named(figure, "paid")
    places = Columns.of(STEPS, CONTEXT).places(range(STEPS))
    tops = [segment[1] for segment in bars.get_segments()]
    assert [top[0] for top in tops] == pytest.approx(places)
    assert tops[1][1] == pytest.approx(0.76)


def test_lines_of_predictions_stop_at_the_mark(named):
    figure = figure_of(dreams())
    lines = [line for line in named(figure, "reconstructed")]
    assert [len(line.get_xdata()) for line in lines] == [CONTEXT, STEPS - CONTEXT]
    (dream,) = [line for line in named(figure, "open loop") if hasattr(line, "get_xdata")]
    assert len(dream.get_xdata()) == STEPS - CONTEXT
    assert set(dream.get_ydata()) == {0.2}


@pytest.mark.parametrize(("lowest", "ticks"), [(0.0, [0, 1]), (-0.76, [-1, 0, 1])])
def test_the_reward_scale_goes_below_zero_only_where_rewards_do(lowest, ticks):
    strip = figure_of(dreams(lowest)).axes[1]
    assert strip.get_yticks().tolist() == ticks
    low, high = strip.get_ylim()
    assert low < lowest
    assert high > 1


def test_a_single_step_on_a_side_is_a_dot(named):
    figure = figure_of(dreams(steps=4, context=3))
    (dream,) = [line for line in named(figure, "open loop") if hasattr(line, "get_xdata")]
    assert dream.get_marker() == "o"
    assert [line.get_marker() for line in named(figure, "reconstructed")] == ["", "o"]


def test_the_page_says_what_every_row_and_colour_is(words_of):
    words = words_of(figure_of(dreams()))
    for text in ("truth", "reconstruction", "open loop", "error", "reward", "the note"):
        assert text in words
    for text in ("sees frames", "dreams without frames", "dreamed picture", "reward paid"):
        assert text in words
