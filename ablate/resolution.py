"""Resolution: what the words of a study file mean for the agent."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from ablate.assembled import ResolvedLevel, ResolvedModification
from ablate.budget import resolve_budget
from ablate.grid import toggle_label
from ablate.study import (
    ON,
    CustomArm,
    Study,
    StudyError,
    StudyFile,
    explain,
    nearest,
    toggle_and_level,
)
from agents.config import (
    FRAMES_PER_AGENT_STEP,
    PROTOCOLS,
    SIZES,
    AgentConfig,
    Budget,
    Protocol,
    agent_config,
)
from agents.modification import Modification
from agents.modifications import REGISTRY
from agents.training.environments import GAMES, Task, canonical_game, task
from agents.training.environments.games import GYMNASIUM
from results.statistics.designs import design_problem, off_in_two_level_designs

T = TypeVar("T")

Levels = Mapping[str, tuple[Modification, ...]]
"""Level to the modifications that it switches on, in installation order."""


@dataclass(frozen=True)
class Resolution:
    """A study whose games, modifications and settings all exist.

    Attributes:
        file: Where it comes from, for messages.
        study: The contents with canonical game names, as submitted.
        effective: The same without toggles and levels that are the base agent.
        tasks: What the games are, in their order.
        config: The base agent.
        protocol: With every field resolved.
        protocol_label: One text for one protocol.
        budget: Of every run.
        toggles: For every toggle of `effective`, its levels.
        messages: What the user should know about the resolution.
    """

    file: StudyFile
    study: Study
    effective: Study
    tasks: tuple[Task, ...]
    config: AgentConfig
    protocol: Protocol
    protocol_label: str
    budget: Budget
    toggles: Mapping[str, Levels]
    messages: tuple[str, ...]


def resolve(file: StudyFile) -> Resolution:
    """Looks up every word of a study.

    Raises:
        StudyError: If a game, protocol, modification or setting does not exist or a value is
            refused, if a bundle's modifications exclude each other, if one of them needs images
            that a game does not show, if a factor's level in the full agent is the base agent,
            or if a design is not made for so many toggles.
    """
    study = file.study.model_copy(update={"games": _games(file)})
    config = _config(file)
    protocol = _protocol(file)
    _check_that_episodes_fit(file, config, protocol)
    tasks = tuple(task(game, protocol) for game in study.games)
    budget, about_budget = resolve_budget(file, config)
    toggles: dict[str, Levels] = {}
    kept = dict(study.toggles)
    messages: list[str] = [*about_budget]
    for name, toggle in study.toggles.items():
        levels: dict[str, tuple[Modification, ...]] = {}
        for level in toggle.levels:
            label = toggle_label(name, level, toggle)
            found = _modifications(file, name, level)
            _check_images(file, name, found, tasks)
            acting = tuple(item for item in found if item != item.null(config))
            for item in found:
                if item not in acting:
                    messages.append(
                        f"{label}: {item.name} with {_settings(item)} is what the base does anyway"
                    )
            if acting:
                levels[level] = acting
        if not levels:
            del kept[name]
            messages.append(f"{name} is the base agent: it gets no arms of its own")
            continue
        if toggle.in_full not in levels:
            raise file.error(f"toggles.{name}.in_full", "names a level that is the base agent.")
        present = {level: toggle.levels[level] for level in levels}
        kept[name] = toggle.model_copy(update={"levels": present})
        toggles[name] = levels
    effective = study.model_copy(update={"toggles": kept, "arms": _arms(study, toggles)})
    messages += _about_designs(file, effective)
    return Resolution(
        file=file,
        study=study,
        effective=effective,
        tasks=tasks,
        config=config,
        protocol=protocol,
        protocol_label=protocol_label(protocol),
        budget=budget,
        toggles=toggles,
        messages=tuple(messages),
    )


def resolved_levels(resolution: Resolution) -> tuple[ResolvedLevel, ...]:
    """What every level of every toggle switches on."""
    config, budget = resolution.config, resolution.budget
    return tuple(
        ResolvedLevel(
            toggle=name,
            level=level,
            label=toggle_label(name, level, resolution.effective.toggles[name]),
            modifications=tuple(
                ResolvedModification(
                    name=item.name,
                    settings=item.model_dump(mode="json"),
                    first_action=item.first_action(config, budget),
                )
                for item in modifications
            ),
        )
        for name, levels in resolution.toggles.items()
        for level, modifications in levels.items()
    )


def check_that_all_act(resolution: Resolution) -> None:
    """Refuses a toggle that would silently do nothing.

    Raises:
        StudyError: If a modification first acts when the budget is spent.
    """
    budget = resolution.budget.env_frames
    for level in resolved_levels(resolution):
        for item in level.modifications:
            if item.first_action > budget:
                start = item.first_action
                acts = (
                    "never acts" if start == math.inf else f"first acts at env frame {start:,.0f}"
                )
                raise resolution.file.error(
                    f"toggles.{level.toggle}",
                    f"would do nothing: {item.name} {acts}, and the budget is "
                    f"env_frames = {budget:,}; raise the budget or change its settings.",
                )


def protocol_label(protocol: Protocol) -> str:
    """One text for one protocol: the nearest named one, and what differs from it."""
    values = protocol.model_dump()
    changes = {
        name: {key: value for key, value in values.items() if value != getattr(named, key)}
        for name, named in PROTOCOLS.items()
    }
    name = min(changes, key=lambda name: len(changes[name]))
    if not changes[name]:
        return name
    inner = ",".join(f"{key}={_word(value)}" for key, value in sorted(changes[name].items()))
    return f"{name}({inner})"


def evaluation_phrase(protocol: Protocol) -> str:
    """How the scores of a study are measured, in words."""
    episodes = protocol.final_evaluation_episodes
    noun = "episode" if episodes == 1 else "episodes"
    cap = f"at most {protocol.max_env_frames_per_episode:,} env frames"
    return f"{episodes} {noun}, {protocol.evaluation_policy}, {cap}"


def _check_that_episodes_fit(file: StudyFile, config: AgentConfig, protocol: Protocol) -> None:
    """Makes sure that an episode as long as the protocol allows can be replayed."""
    longest = protocol.max_env_frames_per_episode // FRAMES_PER_AGENT_STEP
    if config.length > longest and not config.cross_episodes:
        raise file.error(
            "agent.length",
            f"asks for sequences of {config.length} agent steps, and the protocol cuts episodes "
            f"after {longest}: none could ever be replayed. Lower length, raise "
            "max_env_frames_per_episode, or set cross_episodes = true.",
        )


def _games(file: StudyFile) -> tuple[str, ...]:
    found: list[str] = []
    for game in file.study.games:
        try:
            name = canonical_game(game)
        except ValueError as error:
            raise file.error("games", _no_such_game(game, error)) from error
        if name in found:
            raise file.error("games", f"has {name!r} twice; name it once.")
        found.append(name)
    return tuple(found)


def _arms(study: Study, toggles: Mapping[str, Levels]) -> tuple[CustomArm, ...]:
    """The arms that the study names, without what is the base agent."""
    found = [[toggle_and_level(word, study.toggles) for word in arm.on] for arm in study.arms]
    return tuple(
        CustomArm(
            on=tuple(
                f"{one[0]}:{one[1]}"
                for one in on
                if one is not None and one[1] in toggles.get(one[0], {})
            )
        )
        for on in found
    )


def _about_designs(file: StudyFile, effective: Study) -> list[str]:
    """What the user should know about the designs, once their toggles are known.

    Raises:
        StudyError: If one is not made for so many toggles.
    """
    toggles = effective.toggle_records
    gone = [name for name in file.study.toggles if name not in effective.toggles]
    for design in effective.designs:
        if problem := design_problem(design, toggles):
            without = f" (Without {', '.join(gone)}: the base agent.)" if gone else ""
            raise file.error("designs", f"has {problem}{without}")
    two_level = [one for one in effective.designs if one in ("fractional", "plackett_burman")]
    off = off_in_two_level_designs(toggles)
    if two_level and off:
        return [
            f"no cell of {' and '.join(two_level)} has {', '.join(off)}: a factor is there at its "
            "level in the full agent, or off"
        ]
    return []


def _no_such_game(game: str, error: ValueError) -> str:
    """What is wrong with the name of a game; gymnasium's many are known to the agent's side."""
    if game.startswith(GYMNASIUM):
        return f"has a game that cannot be played: {str(error).rstrip('.')}."
    return f"has no game {game!r}; {nearest(game, GAMES)}, or {GYMNASIUM}ID for another task."


def _check_images(
    file: StudyFile, toggle: str, modifications: Sequence[Modification], tasks: Sequence[Task]
) -> None:
    """Refuses what transforms images where there are none."""
    without = [one.name for one in tasks if not one.observation.is_image]
    for item in modifications:
        if item.requires_image and without:
            problem = f"has {item.name}, which needs images, and {', '.join(without)} shows none;"
            raise file.error(f"toggles.{toggle}", f"{problem} leave out the game or the toggle.")


def _config(file: StudyFile) -> AgentConfig:
    table = file.study.agent
    keys = ["size", *AgentConfig.model_fields]
    size = table.get("size", "atari")
    if not isinstance(size, str) or size not in SIZES:
        raise file.error("agent.size", f"has no size {size!r}; {nearest(str(size), SIZES)}.")
    overrides = {key: value for key, value in table.items() if key != "size"}
    return _checked(
        file, "agent", keys, overrides, lambda: agent_config(size, **_tuples(overrides))
    )


def _protocol(file: StudyFile) -> Protocol:
    table = file.study.protocol
    base = table.get("base", "atari100k")
    if not isinstance(base, str) or base not in PROTOCOLS:
        problem = f"has no protocol {base!r}; {nearest(str(base), PROTOCOLS)}."
        raise file.error("protocol", problem)
    changes = {key: value for key, value in table.items() if key != "base"}
    keys = ["base", *Protocol.model_fields]
    values = PROTOCOLS[base].model_dump() | changes
    return _checked(
        file, "protocol", keys, changes, lambda: Protocol.model_validate_json(json.dumps(values))
    )


def _modifications(file: StudyFile, toggle: str, level: str) -> tuple[Modification, ...]:
    """The modifications of a toggle at a level, in installation order."""
    raw = file.study.toggles[toggle]
    plain = len(raw.levels) == 1 and ON in raw.levels
    key = f"toggles.{toggle}" if plain else f"toggles.{toggle}.levels.{level}"
    found: dict[str, Modification] = {}
    for name, settings in raw.levels[level].items():
        if name not in REGISTRY:
            problem = f"has no modification {name!r}; {nearest(name, REGISTRY)}."
            raise file.error(key, problem)
        found[name] = _built(file, f"{key}.{name}", REGISTRY[name], settings)
    for name, modification in found.items():
        for other in sorted(modification.excludes & found.keys()):
            problem = f"names {name} and {other}, which exclude each other; make them"
            raise file.error(key, f"{problem} levels of one toggle, or put them in two.")
    return tuple(found[name] for name in REGISTRY if name in found)


def _built(
    file: StudyFile, key: str, kind: type[Modification], settings: Mapping[str, Any]
) -> Modification:
    return _checked(
        file,
        key,
        list(kind.model_fields),
        settings,
        lambda: kind.model_validate_json(json.dumps(settings)),
    )


def _checked(
    file: StudyFile,
    key: str,
    keys: Sequence[str],
    table: Mapping[str, Any],
    build: Callable[[], T],
) -> T:
    """Builds something from a table of the file; a refusal names the table's key."""
    try:
        return build()
    except ValidationError as error:
        problem = explain(error, table, inside=key, keys=keys)
        raise StudyError(f"{file.path}: {problem}") from error


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(item) if isinstance(item, list) else item for key, item in table.items()}


def _settings(modification: Modification) -> str:
    values = modification.model_dump().items()
    return ", ".join(f"{key} = {value}" for key, value in values) or "no settings"


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
