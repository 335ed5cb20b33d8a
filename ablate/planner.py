"""The planner: assembles every arm, asks the database what exists, estimates the time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from ablate import grid
from ablate.assembly import UndefinedArm, about_undefined, build_arm
from ablate.forecast import Forecast
from ablate.provenance import code_here
from ablate.resolution import (
    Resolution,
    ResolvedLevel,
    check_that_all_act,
    evaluation_phrase,
    resolve,
    resolved_levels,
)
from ablate.runspec import ArmTexts, RunSpec, canonical_json
from ablate.speed import Speed
from ablate.study import LARGEST_NUMBER, Study, StudyError, StudyFile
from agents import AGENT_VERSION
from agents.config import Budget, Protocol
from agents.cost import memory_bytes
from agents.modification import Modification
from agents.parts import Parts
from agents.precision import Precision
from agents.training.environments import Task
from agents.training.recipe import planned_updates
from results.database import store
from results.database.engine import open_database
from results.database.errors import StudyConflict
from results.database.location import database_path
from results.database.lookup import contents_sha256
from results.database.records import (
    ArmRecord,
    NormalizationRow,
    RunRecord,
    RunState,
    RunStatus,
    StudyRecord,
    Submission,
)
from results.statistics.normalize import TABLES, normalization

DECLARED = "declared"
"""The table of the returns that tasks declare themselves."""


@dataclass(frozen=True)
class PlannedArm:
    """One arm with its assembled agent.

    Attributes:
        record: As the database keeps it.
        parts: Of the assembled agent.
        updates: How many updates its budget pays for.
        memory_bytes: Memory that one run takes at most, by game.
    """

    record: ArmRecord
    parts: Parts
    updates: int
    memory_bytes: Mapping[str, int]


@dataclass(frozen=True)
class AssembledStudy:
    """A study whose arms are all agents: what is submitted, and what a plan shows.

    Attributes:
        undefined: The cells of its designs that are no agents.
        declared: The returns that tasks without reference scores declare themselves.
    """

    file: StudyFile
    study: StudyRecord
    protocol: Protocol
    budget: Budget
    precision: Precision
    tasks: tuple[Task, ...]
    runs: tuple[RunRecord, ...]
    arms: Mapping[str, PlannedArm]
    undefined: tuple[UndefinedArm, ...]
    levels: tuple[ResolvedLevel, ...]
    declared: tuple[NormalizationRow, ...]
    messages: tuple[str, ...]


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan.

    Attributes:
        run: What would be submitted.
        status: What the database knows about it, or None if it is new.
        seconds: What it took if it is finished, else what it should take.
        measured: Whether `seconds` comes from finished runs.
    """

    run: RunRecord
    status: RunStatus | None
    seconds: float
    measured: bool

    @property
    def to_do(self) -> bool:
        """Whether a worker still has to spend time on it; a failed run waits for a retry."""
        return self.status is None or self.status.state in (
            RunState.QUEUED,
            RunState.RUNNING,
            RunState.CANCELLED,
        )


@dataclass(frozen=True)
class Plan:
    """A study, what exists of it, and what it would take."""

    assembled: AssembledStudy
    submitted: bool
    runs: tuple[PlannedRun, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Runs by what a submission would find.

        `done` runs were finished for this study, `reused` ones for another; `new` ones are not in
        the database.
        """
        counts = dict.fromkeys(("new", "reused", "done", "queued", "running", "failed"), 0)
        counts["cancelled"] = 0
        for run in self.runs:
            if run.status is None:
                counts["new"] += 1
            elif run.status.state is RunState.FINISHED:
                counts["done" if self.submitted else "reused"] += 1
            else:
                counts[run.status.state.value] += 1
        return counts

    @property
    def memory_bytes(self) -> dict[str, int]:
        """The memory that a run takes at most, by game."""
        arms = self.assembled.arms.values()
        games = self.assembled.study.games
        return {game: max(arm.memory_bytes[game] for arm in arms) for game in games}

    @property
    def seconds_to_do(self) -> float:
        """Seconds of work that are left, one run after the other."""
        return sum(run.seconds for run in self.runs if run.to_do)

    @property
    def measured(self) -> bool:
        """Whether every run that is left has been timed before."""
        return all(run.measured for run in self.runs if run.to_do)


def assemble_study(file: StudyFile) -> AssembledStudy:
    """Builds the agent of every arm, and from them the runs.

    Raises:
        StudyError: If a word of the study means nothing, an arm that it names cannot be
            assembled, no arm can, two arms are the same agent, or a modification would never act.
    """
    resolution = resolve(file)
    check_that_all_act(resolution)
    study = resolution.effective
    arms: dict[str, PlannedArm] = {}
    texts: dict[str, ArmTexts] = {}
    undefined: list[UndefinedArm] = []
    for arm in grid.arms(study):
        found = build_arm(resolution, arm)
        if isinstance(found, UndefinedArm):
            undefined.append(found)
            continue
        parts, modifications = found
        spec = _spec(resolution, parts, modifications)
        arms[arm.name] = _planned_arm(resolution, arm, parts, spec)
        texts[arm.name] = ArmTexts(spec)
    if not arms:
        raise file.error("designs", f"has no cell that is an agent: {undefined[0].reason}.")
    records = tuple(arm.record for arm in arms.values())
    _check_that_arms_differ(file, records)
    levels = resolved_levels(resolution)
    declared = _declared(resolution.tasks)
    cells = [cell for cell in grid.cells(study) if cell.arm in arms]
    return AssembledStudy(
        file=file,
        study=_study_record(resolution, records),
        protocol=resolution.protocol,
        budget=resolution.budget,
        precision=resolution.study.precision,
        tasks=tuple(resolution.tasks),
        runs=tuple(_run_record(texts[cell.arm], cell, arms[cell.arm]) for cell in cells),
        arms=arms,
        undefined=tuple(undefined),
        levels=levels,
        declared=declared,
        messages=(
            *resolution.messages,
            *_absent_levels(study, levels, records),
            *about_undefined(study, undefined),
            *_about_references(study.games, declared),
        ),
    )


def existing_database(url: str) -> Engine | None:
    """The database that a plan asks, or None if there is none yet: a plan makes none.

    Raises:
        DatabaseError: If there is one that cannot be used.
    """
    return open_database(url) if database_path(url).exists() else None


def make_plan(assembled: AssembledStudy, engine: Engine | None) -> Plan:
    """Asks the database what exists, and estimates what is left.

    Args:
        assembled: The study.
        engine: The database, or None if there is none yet.

    Raises:
        StudyError: If other contents have been submitted under the same name.
        DatabaseError: If the database cannot be read.
    """
    known: Mapping[str, RunStatus] = {}
    submitted = False
    speed = Speed({})
    if engine is not None:
        submitted = _is_submitted(assembled, engine)
        known = store.existing_runs(engine, [run.identity for run in assembled.runs])
        speed = Speed(store.measured_seconds(engine))
    forecast = Forecast(
        speed,
        {task.name: task for task in assembled.tasks},
        protocol=assembled.protocol,
        budget=assembled.budget,
        precision=assembled.precision,
    )

    def planned(run: RunRecord) -> PlannedRun:
        status, arm = known.get(run.identity), assembled.arms[run.arm]
        if status is not None and status.seconds is not None:
            return PlannedRun(run, status, status.seconds, measured=True)
        seconds, measured = forecast.seconds(arm.record.identity, arm.parts, run.game)
        return PlannedRun(run, status, seconds, measured=measured)

    return Plan(assembled, submitted, tuple(planned(run) for run in assembled.runs))


def submit(assembled: AssembledStudy, engine: Engine, *, retry_failed: bool = False) -> Submission:
    """Writes a study and its runs into the database, and the reference scores that it needs.

    Raises:
        StudyError: If other contents have been submitted under the same name.
        DatabaseError: If the database cannot be written.
    """
    _is_submitted(assembled, engine)
    try:
        submission = store.submit(
            engine,
            assembled.study,
            assembled.runs,
            retry_failed=retry_failed,
            code=code_here(),
        )
    except StudyConflict as error:
        raise StudyError(f"{assembled.file.path}: {error}") from error
    for name in TABLES:
        rows = normalization(name).references.values()
        store.put_normalization(
            engine, name, [NormalizationRow(row.game, row.random, row.human) for row in rows]
        )
    if assembled.declared:
        store.put_normalization(engine, DECLARED, assembled.declared)
    return submission


def _is_submitted(assembled: AssembledStudy, engine: Engine) -> bool:
    """Whether the study is in the database already.

    Raises:
        StudyError: If other contents are there under its name.
    """
    study = assembled.study
    there = contents_sha256(engine, study.name)
    if there is None:
        return False
    if there != study.contents_sha256:
        raise assembled.file.error(
            "name",
            f"is taken: {study.name} has been submitted to {engine.url.database} with other "
            "contents. Give the changed study another name (runs that both ask for are shared), "
            "or name another database with --db or ABLATE_DB.",
        )
    return True


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


def _planned_arm(resolution: Resolution, arm: grid.Arm, parts: Parts, spec: RunSpec) -> PlannedArm:
    return PlannedArm(
        record=ArmRecord(
            name=arm.name,
            identity=spec.arm_identity,
            agent=canonical_json(spec.agent),
            toggles=dict(arm.on),
        ),
        parts=parts,
        updates=planned_updates(parts.config, resolution.budget),
        memory_bytes={
            task.name: memory_bytes(parts, resolution.budget, task.observation)
            for task in resolution.tasks
        },
    )


def _run_record(texts: ArmTexts, cell: grid.Cell, arm: PlannedArm) -> RunRecord:
    return RunRecord(
        identity=texts.identity(cell.game, cell.seed),
        arm=cell.arm,
        game=cell.game,
        seed=cell.seed,
        specification=texts.specification(cell.game, cell.seed),
        memory_bytes=min(arm.memory_bytes[cell.game], LARGEST_NUMBER),
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
