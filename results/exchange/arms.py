"""What an arm has switched on, from its name or from a file that says it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from results.database.records import ToggleRecord
from results.exchange.errors import ExchangeError
from results.statistics.errors import listed, nearest

On = Mapping[str, str]
"""The toggles that are on, each with its level."""

BASE, FULL, ONLY = "base", "full", "on"


@dataclass(frozen=True)
class ArmFile:
    """What a file says of arms.

    Attributes:
        path: The file, for messages.
        arms: What is on in an arm, by its name.
        in_full: The level of the full agent, of toggles that have several.
    """

    path: str = ""
    arms: Mapping[str, On] = field(default_factory=dict)
    in_full: On = field(default_factory=dict)


@dataclass(frozen=True)
class Switched:
    """The toggles of a study, and what is on in each of its arms."""

    toggles: tuple[ToggleRecord, ...]
    arms: Mapping[str, On]


def read_arms(path: Path) -> ArmFile:
    """Reads a file that maps names of arms to sets of toggles.

        [arms]
        "RR8-Resets" = ["ratio"]                # without resets
        "SAC" = ["ratio", "algorithm:sac"]      # a toggle at a level
        [in_full]                               # where a toggle has several levels
        algorithm = "sac"

    Raises:
        ExchangeError: If the file cannot be read so.
    """
    try:
        contents = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExchangeError(f"{path} cannot be read as TOML: {error}.") from error
    arms, in_full = contents.pop("arms", None), contents.pop("in_full", {})
    if contents or not isinstance(arms, dict) or not isinstance(in_full, dict):
        raise ExchangeError(
            f'{path} must hold a table [arms] with lines such as "RR8-Resets" = ["ratio"], and '
            "may hold a table [in_full]; nothing else is read."
        )
    for name, on in arms.items():
        if not isinstance(on, list) or not all(isinstance(word, str) and word for word in on):
            raise ExchangeError(
                f'{path}: the arm {name!r} needs a list of toggles, such as ["ratio"] or [].'
            )
    for toggle, level in in_full.items():
        if not isinstance(level, str):
            raise ExchangeError(f"{path}: in_full.{toggle} needs the name of a level.")
    return ArmFile(
        str(path), {name: _switched(on, f"{path}: {name}") for name, on in arms.items()}, in_full
    )


def switched(names: Sequence[str], file: ArmFile | None = None) -> Switched:
    """What is on in each arm.

    `base+a+b` has the toggles a and b; `base` has none, `full` has all that the others name and
    `full-a` all but a. A file comes before that. Where no name says anything, no arm has toggles.

    Raises:
        ExchangeError: If only some of the arms say what is on, two say the same, a name in the
            file is no arm's, or the full agent's level is not known.
    """
    file = file if file is not None else ArmFile()
    for name in file.arms:
        if name not in names:
            raise ExchangeError(
                f"{file.path} names the arm {name!r}, which the imported files do not hold: "
                f"{nearest(name, names)}"
            )
    own = {name: file.arms[name] if name in file.arms else _spelled(name) for name in names}
    toggles = _toggles([on for on in own.values() if on], file)
    if not toggles:
        return Switched((), {name: {} for name in names})
    full = {toggle.name: toggle.in_full for toggle in toggles}
    arms = {name: on if on is not None else _of_full(name, full) for name, on in own.items()}
    _refuse_unclear(arms)
    return Switched(toggles, {name: on for name, on in arms.items() if on is not None})


def _spelled(name: str) -> On | None:
    """What `base` and `base+a+b` have on; None of any other name."""
    head, *rest = name.split("+")
    if head.strip() != BASE or not all(word.strip() for word in rest):
        return None
    return _switched([word.strip() for word in rest], name)


def _switched(words: Sequence[str], where: str) -> On:
    """Toggles with their levels, from `toggle` or `toggle:level`."""
    on: dict[str, str] = {}
    for word in words:
        toggle, _, level = word.partition(":")
        if toggle in on:
            raise ExchangeError(f"{where} has the toggle {toggle!r} twice.")
        on[toggle] = level or ONLY
    return on


def _of_full(name: str, full: On) -> On | None:
    """What `full` and `full-a` have on; None of any other name."""
    if name == FULL:
        return full
    without = name.removeprefix(f"{FULL}-")
    if without != name and without in full:
        return {toggle: level for toggle, level in full.items() if toggle != without}
    return None


def _toggles(sets: Sequence[On], file: ArmFile) -> tuple[ToggleRecord, ...]:
    levels: dict[str, dict[str, None]] = {}
    for on in sets:
        for toggle, level in on.items():
            levels.setdefault(toggle, {})[level] = None
    for toggle, level in file.in_full.items():
        if level not in levels.get(toggle, {}):
            raise ExchangeError(
                f"{file.path}: in_full says {toggle} = {level!r}, which no arm has on."
            )
    several = [name for name, own in levels.items() if len(own) > 1 and name not in file.in_full]
    if several:
        name = several[0]
        raise ExchangeError(
            f"The toggle {name!r} has the levels {', '.join(levels[name])}, and nothing says "
            "which the full agent has. Say it in the file of --arms: [in_full] and "
            f'{name} = "LEVEL".'
        )
    return tuple(
        ToggleRecord(name, tuple(own), file.in_full.get(name, next(iter(own))))
        for name, own in levels.items()
    )


def _refuse_unclear(arms: Mapping[str, On | None]) -> None:
    """Makes sure that every arm says what is on, and no two say the same.

    Raises:
        ExchangeError: If that is not so.
    """
    unclear = [name for name, on in arms.items() if on is None]
    if unclear:
        raise ExchangeError(
            f"Some arms have toggles, but the names {listed(unclear)} do not say which they have "
            "on, and they must not be taken for the base. Say it in a file for --arms: [arms] and "
            f'"{unclear[0]}" = ["TOGGLE"]; or import them as a study of their own.'
        )
    seen: dict[frozenset[tuple[str, str]], str] = {}
    for name, on in arms.items():
        key = frozenset((on or {}).items())
        if key in seen:
            raise ExchangeError(
                f"The arms {seen[key]} and {name} have the same toggles on, so that effects could "
                "not be told. Tell them apart in the file of --arms, or import one of them alone."
            )
        seen[key] = name
