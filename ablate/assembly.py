"""Assembly: the agents of a study's arms, and the cells of its designs that are no agents.

Two modifications may exclude each other, or one may keep the other from ever acting. An arm that
the study names is then an error; a cell that only a design has is not defined.
"""

from collections.abc import Iterator, Sequence

from ablate import grid
from ablate.assembled import (
    AssembledStudy,
    PlannedArm,
    ResolvedLevel,
    UndefinedArm,
    run_records,
)
from ablate.resolution import (
    Resolution,
    check_that_all_act,
    evaluation_phrase,
    resolve,
    resolved_levels,
)
from ablate.runspec import ArmTexts, RunSpec, canonical_json
from ablate.study import Study, StudyError, StudyFile
from agents import AGENT_VERSION
from agents.assemble import AssemblyError, assemble
from agents.cost import estimate_seconds, memory_bytes
from agents.modification import Modification
from agents.modifications import REGISTRY
from agents.parts import Parts
from agents.training.environments import Task
from agents.training.recipe import planned_updates
from results.database.records import ArmRecord, NormalizationRow, StudyRecord
from results.statistics.normalize import normalization


def assemble_study(file: StudyFile) -> AssembledStudy:
    """Builds the agent of every arm, and from them the runs.

    Raises:
        StudyError: If a word of the study means nothing, an arm that it names cannot be
            assembled, no arm can, two arms are the same agent, or a modification would never act.
    """
    resolution = resolve(file)
    check_that_all_act(resolution)
    effective = resolution.effective
    arms: dict[str, PlannedArm] = {}
    undefined: list[UndefinedArm] = []
    for arm in grid.arms(effective):
        found = _build_arm(resolution, arm)
        if isinstance(found, UndefinedArm):
            undefined.append(found)
        else:
            arms[arm.name] = _planned_arm(resolution, arm, *found)
    if not arms:
        raise file.error("designs", f"has no cell that is an agent: {undefined[0].reason}.")
    records = tuple(arm.record for arm in arms.values())
    _check_that_arms_differ(file, records)
    study, levels = _study_record(resolution, records), resolved_levels(resolution)
    declared = _declared(resolution.tasks)
    return AssembledStudy(
        study=study,
        arms=arms,
        undefined=tuple(undefined),
        levels=levels,
        declared=declared,
        messages=(
            *resolution.messages,
            *_absent_levels(effective, levels, records),
            *_about_undefined(effective, undefined),
            *_about_references(study.games, declared),
        ),
        file=file,
        runs=run_records(study, arms),
    )


def _build_arm(
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


def _about_undefined(study: Study, undefined: Sequence[UndefinedArm]) -> Iterator[str]:
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


def _planned_arm(
    resolution: Resolution, arm: grid.Arm, parts: Parts, modifications: Sequence[Modification]
) -> PlannedArm:
    spec = _spec(resolution, parts, modifications)
    budget, protocol = resolution.budget, resolution.protocol
    return PlannedArm(
        record=ArmRecord(
            name=arm.name,
            identity=spec.arm_identity,
            agent=canonical_json(spec.agent),
            toggles=dict(arm.on),
        ),
        texts=ArmTexts.of(spec),
        updates=planned_updates(parts.config, budget),
        memory_bytes={
            task.name: memory_bytes(parts, budget, task.observation) for task in resolution.tasks
        },
        seconds={
            task.name: estimate_seconds(
                parts,
                budget,
                protocol,
                task.observation,
                task.actions,
                resolution.study.precision,
            )
            for task in resolution.tasks
        },
    )


def _spec(resolution: Resolution, parts: Parts, modifications: Sequence[Modification]) -> RunSpec:
    """The specification of an arm's first run; the others differ in game and seed."""
    proofs = {item.name: item.proof(resolution.config) for item in modifications}
    return RunSpec(
        agent=parts.describe(),
        agent_version=AGENT_VERSION,
        game=resolution.study.games[0],
        seed=resolution.study.seeds[0],
        protocol=resolution.protocol.model_dump(),
        budget=resolution.budget.model_dump(),
        precision=resolution.study.precision,
        config=resolution.config.model_dump(),
        modifications=tuple((item.name, item.model_dump()) for item in modifications),
        proofs={name: (proof.metric, proof.idle) for name, proof in proofs.items()},
    )


def _study_record(resolution: Resolution, arms: tuple[ArmRecord, ...]) -> StudyRecord:
    study = resolution.effective
    return StudyRecord(
        name=study.name,
        question=study.question,
        source=resolution.file.source,
        contents_sha256=resolution.study.contents_sha256,
        protocol=resolution.protocol_label,
        env_frames=resolution.budget.env_frames,
        prefill_frames=resolution.budget.prefill_frames,
        designs=tuple(study.designs),
        games=study.games,
        seeds=study.seeds,
        toggles=study.toggle_records,
        arms=arms,
        evaluation=evaluation_phrase(resolution.protocol),
    )


def _absent_levels(
    study: Study, levels: Sequence[ResolvedLevel], arms: Sequence[ArmRecord]
) -> Iterator[str]:
    """A message if toggles are on in no arm."""
    on = {item for arm in arms for item in arm.toggles.items()}
    absent = [level.label for level in levels if (level.toggle, level.level) not in on]
    if absent:
        designs = ", ".join(study.designs)
        yield f"no arm has {', '.join(absent)}: the designs ({designs}) leave that out"


def _declared(tasks: Sequence[Task]) -> tuple[NormalizationRow, ...]:
    """The returns of those tasks that declare them: games without a table of human scores."""
    return tuple(
        NormalizationRow(task.name, task.random_return, task.reference_return)
        for task in tasks
        if task.random_return is not None and task.reference_return is not None
    )


def _about_references(games: Sequence[str], declared: Sequence[NormalizationRow]) -> Iterator[str]:
    """A message for every way in which scores are not made with the table of human scores."""
    table = normalization()
    for row in declared:
        yield (
            f"scores on {row.game} are made with the returns that it declares itself: random "
            f"{row.random:g}, reference {row.human:g}"
        )
    own = {row.game for row in declared}
    without = [game for game in games if game not in table and game not in own]
    if without:
        listed = ", ".join(without)
        yield f"no reference scores in {table.id} for {listed}: only raw returns will be shown"


def _check_that_arms_differ(file: StudyFile, arms: Sequence[ArmRecord]) -> None:
    first: dict[str, str] = {}
    for arm in arms:
        if arm.identity in first:
            raise StudyError(
                f"{file.path}: the arms {first[arm.identity]} and {arm.name} are the same agent; "
                "give their toggles different settings, or remove one."
            )
        first[arm.identity] = arm.name
