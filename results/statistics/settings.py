"""Numeric settings in which the arms of a study differ, and the arms along each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from results.database.records import ArmRecord
from results.statistics.errors import StatisticsError, listed


@dataclass(frozen=True)
class Ladder:
    """Arms that differ in one numeric setting.

    Attributes:
        setting: Name of the setting, with dots.
        lines: The arms by their value of the setting, increasing: one line per group of arms that
            agree in everything else, under the name of the one with the fewest toggles.
    """

    setting: str
    lines: Mapping[str, Mapping[float, str]]


def ladder(arms: Sequence[ArmRecord]) -> Ladder:
    """The one numeric setting in which arms differ, and the arms that agree in all the rest.

    Raises:
        StatisticsError: if they differ in no numeric setting, or in several.
    """
    agents = {arm.name: json.loads(arm.agent) for arm in arms}
    numbers = {name: _numbers(agent) for name, agent in agents.items()}
    common = set.intersection(*(set(found) for found in numbers.values())) if numbers else set()
    several = [
        setting
        for setting in sorted(common)
        if len({found[setting] for found in numbers.values()}) > 1
    ]
    if len(several) != 1:
        names = f" in several: {listed(several)}" if several else " in none"
        raise StatisticsError(
            "A score can be drawn against a numeric setting where the arms differ in one; these "
            f"differ{names}. Choose arms with --arms."
        )
    (setting,) = several
    groups: dict[str, list[ArmRecord]] = {}
    for arm in arms:
        rest = json.dumps(_without(agents[arm.name], setting.split(".")), sort_keys=True)
        groups.setdefault(rest, []).append(arm)
    lines = {
        min(group, key=lambda arm: len(arm.toggles)).name: dict(
            sorted((numbers[arm.name][setting], arm.name) for arm in group)
        )
        for group in groups.values()
    }
    return Ladder(setting, lines)


def _numbers(value: Any, name: str = "") -> dict[str, float]:
    """The numeric leaves of nested settings, by their names with dots."""
    if isinstance(value, bool) or not isinstance(value, int | float | dict):
        return {}
    if not isinstance(value, dict):
        return {name: float(value)}
    return {
        leaf: number
        for key, one in value.items()
        for leaf, number in _numbers(one, f"{name}.{key}" if name else str(key)).items()
    }


def _without(value: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """The settings without one."""
    key, *rest = path
    kept = {name: one for name, one in value.items() if name != key}
    return {**kept, key: _without(value[key], rest)} if rest else kept
