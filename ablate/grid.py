"""The grid: a study's arms, and its cells in the order in which they should run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ablate.study import Study, Toggle, toggle_and_level
from results.statistics.designs import DESIGNS, design_cells

NAMED: frozenset[str] = frozenset({"base", "full"})
"""The designs that name one agent, which must exist; the others cross whatever there is."""


@dataclass(frozen=True)
class Arm:
    """One agent of a study: the toggles that are on, each at a level.

    Attributes:
        name: What the study calls it.
        on: Toggle to level.
        named: Whether the study asks for this very agent, and not only for a design that
            happens to have it: then it must exist.
    """

    name: str
    on: Mapping[str, str]
    named: bool = True


@dataclass(frozen=True)
class Cell:
    """One run of a study: an arm, on one game, with one seed."""

    arm: str
    game: str
    seed: int


def arms(study: Study) -> tuple[Arm, ...]:
    """The arms of all designs of a study, each once: base and full first."""
    combinations = list(_combinations(study))
    named = {arm_name(on, study.toggles) for on, is_named in combinations if is_named}
    unique: dict[str, Arm] = {}
    for on, _ in combinations:
        name = arm_name(on, study.toggles)
        unique.setdefault(name, Arm(name, MappingProxyType(on), name in named))
    return tuple(unique.values())


def cells(study: Study) -> tuple[Cell, ...]:
    """The runs of a study, in the order in which they should run."""
    return tuple(breadth_first([arm.name for arm in arms(study)], study.games, study.seeds))


def breadth_first(
    arms: Iterable[str], games: Sequence[str], seeds: Sequence[int]
) -> Iterator[Cell]:
    """Every arm on every game with every seed: all cells of the first seed, then of the second."""
    names = tuple(arms)
    for seed in seeds:
        for name in names:
            for game in games:
                yield Cell(name, game, seed)


def arm_name(on: Mapping[str, str], toggles: Mapping[str, Toggle]) -> str:
    """The name of an arm: what is added to the base or, if shorter, what the full agent lacks.

    `base`, `full`, `base+augmentation`, `base+algorithm:ppo` for a factor with several levels,
    `full-augmentation` if there are at least three toggles, `full-augmentation-ratio` if there
    are at least five.

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
        if len(off) < len(on):
            return "-".join(["full", *off])
    added = [name for name in toggles if name in on]
    return "+".join(["base", *(toggle_label(name, on[name], toggles[name]) for name in added)])


def toggle_label(name: str, level: str, toggle: Toggle) -> str:
    """A toggle at a level: the level is named if there are several."""
    return f"{name}:{level}" if len(toggle.levels) > 1 else name


def _combinations(study: Study) -> Iterator[tuple[dict[str, str], bool]]:
    """Toggle to level, for every arm of every design, and whether it is named; some come twice."""
    toggles = study.toggle_records
    for design in DESIGNS:
        if design in study.designs:
            for on in design_cells(design, toggles):
                yield on, design in NAMED
    for arm in study.arms:
        found = (toggle_and_level(word, study.toggles) for word in arm.on)
        chosen = dict(one for one in found if one is not None)
        yield {name: chosen[name] for name in study.toggles if name in chosen}, True
