"""Catch by its rules, and its declared returns by counting."""

from fractions import Fraction

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from agents.training.environments.catch import COLUMNS, ROWS, Catch

LEFT, STAY, RIGHT = 0, 1, 2


def cells(image):
    """Lit cells (row, column), read from the pixels of a board of 3x6 pixels a cell."""
    board = image[1:31, 1:31, 0].reshape(ROWS, 3, COLUMNS, 6)
    assert (board == board[:, :1, :, :1]).all()
    return {(int(row), int(column)) for row, column in np.argwhere(board[:, 0, :, 0])}


def begin(game, ball):
    """Resets until the ball is in the given column; returns the first image."""
    for seed in range(100):
        image, _ = game.reset(seed=seed)
        if (0, ball) in cells(image):
            return image
    raise AssertionError(f"no ball falls in column {ball}")


def play(game, actions):
    """The image, reward and end of every step."""
    return [(image, reward, over) for image, reward, over, _, _ in map(game.step, actions)]


def test_gymnasium_finds_nothing_wrong_with_it():
    check_env(Catch(), skip_render_check=True)


def test_the_board_is_two_lit_cells_in_a_dark_margin():
    image, _ = Catch().reset(seed=0)
    assert image.shape == (32, 32, 1)
    assert set(np.unique(image)) == {0, 255}
    assert not image[[0, -1]].any()
    assert not image[:, [0, -1]].any()
    (top, _), (bottom, column) = sorted(cells(image))
    assert (top, bottom, column) == (0, ROWS - 1, COLUMNS // 2)


def test_the_ball_falls_a_row_a_step_and_the_game_ends_when_it_is_down():
    game = Catch()
    begin(game, 0)
    steps = play(game, [STAY] * 9)
    for t, (image, reward, over) in enumerate(steps, 1):
        assert cells(image) == {(t, 0), (ROWS - 1, 2)}
        assert over == (t == ROWS - 1)
        assert reward == (-1.0 if over else 0.0)


def test_the_paddle_moves_as_told_within_the_board():
    game = Catch()
    begin(game, 4)
    told = [LEFT, LEFT, LEFT, STAY, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT]
    columns = []
    for image, _, _ in play(game, told):
        columns += [column for row, column in cells(image) if row == ROWS - 1]
    assert columns == [1, 0, 0, 0, 1, 2, 3, 4, 4]  # the last image shows ball and paddle in one


@pytest.mark.parametrize("ball", range(COLUMNS))
def test_a_paddle_below_the_ball_earns_the_reference_return(ball):
    game = Catch()
    begin(game, ball)
    moves = [LEFT if ball < 2 else RIGHT] * abs(ball - 2)
    steps = play(game, moves + [STAY] * (9 - len(moves)))
    assert [reward for _, reward, _ in steps] == [0.0] * 8 + [Catch.reference_return]


def test_the_random_return_is_that_of_all_games_counted():
    # the paddle's column after nine moves, each of them equally likely, from the middle
    chances = {2: Fraction(1)}
    for _ in range(ROWS - 1):
        moved = dict.fromkeys(range(COLUMNS), Fraction(0))
        for column, chance in chances.items():
            for move in (-1, 0, 1):
                moved[min(max(column + move, 0), COLUMNS - 1)] += chance / 3
        chances = moved
    caught = sum(chances.values()) / COLUMNS  # every ball column is equally likely
    assert float(2 * caught - 1) == Catch.random_return


def test_random_play_earns_the_random_return():
    game, rng = Catch(), np.random.default_rng(0)
    game.reset(seed=0)
    returns = []
    for _ in range(3000):
        game.reset()
        returns.append(sum(reward for _, reward, _ in play(game, rng.integers(3, size=9))))
    # the standard error is .8 / sqrt(3000) = .015
    assert np.mean(returns) == pytest.approx(Catch.random_return, abs=0.05)


def test_the_seed_alone_decides_the_column_and_all_columns_come():
    game = Catch()
    columns = [min(cells(game.reset(seed=seed)[0]))[1] for seed in range(100)]
    again = [min(cells(Catch().reset(seed=seed)[0]))[1] for seed in range(100)]
    assert columns == again
    assert set(columns) == set(range(COLUMNS))
