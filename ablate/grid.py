"""The grid: a study's arms, and its cells in the order in which they should run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ablate.study import Study, Toggle


@dataclass(frozen=True)
class Arm:
    """One agent of a study: the toggles that are on, each at a level."""

    name: str
    on: Mapping[str, str]


@dataclass(frozen=True)
class Cell:
    """One run of a study: an arm, on one game, with one seed."""

    arm: str
    game: str
    seed: int


def arms(study: Study) -> tuple[Arm, ...]:
    """The arms of all designs of a study, each once: base and full first."""
    unique: dict[str, Arm] = {}
    for on in _combinations(study):
        name = arm_name(on, study.toggles)
        unique.setdefault(name, Arm(name, MappingProxyType(on)))
    return tuple(unique.values())


def cells(study: Study) -> tuple[Cell, ...]:
    """The runs of a study, breadth first: all cells of the first seed, then of the second."""
    names = [arm.name for arm in arms(study)]
    return tuple(
        Cell(name, game, seed) for seed in study.seeds for name in names for game in study.games
    )


def arm_name(on: Mapping[str, str], toggles: Mapping[str, Toggle]) -> str:
    """The name of an arm: what is added to the base or, if shorter, what the full agent lacks.

    `base`, `full`, `base+augmentation`, `base+algorithm:ppo` for a factor with several levels,
    `full-augmentation` if there are at least three toggles.

    Args:
        on: Toggle to level, for the toggles that are on.
        toggles: All toggles of the study.
    """
    if not on:
        return "base"
    off = [name for name in toggles if name not in on]
    if all(level == toggles[name].in_full for name, level in on.items()):
        if not off:
            return "full"
        if len(off) == 1 and len(toggles) >= 3:
            return f"full-{off[0]}"
    added = [name for name in toggles if name in on]
    return "+".join(["base", *(toggle_label(name, on[name], toggles[name]) for name in added)])


def toggle_label(name: str, level: str, toggle: Toggle) -> str:
    """A toggle at a level: the level is named if there are several."""
    return f"{name}:{level}" if len(toggle.levels) > 1 else name


def _combinations(study: Study) -> Iterator[dict[str, str]]:
    """Toggle to level, for every arm of every design; some come more than once."""
    full = {name: toggle.in_full for name, toggle in study.toggles.items()}
    if "base" in study.designs:
        yield {}
    if "full" in study.designs:
        yield full
    if "add_one_in" in study.designs:
        for name, toggle in study.toggles.items():
            for level in toggle.levels:
                yield {name: level}
    if "leave_one_out" in study.designs:
        for name in study.toggles:
            yield {other: level for other, level in full.items() if other != name}
