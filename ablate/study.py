"""Study: the typed, frozen contents of a study file, and reading one.

What can be said about a file without knowing the agent is checked here; whether its games,
modifications and settings exist is checked in `resolution`.
"""

import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ablate.runspec import sha256
from results.database.records import ToggleRecord
from results.statistics.designs import Design, design_problem

ON = "on"
"""The level of a toggle that is only switched on or off."""

MOST_SEEDS = 10_000

LARGEST_NUMBER = 2**63 - 1
"""The largest whole number of TOML, and the largest that the database can hold."""

LONGEST_NAME = 40
"""Characters of a study, a toggle or a level; figures have room for no more."""

FRAMES_PER_AGENT_STEP = 4  # a study is read without the agent, which has the same constant

SCALED = "scaled"
"""The word for a budget that follows from the base agent's env_frames_per_update."""

RESERVED_NAMES: Mapping[str, str] = {"dreams": "`ablate plot dreams RUN`"}
"""Names that no study can have, and the command that uses the word."""


class StudyError(Exception):
    """A study that cannot be read or run; one paragraph with file, key and remedy."""


class Table(BaseModel):
    """A table of a study file: frozen, closed, and strict about types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _seed_list(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MOST_SEEDS:
            raise ValueError(f"wants a number of seeds from 1 to {MOST_SEEDS}, or a list of seeds")
        return list(range(value))
    if not isinstance(value, list | tuple):
        raise ValueError(f"wants a number of seeds or a list of seeds, not {value!r}")
    return value


def _protocol_table(value: object) -> object:
    if isinstance(value, str):
        return {"base": value}
    if not isinstance(value, dict):
        raise ValueError(f"wants the name of a protocol or a table, not {value!r}")
    return value


def _frames_or_scaled(value: object) -> object:
    if isinstance(value, str) and value != SCALED:
        raise ValueError(f'wants a valid integer or "{SCALED}", not {value!r}')
    return value


def _toggle_table(value: object) -> object:
    """Gives every toggle levels: a plain bundle has one."""
    if not isinstance(value, dict):
        raise ValueError(f"wants a table of modifications, not {value!r}")
    if "levels" not in value:
        return {"levels": {ON: value}, "in_full": ON}
    levels = value["levels"]
    if "in_full" in value or not isinstance(levels, dict) or len(levels) != 1:
        return value
    return {**value, "in_full": next(iter(levels))}


Frames = Annotated[int, Field(multiple_of=FRAMES_PER_AGENT_STEP)]

Bundle = Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
"""Modification to settings."""


class Toggle(Table):
    """What a study switches: levels, each a bundle of modifications, and the one in `full`."""

    levels: dict[str, Bundle] = Field(min_length=1)
    in_full: str


class CustomArm(Table):
    """An arm that a study names itself: toggles that are on, as `name` or `name:level`."""

    on: Annotated[tuple[str, ...], Field(strict=False)]


class Study(Table):
    """The contents of a study file; a budget that is "scaled" is resolved with the agent."""

    name: str
    question: str = Field(min_length=1)
    designs: Annotated[tuple[Design, ...], Field(strict=False)]
    games: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        Field(strict=False, min_length=1),
        BeforeValidator(_seed_list),
    ]
    env_frames: Annotated[
        Annotated[Frames, Field(gt=0)] | Literal["scaled"], BeforeValidator(_frames_or_scaled)
    ]
    prefill_frames: Annotated[
        Annotated[Frames, Field(ge=0)] | Literal["scaled"], BeforeValidator(_frames_or_scaled)
    ]
    protocol: Annotated[dict[str, Any], BeforeValidator(_protocol_table)] = {"base": "atari100k"}
    precision: Literal["fp32", "bf16"] = "fp32"
    agent: dict[str, Any] = {}
    toggles: dict[str, Annotated[Toggle, BeforeValidator(_toggle_table)]] = {}
    arms: Annotated[tuple[CustomArm, ...], Field(strict=False)] = ()

    @property
    def toggle_records(self) -> tuple[ToggleRecord, ...]:
        """The toggles as the record keeps them."""
        return tuple(
            ToggleRecord(name=name, levels=tuple(toggle.levels), in_full=toggle.in_full)
            for name, toggle in self.toggles.items()
        )

    @property
    def contents_sha256(self) -> str:
        """Of the parsed contents: comments and layout do not count, the toggles' order does."""
        contents = self.model_dump()
        if not self.arms:
            del contents["arms"]  # as before a study could name arms
        if self.precision == "fp32":
            del contents["precision"]  # as before it could name another
        contents["toggles"] = list(contents["toggles"].items())
        return sha256(contents)


@dataclass(frozen=True)
class StudyFile:
    """A study, the text it was read from, and the path that messages name."""

    path: str
    source: str
    study: Study

    def error(self, key: str, problem: str) -> StudyError:
        """An error about one key of this file."""
        return _error(self.path, key, problem)


def read_study(path: Path, *, shown_as: str | None = None) -> StudyFile:
    """Reads a study file and checks its form.

    Args:
        path: The file.
        shown_as: What messages call it, if not by its path.

    Raises:
        StudyError: If the file cannot be read, is not TOML, or has an unknown key, a wrong type,
            an empty list, something twice, or a name that is not the file's.
    """
    name = shown_as or str(path)
    try:
        source = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{name}: the study file cannot be read: {error}") from error
    return parse_study(source, path=name, stem=path.stem)


def parse_study(source: str, *, path: str, stem: str) -> StudyFile:
    """Parses the text of a study file.

    Args:
        source: TOML.
        path: What messages call the file.
        stem: The file's name without `.toml`, which the study must bear.

    Raises:
        StudyError: As `read_study`.
    """
    try:
        raw = tomllib.loads(source)
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise StudyError(f"{path}: this is not TOML: {error}.") from error
    _refuse_no_numbers(path, raw)
    try:
        study = Study.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        raise StudyError(f"{path}: {explain(error, raw)}") from error
    _check_names(path, stem, study)
    _check_repetitions(path, study)
    _check_sizes(path, study)
    _check_arms(path, study)
    return StudyFile(path, source, study)


def nearest(word: str, choices: Iterable[str]) -> str:
    """A remedy for an unknown word: the nearest choice, or all of them when none is near."""
    known = list(choices)
    spelled = {choice.lower(): choice for choice in known}
    near = get_close_matches(word.lower(), spelled, n=1, cutoff=0.5)
    if near:
        return f"nearest: {spelled[near[0]]}"
    return f"choices: {', '.join(known)}"


def toggle_and_level(word: str, toggles: Mapping[str, Toggle]) -> tuple[str, str] | None:
    """What a word such as `augmentation` or `algorithm:ppo` switches on, or None if nothing.

    A toggle with several levels wants its level named; with one, it may be.
    """
    name, colon, level = word.partition(":")
    if name not in toggles:
        return None
    levels = toggles[name].levels
    if not colon:
        return (name, next(iter(levels))) if len(levels) == 1 else None
    return (name, level) if level in levels else None


def explain(
    error: ValidationError, raw: Mapping[str, Any], *, inside: str = "", keys: Iterable[str] = ()
) -> str:
    """One sentence on the first thing that a validation refused; unknown keys come first.

    Args:
        error: What pydantic says.
        raw: The table that was validated.
        inside: The key of that table in the file.
        keys: Keys that the table may have, if it is not a study.
    """
    details = error.errors(include_url=False)
    first = min(details, key=lambda detail: detail["type"] != "extra_forbidden")
    location = list(first["loc"])
    if location[:1] == ["toggles"] and location[2:4] == ["levels", ON]:
        toggle = raw.get("toggles", {}).get(location[1], {})
        if isinstance(toggle, dict) and "levels" not in toggle:
            del location[2:4]
    if location[:1] in (["env_frames"], ["prefill_frames"]):
        del location[1:]  # which of the kinds that it may be
    key = _key(inside, location)
    value = first.get("input")
    match first["type"]:
        case "extra_forbidden":
            inner = CustomArm if location[0] == "arms" else Toggle
            known = keys or (Study if len(location) == 1 else inner).model_fields
            return f"unknown key `{key}`; {nearest(str(location[-1]), known)}."
        case "missing":
            if location[-1] == "in_full":
                levels = ", ".join(raw["toggles"][location[1]]["levels"])
                return f"`{key}` is missing: which of the levels ({levels}) is in the full agent?"
            return f"`{key}` is missing."
        case "literal_error":
            expected = re.findall(r"'([^']*)'", first["msg"])
            return f"unknown value {value!r} in `{key}`; {nearest(str(value), expected)}."
        case "too_short" | "string_too_short":
            return f"`{key}` is empty."
        case "dict_type" | "model_type":
            return f"`{key}` wants a table, not {value!r}."
        case "tuple_type":
            return f"`{key}` wants a list, not {value!r}."
        case "value_error":
            return f"`{key}` {first['ctx']['error']}."
    message = first["msg"].removeprefix("Input ")
    return f"`{key}` {message}, not {value!r}."


def check_budget(path: str, env_frames: int, prefill_frames: int) -> None:
    """Refuses a prefill that leaves nothing of the budget.

    Args:
        path: What messages call the file.
        env_frames: Of every run.
        prefill_frames: Of them, with random actions.

    Raises:
        StudyError: If no frame is left to train in.
    """
    if prefill_frames >= env_frames:
        problem = f"is {prefill_frames}, which leaves nothing of env_frames = {env_frames}"
        raise _error(path, "prefill_frames", f"{problem} to train in.")


def _key(inside: str, location: Iterable[str | int]) -> str:
    key = inside
    for part in location:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
    return key


def _error(path: str, key: str, problem: str) -> StudyError:
    return StudyError(f"{path}: `{key}` {problem}")


def _refuse_no_numbers(path: str, table: Mapping[str, Any]) -> None:
    for key, value in _scalars(table):
        if isinstance(value, float) and math.isnan(value):
            raise _error(path, key, "is nan, which is not a number.")
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise _error(path, key, f"is beyond {LARGEST_NUMBER}, the largest number there is.")


def _scalars(value: Any, key: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _scalars(item, _key(key, [name]))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _scalars(item, _key(key, [index]))
    else:
        yield key, value


def _check_names(path: str, stem: str, study: Study) -> None:
    if study.name != stem:
        remedy = f'write name = "{stem}", or rename the file to {study.name}.toml.'
        raise _error(path, "name", f"is {study.name!r}, but the file is {stem}.toml: {remedy}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", study.name):
        raise _error(path, "name", f"is {study.name!r}; letters, digits, _ and - are allowed.")
    _check_length(path, "name", study.name)
    if study.name in RESERVED_NAMES:
        problem = f"is {study.name!r}, a word that {RESERVED_NAMES[study.name]} needs;"
        raise _error(path, "name", f"{problem} give the study and its file another name.")
    for name, toggle in study.toggles.items():
        for word in (name, *toggle.levels):
            if not re.fullmatch(r"[A-Za-z0-9_]+", word):
                problem = f"has the name {word!r}; letters, digits and _ are allowed."
                raise _error(path, f"toggles.{name}", problem)
            _check_length(path, f"toggles.{name}", word)
        if "base" in toggle.levels:
            problem = "names the base's level; leave it out, every factor has it."
            raise _error(path, f"toggles.{name}.levels.base", problem)
        if toggle.in_full not in toggle.levels:
            problem = f"is {toggle.in_full!r}; {nearest(toggle.in_full, toggle.levels)}."
            raise _error(path, f"toggles.{name}.in_full", problem)


def _check_length(path: str, key: str, name: str) -> None:
    if len(name) > LONGEST_NAME:
        problem = f"has the name {name!r} of {len(name)} characters; at most {LONGEST_NAME}"
        raise _error(path, key, f"{problem} are allowed.")


def _check_repetitions(path: str, study: Study) -> None:
    lists = {"designs": study.designs, "games": study.games, "seeds": study.seeds}
    for key, values in lists.items():
        for value in (one for one, times in Counter[object](values).items() if times > 1):
            raise _error(path, key, f"has {value!r} twice; name it once.")
    setters: dict[str, str] = {}
    for name, toggle in study.toggles.items():
        for modification in {word for bundle in toggle.levels.values() for word in bundle}:
            if modification in setters:
                other = f"`toggles.{setters[modification]}`"
                problem = f"and {other} both set {modification}; make them levels of one toggle."
                raise _error(path, f"toggles.{name}", problem)
        setters |= dict.fromkeys((word for b in toggle.levels.values() for word in b), name)


def _check_sizes(path: str, study: Study) -> None:
    env_frames, prefill_frames = study.env_frames, study.prefill_frames
    if isinstance(env_frames, int) and isinstance(prefill_frames, int):
        check_budget(path, env_frames, prefill_frames)
    if not study.designs and not study.arms:
        raise _error(path, "designs", "is empty.")
    for design in study.designs if study.toggles else ():
        if problem := design_problem(design, study.toggle_records):
            raise _error(path, "designs", f"has {problem}")
    if not study.toggles and (wanting := [name for name in study.designs if name != "base"]):
        raise _error(path, "designs", f"has {wanting[0]!r}, but the study has no [toggles] table.")


def _check_arms(path: str, study: Study) -> None:
    """Refuses arms whose words are no toggles, or that are there twice."""
    words = [
        name if len(toggle.levels) == 1 else f"{name}:{level}"
        for name, toggle in study.toggles.items()
        for level in toggle.levels
    ]
    first: dict[frozenset[tuple[str, str]], int] = {}
    for index, arm in enumerate(study.arms):
        key = f"arms[{index}].on"
        on: list[tuple[str, str]] = []
        for word in arm.on:
            found = toggle_and_level(word, study.toggles)
            if found is None:
                remedy = nearest(word, words) if words else "the study has no [toggles] table"
                raise _error(path, key, f"has no toggle {word!r}; {remedy}.")
            if found[0] in dict(on):
                problem = f"has {found[0]} twice; an arm has a toggle at one level."
                raise _error(path, key, problem)
            on.append(found)
        if frozenset(on) in first:
            other = first[frozenset(on)]
            raise _error(path, key, f"is the same arm as arms[{other}]; name it once.")
        first[frozenset(on)] = index
