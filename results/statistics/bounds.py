"""The lowest and highest return of games that have them, and the scores near the highest.

Only games whose rules end the score are listed: Pong is played to 21 points, Boxing is a knock-out
at 100, and one ball of Catch is caught or lost. Most Atari games have no highest return.
"""

from collections.abc import Mapping, Sequence

from results.statistics.normalize import Normalization, game_key

RETURN_BOUNDS: Mapping[str, tuple[float, float]] = {
    "pong": (-21.0, 21.0),
    "boxing": (-100.0, 100.0),
    "catch": (-1.0, 1.0),
}
NEAR = 0.05  # of the range: a cell is at the ceiling where its mean is no further from the top


def return_bounds(game: str) -> tuple[float, float] | None:
    """The lowest and the highest return of a game, or None where it does not have both."""
    return RETURN_BOUNDS.get(game_key(game))


def ceilings(table: Normalization, games: Sequence[str]) -> dict[str, float]:
    """The score at and above which a cell stands at the ceiling, for the games that have one."""
    found = {}
    for game in games:
        bounds = return_bounds(game)
        if bounds is not None and game in table:
            low, high = bounds
            found[game] = table.score(game, high - NEAR * (high - low))
    return found
