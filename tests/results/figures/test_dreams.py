import numpy as np
import pytest

from results.figures import draw_dreams, style
from results.figures.dreams import MOST_SEQUENCES
from results.statistics.errors import StatisticsError


def arrays(sequences=2, steps=20, context=5, channels=1, **changed):
    """Black games whose dream is `agent_step` gray levels brighter after the context."""
    shape = (sequences, steps, channels, 16, 16)
    truth = np.zeros(shape, np.uint8)
    brighter = np.where(np.arange(steps) < context, 0, np.arange(steps) + 1)
    open_loop = truth + brighter[:, None, None, None].astype(np.uint8)
    reward = np.tile(np.linspace(0, 0.9, steps, dtype=np.float32), (sequences, 1))
    return {
        "truth": truth,
        "reconstruction": truth + np.uint8(2),
        "open_loop": open_loop,
        "reward": reward,
        "reward_reconstructed": reward + np.float32(0.01),
        "reward_open_loop": reward - np.float32(0.02),
        "action": np.tile(np.arange(steps), (sequences, 1)),
        "context": np.array(context),
    } | changed


def drawn(found):
    return draw_dreams(found, run_id=7, label="base · Pong · seed 0", env_frames=400_000)


def without(name):
    return {key: value for key, value in arrays().items() if key != name}


def test_files_are_named_after_the_run():
    assert drawn(arrays()).name == "run_7_dreams"


def test_the_caption_and_the_foot_name_run_env_frames_and_context(words_of):
    one = drawn(arrays())
    (foot,) = [text for text in words_of(one.figure) if text.startswith("run 7")]
    for words in (one.caption, foot):
        assert "base · Pong · seed 0" in words
        assert "400,000 env frames" in words
        assert "sees 5 frames" in words
        assert "15 steps" in words


def test_the_numbers_hold_every_step_of_the_drawn_sequences():
    numbers = drawn(arrays()).numbers
    assert len(numbers) == 2 * 20
    row = numbers[(numbers["sequence"] == 2) & (numbers["agent_step"] == 10)].iloc[0]
    assert not row["sees_frame"]
    assert row["action"] == 9
    assert row["error_open_loop"] == 10
    assert row["error_reconstructed"] == 2
    assert row["reward_open_loop"] == pytest.approx(row["reward"] - 0.02, abs=1e-6)
    assert numbers["sees_frame"].sum() == 2 * 5


def test_an_error_darker_than_the_truth_counts_as_much_as_one_brighter():
    bright = np.full((1, 20, 1, 16, 16), 200, np.uint8)
    found = arrays(1, truth=bright, reconstruction=bright, open_loop=bright - np.uint8(30))
    assert set(drawn(found).numbers["error_open_loop"]) == {30}


def test_of_many_sequences_the_first_few_are_drawn(words_of):
    one = drawn(arrays(sequences=6))
    assert f"sequence {MOST_SEQUENCES}" in words_of(one.figure)
    assert f"sequence {MOST_SEQUENCES + 1}" not in words_of(one.figure)
    assert set(one.numbers["sequence"]) == set(range(1, MOST_SEQUENCES + 1))
    assert f"{MOST_SEQUENCES} stored sequences" in one.caption


@pytest.mark.parametrize(
    ("steps", "context"), [(50, 5), (20, 5), (15, 1), (4, 3), (2, 1), (8, 6), (9, 8)]
)
def test_no_text_is_cut(steps, context, cut_words_of):
    assert cut_words_of(drawn(arrays(1, steps, context)).figure) == []


def test_a_long_label_is_not_cut(cut_words_of):
    arm = "+".join(["base", *("replay_prioritised", "random_shift", "spectral_norm") * 4])
    one = draw_dreams(arrays(1), run_id=7, label=f"{arm} · Pong · seed 0", env_frames=2_000)
    assert cut_words_of(one.figure) == []


def test_colour_is_drawn_in_colour(named):
    green = np.zeros((1, 4, 3, 16, 16), np.uint8)
    green[:, :, 1] = 255
    found = arrays(1, 4, 2, truth=green, reconstruction=green, open_loop=green)
    (picture, *_) = named(drawn(found).figure, "truth")
    assert picture.get_array()[0, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (without("open_loop"), "lack open_loop"),
        (without("context"), "lack context"),
        (arrays(truth=np.zeros((2, 19, 1, 16, 16), np.uint8)), r"truth \(2, 19, 1, 16, 16\)"),
        (arrays(truth=np.zeros((2, 20, 4), np.uint8)), "do not fit together"),
        (arrays(action=np.zeros((2, 21), int)), r"action \(2, 21\)"),
        (arrays(channels=2), "do not fit together"),
        (arrays(context=np.array(0)), "20 steps cannot begin after 0"),
        (arrays(context=np.array(20)), "20 steps cannot begin after 20"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(found, words):
    with pytest.raises(StatisticsError, match=words):
        drawn(found)


@pytest.mark.parametrize("file_format", ["svg", "pdf", "png"])
def test_the_same_dreams_give_the_same_bytes(file_format):
    first, second = (
        style.render(drawn(arrays(1, 6, 2)).figure, file_format, title="t", description="d")
        for _ in range(2)
    )
    assert first == second
