"""Which arms and games are compared: what was asked for, spelled as the study spells it."""

from collections.abc import Mapping

from results.statistics.errors import StatisticsError, UnknownName, listed, nearest
from results.statistics.game_sets import SETS
from results.statistics.normalize import game_key


def chosen_arms(chosen: tuple[str, ...] | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """The arms that are asked for; all of them where none is.

    Raises:
        UnknownName: if the study has no such arm.
        StatisticsError: if one is named twice.
    """
    if chosen is None:
        return known
    arms = _words(chosen, known)
    for arm in arms:
        if arm not in known:
            raise UnknownName(f"The study has no arm {arm!r}: {nearest(arm, known)}")
    if len(set(arms)) < len(arms):
        raise StatisticsError(f"An arm is named twice among {listed(chosen)}: name it once.")
    return arms


def chosen_games(
    chosen: tuple[str, ...] | None, known: tuple[str, ...], *, partial: bool = False
) -> tuple[str, ...]:
    """The games that are asked for, spelled as the study spells them; all where none is.

    Args:
        chosen: Games, several with commas between them, or names of SETS.
        known: The games of the study.
        partial: Of a set, takes the games that the study has; False asks for all.

    Raises:
        UnknownName: if the study has no such game.
        StatisticsError: if one is named twice, or the study lacks games of a set.
    """
    if chosen is None:
        return known
    spelled = {game_key(game): game for game in known}
    games: list[str] = []
    for word in _words(chosen, known):
        if word in SETS:
            games += _of_set(word, spelled, partial=partial)
            continue
        found = word if word in known else spelled.get(game_key(word))
        if found is None:
            raise UnknownName(f"The study has no game {word!r}: {nearest(word, (*known, *SETS))}")
        games.append(found)
    if len(set(games)) < len(games):
        raise StatisticsError(f"A game is named twice among {listed(chosen)}: name it once.")
    return tuple(games)


def _of_set(name: str, spelled: Mapping[str, str], *, partial: bool) -> list[str]:
    """The games of a set as the study spells them, in the order of the set."""
    wanted = SETS[name]
    found = [spelled[game_key(game)] for game in wanted if game_key(game) in spelled]
    if not found or (len(found) < len(wanted) and not partial):
        lacking = [game for game in wanted if game_key(game) not in spelled]
        rest = f" --partial takes the {len(found)} that are there." if found else ""
        raise StatisticsError(
            f"The study has {len(found)} of the {len(wanted)} games of {name}. It lacks "
            f"{listed(lacking)}.{rest}"
        )
    return found


def _words(chosen: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """What is named: a word that is no name itself is taken apart at its commas."""
    return tuple(
        part.strip()
        for word in chosen
        for part in ((word,) if word in known else word.split(","))
        if part.strip()
    )
