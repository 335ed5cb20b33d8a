"""Games by name: how they are spelled, what they show, and how they are made."""

import difflib
import re
from collections.abc import Mapping
from functools import cache, partial

from agents.config import Protocol
from agents.observation import ATARI
from agents.training.environments import gymnasium_tasks
from agents.training.environments.atari import ROM_IDS, AtariEnvironments, known_actions
from agents.training.environments.catch import Catch
from agents.training.environments.gymnasium_tasks import GymnasiumEnvironments
from agents.training.environments.interface import Environments, Task

CATCH = "Catch"
GYMNASIUM = "gymnasium:"

GAMES = (*ROM_IDS, CATCH)
"""The games that have a name of their own: Atari's, and Catch."""

DECLARED_RETURNS: Mapping[str, tuple[float, float]] = {
    CATCH: (Catch.random_return, Catch.reference_return)
}
"""Game to its random and reference return, for games without a table of human scores."""


def canonical_game(name: str) -> str:
    """The one name of a game.

    Args:
        name: An Atari game or Catch spelled in any usual way (crazy_climber, ALE/Pong-v5), or
            "gymnasium:" and an id exactly as gymnasium spells it (gymnasium:CartPole-v1), which
            is made once to see whether it can be played.

    Raises:
        ValueError: If there is no such game, with the nearest, or it cannot be played, with what
            can.
    """
    if name.startswith(GYMNASIUM):
        gymnasium_tasks.check_id(name.removeprefix(GYMNASIUM))
        return name
    bare = re.sub(r"^(ALE/|atari_)|(NoFrameskip)?-v\d+$", "", name)
    keys = {_key(game): game for game in GAMES}
    if _key(bare) in keys:
        return keys[_key(bare)]
    nearest = difflib.get_close_matches(_key(bare), keys, n=1, cutoff=0.5)
    hint = f"; did you mean {keys[nearest[0]]}?" if nearest else ""
    raise ValueError(f"there is no game {name!r}{hint}")


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@cache
def task(game: str, protocol: Protocol) -> Task:
    """What a game shows and takes under a protocol, and the returns that it declares.

    Args:
        game: As `canonical_game` spells it; made for a moment if it is not well known.
        protocol: Decides the number of actions of an Atari game.
    """
    if game in ROM_IDS and (actions := known_actions(game, protocol)) is not None:
        return Task(game, ATARI, actions)
    environments = make_environments(game, 1, protocol)
    environments.close()
    random_return, reference_return = DECLARED_RETURNS.get(game, (None, None))
    return Task(
        game, environments.observation, environments.actions, random_return, reference_return
    )


def make_environments(game: str, count: int, protocol: Protocol) -> Environments:
    """Makes N copies of a game.

    Args:
        game: As `canonical_game` spells it.
        count: N.
        protocol: The game's interface; other games than Atari's heed its episode cap alone.
    """
    if game.startswith(GYMNASIUM):
        make = partial(gymnasium_tasks.make, game.removeprefix(GYMNASIUM))
        return GymnasiumEnvironments(make, count, protocol)
    if game == CATCH:
        return GymnasiumEnvironments(Catch, count, protocol)
    return AtariEnvironments(game, count, protocol)
