"""What the world model of one run sees, and what it dreams when it sees no more."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from results.figures import dream_pictures, style
from results.figures.drawn import Drawn
from results.figures.dream_sequences import Dreams
from results.statistics.errors import counted

MOST_SEQUENCES: Final = 3  # more do not fit on a page
LINE_LETTERS: Final = 120  # of the foot note


def draw_dreams(
    arrays: Mapping[str, NDArray[Any]], *, run_id: int, label: str, env_frames: int
) -> Drawn:
    """Draws the first few stored sequences of a run.

    Args:
        arrays: The attributes of `Dreams` by name, as `reading.dreams` gives them.
        run_id: The run.
        label: Its arm, game and seed.
        env_frames: How far the run was when it dreamed.

    Raises:
        StatisticsError: if the arrays do not belong together.
    """
    dreams = Dreams.of(arrays, most=MOST_SEQUENCES)
    seen = counted(dreams.context, "frame")
    dreamed = counted(dreams.steps - dreams.context, "step")
    trained = f"after {env_frames:,} env frames of training"
    whose = style.broken(f"run {run_id}: {label}", LINE_LETTERS)
    note = f"{whose}\n{trained} · sees {seen}, then dreams {dreamed}"
    with style.house_style():
        figure = dream_pictures.draw(dreams, note=note)
    caption = (
        f"What the world model of run {run_id} ({label}) makes of "
        f"{counted(dreams.sequences, 'stored sequence')} {trained}. Reconstruction: decoded from "
        f"states that see every frame. Open loop: the model sees {seen}, up to the mark, and "
        f"dreams the other {dreamed} from the actions alone (one sample). Error: absolute "
        "difference of truth and open loop per pixel, white 0 to black 255 gray levels; the "
        "number is its mean. Below: the reward of every step as tanh, paid and predicted. The "
        "numbers over the pictures count agent steps; time runs evenly on either side of the mark."
    )
    return Drawn(f"run_{run_id}_dreams", "Dreams", caption, figure, dreams_frame(dreams))


def dreams_frame(dreams: Dreams) -> pd.DataFrame:
    """Returns one row per sequence and agent step, counted from 1.

    Returns:
        sequence, agent_step, sees_frame, action, the three rewards (tanh), error_reconstructed
        and error_open_loop (means over the pixels, gray levels).
    """
    sequence, agent_step = np.indices(dreams.reward.shape)
    columns = {
        "sequence": sequence + 1,
        "agent_step": agent_step + 1,
        "sees_frame": agent_step < dreams.context,
        "action": dreams.action,
        "reward": dreams.reward,
        "reward_reconstructed": dreams.reward_reconstructed,
        "reward_open_loop": dreams.reward_open_loop,
        "error_reconstructed": dreams.error(dreams.reconstruction).mean(axis=(2, 3)),
        "error_open_loop": dreams.error(dreams.open_loop).mean(axis=(2, 3)),
    }
    return pd.DataFrame({name: values.ravel() for name, values in columns.items()})
