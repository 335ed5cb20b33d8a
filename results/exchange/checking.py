"""From drafts to records: what cannot be used is refused with its reason, never mended."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Iterable, Sequence

from results.exchange.record import Draft, Record, Refused
from results.statistics.errors import nearest
from results.statistics.normalize import game_key, normalization

LARGEST = 2**63 - 1  # what the database can hold
ATARI = "wang2016"  # the shipped table with the most games: their canonical names
_GAME = re.compile(r"[A-Za-z0-9:_./-]+")
_ABSENT = frozenset({"none", "null", "na", "n/a"})  # written where there is no seed
NAMED_SEEDS = 10**9  # seeds from here on, below ten times that, stand for names


class _Unusable(Exception):
    """Why a draft cannot become a record."""


def check(
    drafts: Iterable[Draft],
    *,
    file: str,
    frames_per_x: int,
    other_games: Collection[str],
    taken: dict[tuple[str, str, int], str],
    seed_names: dict[int, str],
) -> tuple[list[Record], list[Refused]]:
    """Turns the drafts of a file into records, and says which could not be.

    Args:
        drafts: The drafts.
        file: Their file, for messages.
        frames_per_x: Env frames in one unit of x.
        other_games: Names of games, besides Atari's, that are taken as they are.
        taken: Where each method, game and seed came from; those of this file are added.
        seed_names: What seeds are called that are no numbers; those of this file are added.
    """
    records, refused = [], []
    for draft in drafts:
        try:
            record = _record(draft, frames_per_x, other_games, seed_names)
            key = (record.method, record.game, record.seed)
            if key in taken:
                raise _Unusable(
                    f"{record.method} on {record.game}, seed {record.seed}, was there already "
                    f"({taken[key]})"
                )
        except _Unusable as error:
            refused.append(Refused(file, draft.place, str(error)))
        else:
            taken[key] = f"{file}, {draft.place}"
            records.append(record)
    return records, refused


def canonical_game(name: str, other_games: Collection[str] = ()) -> str | None:
    """The one name of a game, however it is written; None where nobody knows it.

    Atari's 57 games are known in any common spelling. A name with a colon
    (`gymnasium:CartPole-v1`) says itself whose game it is, and stays.
    """
    known = normalization(ATARI).references.get(game_key(name))
    if known is not None and name not in other_games:
        return known.game
    if name in other_games or ":" in name:
        return name if _GAME.fullmatch(name) else None
    return None


def seed_of_name(name: str) -> int:
    """The seed that stands for a name: ten digits, from the sha256 of its UTF-8.

    It is the same in every import, whatever else is imported with it.
    """
    digest = hashlib.sha256(name.encode()).digest()
    return NAMED_SEEDS + int.from_bytes(digest[:8]) % (9 * NAMED_SEEDS)


def _record(
    draft: Draft, frames_per_x: int, other_games: Collection[str], seed_names: dict[int, str]
) -> Record:
    """The record of a draft.

    Raises:
        _Unusable: If there is none.
    """
    if draft.problem:
        raise _Unusable(draft.problem)
    method, game, seed = (
        _method(draft.method),
        _known_game(draft.game, other_games),
        _seed(draft.seed, seed_names),
    )
    xs, ys = _numbers(draft.xs, "x"), _numbers(draft.ys, "y")
    if len(xs) != len(ys):
        raise _Unusable(f"it has {len(xs)} xs and {len(ys)} ys")
    if not xs:
        raise _Unusable("it is empty")
    return Record(method, game, seed, _frames(xs, frames_per_x), tuple(ys))


def _method(method: object) -> str:
    if not isinstance(method, str) or not method.strip():
        raise _Unusable("it names no method")
    name = method.strip()
    if not name.isprintable():
        raise _Unusable(f"the method {name!r} holds characters that cannot be printed")
    return name


def _known_game(game: object, other_games: Collection[str]) -> str:
    if not isinstance(game, str) or not game.strip():
        raise _Unusable("it names no game")
    found = canonical_game(game.strip(), other_games)
    if found is None:
        atari = [row.game for row in normalization(ATARI).references.values()]
        meant = nearest(game.strip(), [*atari, *other_games])
        raise _Unusable(f"the game {game!r} is not known; {meant}")
    return found


def _seed(seed: object, seed_names: dict[int, str]) -> int:
    """A whole number as it is, and the number that stands for any other word."""
    if isinstance(seed, str) and _is_name(word := seed.strip()):
        number = seed_of_name(word)
        if seed_names.setdefault(number, word) != word:
            raise _Unusable(f"the seeds {word!r} and {seed_names[number]!r} cannot be told apart")
        return number
    value = _number(seed)
    if not (math.isfinite(value) and value == int(value) and 0 <= value <= 2**53):
        raise _Unusable(f"the seed {seed!r} is no whole number of at least 0")
    return int(value)


def _is_name(word: str) -> bool:
    """Whether a seed is a word: neither a number, nor what is written where there is none."""
    if not word or not word.isprintable() or word.lower() in _ABSENT:
        return False
    return "_" in word or not _reads_as_number(word)


def _reads_as_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _numbers(values: object, axis: str) -> list[float]:
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise _Unusable(f"its {axis}s are no list of numbers")
    numbers = [_number(value) for value in values]
    for index, number in enumerate(numbers):
        if not math.isfinite(number):
            what = "missing" if values[index] is None else f"{values[index]!r}"
            raise _Unusable(f"{axis} number {index + 1} of {len(numbers)} is {what}, no number")
    return numbers


def _number(value: object) -> float:
    """A number, or NaN for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return math.nan
    if isinstance(value, str) and "_" in value:  # Python reads 1_3 as 13; nobody else does
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _frames(xs: Sequence[float], frames_per_x: int) -> tuple[int, ...]:
    """Whole env frames: half a frame is the nearest whole one."""
    frames = tuple(round(x * frames_per_x) for x in xs)
    for index, frame in enumerate(frames):
        if not 0 <= frame <= LARGEST:
            raise _Unusable(f"x number {index + 1} is {xs[index]:g}, which is no place in a run")
        if index and frame <= frames[index - 1]:
            raise _Unusable(
                f"its xs are not sorted: number {index + 1} is {xs[index]:g}, after "
                f"{xs[index - 1]:g}"
            )
    if frames[-1] == 0:
        raise _Unusable("it ends at x = 0")
    return frames
