"""What the code makes of a study: plain data, which can be shown and kept without any agent."""

from collections.abc import Mapping
from dataclasses import dataclass

from ablate import grid
from ablate.runspec import ArmTexts
from ablate.study import LARGEST_NUMBER, StudyFile
from results.database.records import ArmRecord, NormalizationRow, RunRecord, StudyRecord


@dataclass(frozen=True)
class PlannedArm:
    """One arm, whose agent was put together.

    Attributes:
        record: As the database keeps it.
        texts: Identity and specification of its runs.
        updates: How many updates its budget pays for.
        memory_bytes: Memory that one run takes at most, by game.
        seconds: What one run should take on an idle core, by game: arithmetic, with the rate of
            products that was measured when the arm was put together.
    """

    record: ArmRecord
    texts: ArmTexts
    updates: int
    memory_bytes: Mapping[str, int]
    seconds: Mapping[str, float]


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


@dataclass(frozen=True)
class ResolvedModification:
    """One modification that a toggle's level switches on.

    Attributes:
        name: Its name.
        settings: Every setting, defaults included, as values of JSON.
        first_action: The env_frames at which it first changes what the agent does.
    """

    name: str
    settings: Mapping[str, object]
    first_action: float


@dataclass(frozen=True)
class ResolvedLevel:
    """What a toggle at a level switches on; `label` is what arms call it."""

    toggle: str
    level: str
    label: str
    modifications: tuple[ResolvedModification, ...]


@dataclass(frozen=True)
class Assembly:
    """What follows from the contents of a study, on this machine.

    Attributes:
        arms: By name, in the order of the grid.
        undefined: The cells of its designs that are no agents.
        declared: The returns that tasks without reference scores declare themselves.
        messages: What the user should know.
    """

    study: StudyRecord
    arms: Mapping[str, PlannedArm]
    undefined: tuple[UndefinedArm, ...]
    levels: tuple[ResolvedLevel, ...]
    declared: tuple[NormalizationRow, ...]
    messages: tuple[str, ...]


@dataclass(frozen=True)
class AssembledStudy(Assembly):
    """A study whose arms are all agents: what is submitted, and what a plan shows.

    Attributes:
        file: Where it comes from, for messages.
        runs: In the order in which they should run.
    """

    file: StudyFile
    runs: tuple[RunRecord, ...]


def run_records(study: StudyRecord, arms: Mapping[str, PlannedArm]) -> tuple[RunRecord, ...]:
    """The runs of a study, in the order in which they should run."""
    return tuple(
        _run_record(cell, arms[cell.arm])
        for cell in grid.breadth_first(arms, study.games, study.seeds)
    )


def _run_record(cell: grid.Cell, arm: PlannedArm) -> RunRecord:
    return RunRecord(
        identity=arm.texts.identity(cell.game, cell.seed),
        arm=cell.arm,
        game=cell.game,
        seed=cell.seed,
        specification=arm.texts.specification(cell.game, cell.seed),
        memory_bytes=min(arm.memory_bytes[cell.game], LARGEST_NUMBER),
    )
