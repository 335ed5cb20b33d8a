"""Assembly: the agents of a study's arms, and the cells of its designs that are no agents.

Two modifications may exclude each other, or one may keep the other from ever acting. An arm that
the study names is then an error; a cell that only a design has is not defined.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ablate import grid
from ablate.resolution import Resolution
from ablate.study import Study, StudyError, StudyFile
from agents.assemble import AssemblyError, assemble
from agents.modification import Modification
from agents.modifications import REGISTRY
from agents.parts import Parts


@dataclass(frozen=True)
class UndefinedArm:
    """A cell that a design has, but that makes no agent: it is not defined.

    Attributes:
        name: What the arm would be called.
        toggles: The toggles that would be on, each with its level.
        reason: Why there is no such agent.
    """

    name: str
    toggles: Mapping[str, str]
    reason: str


def build_arm(
    resolution: Resolution, arm: grid.Arm
) -> tuple[Parts, tuple[Modification, ...]] | UndefinedArm:
    """The parts of an arm's agent and its modifications, or why there is no such agent.

    Raises:
        StudyError: If the study names the arm, or if one of its toggles alone is no agent.
    """
    modifications = _modifications(resolution, arm)
    try:
        parts = assemble(resolution.config, modifications)
        _check_that_each_acts(resolution, modifications)
    except AssemblyError as error:
        if arm.named or not _is_the_combination(resolution, arm):
            raise _unassembled(resolution.file, arm, error) from error
        return UndefinedArm(arm.name, dict(arm.on), str(error))
    return parts, modifications


def about_undefined(study: Study, undefined: Sequence[UndefinedArm]) -> Iterator[str]:
    """A message per reason why cells are no agents, and what it costs."""
    crossed = [design for design in study.designs if design not in grid.NAMED]
    for reason in dict.fromkeys(one.reason for one in undefined):
        names = [one.name for one in undefined if one.reason == reason]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield (
            f"not defined: {', '.join(names[:3])}{more}: {reason}. What needs these cells of "
            f"{', '.join(crossed)} stays empty or gets less sure; what excludes each other can be "
            "levels of one toggle, which are never crossed"
        )


def _modifications(resolution: Resolution, arm: grid.Arm) -> tuple[Modification, ...]:
    """Everything that an arm switches on, in installation order."""
    found = {
        modification.name: modification
        for toggle, level in arm.on.items()
        for modification in resolution.toggles[toggle][level]
    }
    return tuple(found[name] for name in REGISTRY if name in found)


def _unassembled(file: StudyFile, arm: grid.Arm, error: AssemblyError) -> StudyError:
    return StudyError(f"{file.path}: the arm {arm.name} cannot be assembled: {error}.")


def _is_the_combination(resolution: Resolution, arm: grid.Arm) -> bool:
    """Whether each toggle of an arm is an agent alone: then it is their meeting that is none."""
    try:
        for toggle, level in arm.on.items():
            assemble(resolution.config, resolution.toggles[toggle][level])
    except AssemblyError:
        return False
    return len(arm.on) > 1


def _check_that_each_acts(resolution: Resolution, modifications: Sequence[Modification]) -> None:
    """Refuses a modification that beside the others of its arm first acts after the budget.

    Raises:
        AssemblyError: If there is one.
    """
    budget = resolution.budget
    for item in modifications if len(modifications) > 1 else ():
        others = [other for other in modifications if other is not item]
        try:
            config = assemble(resolution.config, others).config
        except AssemblyError:
            continue  # the others are no agent without it, so it acts
        if item.first_action(config, budget) > budget.env_frames:
            raise AssemblyError(
                f"{item.name} never acts within env_frames = {budget.env_frames:,} beside "
                f"{', '.join(other.name for other in others)}"
            )
