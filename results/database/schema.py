"""The tables. Columns, not JSON bags; constraints refuse what makes no sense."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from results.database.columns import Base, EventKind, PrimaryKey, StudyKey, flag
from results.database.records import AttemptState, LookPurpose, RunState

SCHEMA_VERSION = "0006"  # the newest migration; a test compares it with the migrations
APPLICATION_ID = 0x41424C54  # "ABLT" in the file's header: the file is ours
MOST_LOSSES = 5  # a run that lost so many attempts is failed, not queued again


class Study(Base):
    """A study as it was submitted."""

    __tablename__ = "study"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint("name <> ''", name="named"),
        CheckConstraint("length(contents_sha256) = 64", name="contents_sha256"),
        CheckConstraint("env_frames > 0", name="env_frames"),
        CheckConstraint("prefill_frames BETWEEN 0 AND env_frames", name="prefill_frames"),
    )

    id: Mapped[PrimaryKey]
    name: Mapped[str]
    question: Mapped[str]
    source: Mapped[str]
    contents_sha256: Mapped[str]
    protocol: Mapped[str]
    env_frames: Mapped[int]
    prefill_frames: Mapped[int]
    evaluation: Mapped[str]
    created_at: Mapped[datetime]


class StudyDesign(Base):
    """A design of a study, in the order of its file."""

    __tablename__ = "study_design"
    __table_args__ = (UniqueConstraint("study_id", "name"),)

    study_id: Mapped[StudyKey]
    position: Mapped[PrimaryKey]
    name: Mapped[str]


class StudyGame(Base):
    """A game of a study, in the order of its file."""

    __tablename__ = "study_game"
    __table_args__ = (UniqueConstraint("study_id", "game"),)

    study_id: Mapped[StudyKey]
    position: Mapped[PrimaryKey]
    game: Mapped[str]


class StudySeed(Base):
    """A seed of a study, in the order of its file."""

    __tablename__ = "study_seed"
    __table_args__ = (
        UniqueConstraint("study_id", "seed"),
        CheckConstraint("seed >= 0", name="seed"),
    )

    study_id: Mapped[StudyKey]
    position: Mapped[PrimaryKey]
    seed: Mapped[int]


class StudyToggle(Base):
    """A toggle of a study."""

    __tablename__ = "study_toggle"
    __table_args__ = (
        UniqueConstraint("study_id", "position"),
        CheckConstraint("name <> ''", name="named"),
    )

    study_id: Mapped[StudyKey]
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]


class StudyToggleLevel(Base):
    """A level of a toggle; exactly one level per toggle is part of the full agent."""

    __tablename__ = "study_toggle_level"
    __table_args__ = (
        ForeignKeyConstraint(
            ["study_id", "toggle"], ["study_toggle.study_id", "study_toggle.name"]
        ),
        UniqueConstraint("study_id", "toggle", "position"),
        Index(
            "ix_study_toggle_level_one_in_full",
            "study_id",
            "toggle",
            unique=True,
            sqlite_where=text("in_full"),
        ),
    )

    study_id: Mapped[PrimaryKey]
    toggle: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    in_full: Mapped[bool] = mapped_column(flag("in_full"))


class Arm(Base):
    """A resolved agent with its budget; several studies may share it."""

    __tablename__ = "arm"
    __table_args__ = (
        UniqueConstraint("identity"),
        CheckConstraint("length(identity) = 64", name="identity"),
        CheckConstraint("env_frames > 0", name="env_frames"),
        CheckConstraint("prefill_frames BETWEEN 0 AND env_frames", name="prefill_frames"),
    )

    id: Mapped[PrimaryKey]
    identity: Mapped[str]
    agent: Mapped[str]
    env_frames: Mapped[int]
    prefill_frames: Mapped[int]


class StudyArm(Base):
    """An arm under the name that a study gives it."""

    __tablename__ = "study_arm"
    __table_args__ = (
        UniqueConstraint("study_id", "name"),
        UniqueConstraint("study_id", "position"),
    )

    study_id: Mapped[StudyKey]
    arm_id: Mapped[int] = mapped_column(ForeignKey("arm.id"), primary_key=True)
    name: Mapped[str]
    position: Mapped[int]


class StudyArmToggle(Base):
    """A toggle that is on in an arm, and its level."""

    __tablename__ = "study_arm_toggle"
    __table_args__ = (
        ForeignKeyConstraint(["study_id", "arm_id"], ["study_arm.study_id", "study_arm.arm_id"]),
        ForeignKeyConstraint(
            ["study_id", "toggle", "level"],
            [
                "study_toggle_level.study_id",
                "study_toggle_level.toggle",
                "study_toggle_level.level",
            ],
        ),
    )

    study_id: Mapped[PrimaryKey]
    arm_id: Mapped[PrimaryKey]
    toggle: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[str]


class Run(Base):
    """An arm on one game with one seed: one row, however many studies ask for it.

    `losses` counts the tries since it last came further that ended with a lost worker or with an
    exception. A queued run that is `paused`, or whose time `not_before` has not come, is not
    claimed. `memory_bytes` is what its agent says that it takes; `code_id` the code that
    submitted it.
    """

    __tablename__ = "run"
    __table_args__ = (
        UniqueConstraint("identity"),
        UniqueConstraint("arm_id", "game", "seed"),
        CheckConstraint("length(identity) = 64", name="identity"),
        CheckConstraint("game <> '' AND game NOT GLOB '*[^A-Za-z0-9:_./-]*'", name="game"),
        CheckConstraint("seed >= 0", name="seed"),
        CheckConstraint(f"losses BETWEEN 0 AND {MOST_LOSSES}", name="losses"),
        CheckConstraint(f"losses < {MOST_LOSSES} OR state = 'failed'", name="lost_too_often"),
        CheckConstraint("NOT paused OR state IN ('queued', 'running')", name="paused_if_unended"),
        CheckConstraint("memory_bytes > 0", name="memory_bytes"),
        Index("ix_run_queue", "state", "priority", "position", "id"),
    )

    id: Mapped[PrimaryKey]
    identity: Mapped[str]
    arm_id: Mapped[int] = mapped_column(ForeignKey("arm.id"))
    game: Mapped[str]
    seed: Mapped[int]
    specification: Mapped[str]
    state: Mapped[RunState]
    priority: Mapped[int]
    position: Mapped[int]
    losses: Mapped[int]
    created_at: Mapped[datetime]
    paused: Mapped[bool] = mapped_column(flag("paused"), default=False)
    not_before: Mapped[datetime | None]
    memory_bytes: Mapped[int | None]
    code_id: Mapped[int | None] = mapped_column(ForeignKey("code.id"))


class StudyRun(Base):
    """A run that a study holds, in the study's own order."""

    __tablename__ = "study_run"
    __table_args__ = (UniqueConstraint("study_id", "position"), Index(None, "run_id"))

    study_id: Mapped[StudyKey]
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    position: Mapped[int]


class Look(Base):
    """A time at which the results of a study decided which of its runs are wanted.

    The rule is that of `ablate submit --top-up` or `ablate queue cancel --settled`: an interval
    narrower than `width`, or the permutation test where that is NULL. `effects` are the toggles
    asked for, a line each; none means all. `finished_runs` is what could be seen.
    """

    __tablename__ = "look"
    __table_args__ = (
        CheckConstraint("width > 0", name="width"),
        CheckConstraint("batch > 0", name="batch"),
        CheckConstraint("ci > 0 AND ci < 1", name="ci"),
        CheckConstraint("finished_runs >= 0", name="finished_runs"),
        CheckConstraint("answered >= 0", name="answered"),
        CheckConstraint("unanswered >= 0", name="unanswered"),
        CheckConstraint("changed_runs >= 0", name="changed_runs"),
        Index(None, "study_id"),
    )

    id: Mapped[PrimaryKey]
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    at: Mapped[datetime]
    purpose: Mapped[LookPurpose]
    width: Mapped[float | None]
    effects: Mapped[str]
    batch: Mapped[int]
    ci: Mapped[float]
    finished_runs: Mapped[int]
    answered: Mapped[int]
    unanswered: Mapped[int]
    changed_runs: Mapped[int]


class Worker(Base):
    """A process that works on runs, one at a time.

    `machine` tells one boot of one host (and one container) from another: a process id means
    something only there.
    """

    __tablename__ = "worker"
    __table_args__ = (
        CheckConstraint("pid > 0", name="pid"),
        CheckConstraint("slot >= 0", name="slot"),
    )

    id: Mapped[PrimaryKey]
    host: Mapped[str]
    machine: Mapped[str]
    pid: Mapped[int]
    process_started_at: Mapped[float]
    device: Mapped[str]
    slot: Mapped[int]
    registered_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    code_id: Mapped[int | None] = mapped_column(ForeignKey("code.id"))
    packages_id: Mapped[int | None] = mapped_column(ForeignKey("packages.id"))
    device_model: Mapped[str | None]
    driver: Mapped[str | None]
    command: Mapped[str | None]


class Code(Base):
    """The source text that something ran with, once per content.

    `sources` is a compressed archive of the packages, `sources_sha256` that of their files; they
    tell the code where there is no repository. `commit` and `diff` are git's, and empty where the
    code is no checkout; `diff` is compressed, and holds what had not been committed.
    """

    __tablename__ = "code"
    __table_args__ = (
        UniqueConstraint("sources_sha256", "commit", "diff_sha256"),
        CheckConstraint("length(sources_sha256) = 64", name="sources_sha256"),
        CheckConstraint("length(diff_sha256) IN (0, 64)", name="diff_sha256"),
    )

    id: Mapped[PrimaryKey]
    sources_sha256: Mapped[str]
    commit: Mapped[str]
    diff_sha256: Mapped[str]
    version: Mapped[str]
    diff: Mapped[bytes]
    sources: Mapped[bytes]


class Packages(Base):
    """What was installed beside the code, a line `name==version` per package; once per content."""

    __tablename__ = "packages"
    __table_args__ = (
        UniqueConstraint("sha256"),
        CheckConstraint("length(sha256) = 64", name="sha256"),
    )

    id: Mapped[PrimaryKey]
    sha256: Mapped[str]
    python: Mapped[str]
    lines: Mapped[str]


class Reservation(Base):
    """A slot of a device of one machine that a process has taken: the books of all schedulers.

    `bytes` is the memory that its runs may take there. The holder is the scheduler while it
    starts a worker, then the worker. A reservation whose holder has ended counts for nothing.
    """

    __tablename__ = "reservation"
    __table_args__ = (
        UniqueConstraint("machine", "device", "slot"),
        CheckConstraint("pid > 0", name="pid"),
        CheckConstraint("slot >= 0", name="slot"),
        CheckConstraint("bytes >= 0", name="bytes"),
    )

    id: Mapped[PrimaryKey]
    machine: Mapped[str]
    device: Mapped[str]
    slot: Mapped[int]
    pid: Mapped[int]
    process_started_at: Mapped[float]
    bytes: Mapped[int]
    reserved_at: Mapped[datetime]


class Attempt(Base):
    """One try at a run by one worker. Its id is the fence: ids are never used twice.

    An attempt that goes on from a checkpoint names the attempt that wrote it (an earlier one, so
    there are no circles) and where that was: its data begin there.
    """

    __tablename__ = "attempt"
    __table_args__ = (
        UniqueConstraint("run_id", "number"),
        Index(
            "ix_attempt_one_running_per_run",
            "run_id",
            unique=True,
            sqlite_where=text("state = 'running'"),
        ),
        Index(
            "ix_attempt_one_finished_per_run",
            "run_id",
            unique=True,
            sqlite_where=text("state = 'finished'"),
        ),
        Index(
            "ix_attempt_one_running_per_worker",
            "worker_id",
            unique=True,
            sqlite_where=text("state = 'running'"),
        ),
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("env_frames >= 0 AND updates >= 0", name="progress"),
        CheckConstraint("(state = 'running') = (ended_at IS NULL)", name="ended_iff_not_running"),
        CheckConstraint(
            "(state = 'finished') = (seconds IS NOT NULL)", name="seconds_iff_finished"
        ),
        CheckConstraint("seconds IS NULL OR seconds >= 0", name="seconds"),
        CheckConstraint(
            "(state IN ('running', 'finished')) = (error IS NULL)", name="error_iff_ended_early"
        ),
        CheckConstraint("parent_id < id", name="parent_is_earlier"),
        CheckConstraint(
            "(parent_id IS NULL) = (resumed_env_frames IS NULL)", name="resumed_iff_parent"
        ),
        CheckConstraint("resumed_env_frames >= 0", name="resumed_env_frames"),
        CheckConstraint("point IS NULL OR state = 'failed'", name="point_if_failed"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[PrimaryKey]
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    number: Mapped[int]
    worker_id: Mapped[int] = mapped_column(ForeignKey("worker.id"))
    state: Mapped[AttemptState]
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    env_frames: Mapped[int]
    updates: Mapped[int]
    seconds: Mapped[float | None]
    error: Mapped[str | None]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("attempt.id"))
    resumed_env_frames: Mapped[int | None]
    point: Mapped[str | None]


class Checkpoint(Base):
    """A file from which a run can go on; `path` lies in the database's checkpoint directory."""

    __tablename__ = "checkpoint"
    __table_args__ = (
        UniqueConstraint("attempt_id", "env_frames"),
        CheckConstraint("env_frames >= 0", name="env_frames"),
        CheckConstraint("path <> ''", name="path"),
        CheckConstraint("length(sha256) = 64", name="sha256"),
        CheckConstraint("bytes > 0", name="bytes"),
    )

    id: Mapped[PrimaryKey]
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"))
    env_frames: Mapped[int]
    path: Mapped[str]
    sha256: Mapped[str]
    bytes: Mapped[int]
    created_at: Mapped[datetime]


class Artifact(Base):
    """Arrays that an attempt made for pictures, packed as the codec says: the newest of a kind."""

    __tablename__ = "artifact"
    __table_args__ = (
        UniqueConstraint("attempt_id", "kind"),
        CheckConstraint("kind <> ''", name="kind"),
        CheckConstraint("env_frames >= 0", name="env_frames"),
        CheckConstraint("codec <> ''", name="codec"),
    )

    id: Mapped[PrimaryKey]
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"))
    kind: Mapped[str]
    env_frames: Mapped[int]
    codec: Mapped[str]
    data: Mapped[bytes]
    created_at: Mapped[datetime]


class Metric(Base):
    """The name of a curve."""

    __tablename__ = "metric"
    __table_args__ = (UniqueConstraint("name"), CheckConstraint("name <> ''", name="named"))

    id: Mapped[PrimaryKey]
    name: Mapped[str]


class CurveChunk(Base):
    """A stretch of one curve of one attempt, compressed as its codec says."""

    __tablename__ = "curve_chunk"
    __table_args__ = (
        CheckConstraint("seq >= 0", name="seq"),
        CheckConstraint("codec <> ''", name="codec"),
        CheckConstraint("points > 0", name="points"),
        CheckConstraint("first_env_frames BETWEEN 0 AND last_env_frames", name="env_frames"),
    )

    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"), primary_key=True)
    metric_id: Mapped[int] = mapped_column(ForeignKey("metric.id"), primary_key=True)
    seq: Mapped[PrimaryKey]
    codec: Mapped[str]
    points: Mapped[int]
    first_env_frames: Mapped[int]
    last_env_frames: Mapped[int]
    env_frames_data: Mapped[bytes]
    values_data: Mapped[bytes]


class Activation(Base):
    """Whether a modification did anything in a finished attempt, by what the attempt recorded.

    `metric` is the curve that shows it.
    """

    __tablename__ = "activation"

    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"), primary_key=True)
    modification: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str]
    acted: Mapped[bool] = mapped_column(flag("acted"))


class Evaluation(Base):
    """One test episode; `length` is in agent_steps, and unknown of an imported one.

    NaN arrives as NULL and infinity fails the check: neither is a return.
    """

    __tablename__ = "evaluation"
    __table_args__ = (
        UniqueConstraint("attempt_id", "env_frames", "final", "policy", "episode"),
        CheckConstraint("env_frames >= 0", name="env_frames"),
        CheckConstraint("episode >= 0", name="episode"),
        CheckConstraint("length > 0", name="length"),
        CheckConstraint("policy <> ''", name="policy"),
        CheckConstraint("abs(episode_return) <= 1.7976931348623157e308", name="finite_return"),
    )

    id: Mapped[PrimaryKey]
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"))
    env_frames: Mapped[int]
    final: Mapped[bool] = mapped_column(flag("final"))
    policy: Mapped[str]
    episode: Mapped[int]
    episode_return: Mapped[float]
    length: Mapped[int | None]
    truncated: Mapped[bool] = mapped_column(flag("truncated"))


class Event(Base):
    """What happened to a run, when, and why."""

    __tablename__ = "event"
    __table_args__ = (Index(None, "run_id"),)

    id: Mapped[PrimaryKey]
    at: Mapped[datetime]
    kind: Mapped[EventKind]
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    attempt_id: Mapped[int | None] = mapped_column(ForeignKey("attempt.id"))
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"))
    detail: Mapped[str | None]


class ImportSource(Base):
    """A file that runs were imported from, and how it was read.

    `options` is JSON: what each format asks for differs. `normalization` names the table that
    the file's scores were made with; NULL where they are raw returns. `means` says that each
    number stands for an unknown number of runs.
    """

    __tablename__ = "import_source"
    __table_args__ = (
        UniqueConstraint("file", "sha256", "format", "options", "protocol"),
        CheckConstraint("file <> ''", name="file"),
        CheckConstraint("length(sha256) = 64", name="sha256"),
        CheckConstraint("format <> ''", name="format"),
        CheckConstraint("options <> ''", name="options"),
        CheckConstraint("protocol <> ''", name="protocol"),
        CheckConstraint("normalization <> ''", name="normalization"),
    )

    id: Mapped[PrimaryKey]
    file: Mapped[str]
    sha256: Mapped[str]
    format: Mapped[str]
    options: Mapped[str]
    protocol: Mapped[str]
    normalization: Mapped[str | None]
    means: Mapped[bool] = mapped_column(flag("means"))
    imported_at: Mapped[datetime]


class ImportedRun(Base):
    """A run that was not trained here: its file, and the point that is its score at the end.

    A curve that ended early has no such point.
    """

    __tablename__ = "imported_run"
    __table_args__ = (
        CheckConstraint("final_env_frames >= 0", name="final_env_frames"),
        Index(None, "source_id"),
    )

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("import_source.id"))
    final_env_frames: Mapped[int | None]


class Normalization(Base):
    """The returns of a random and of a human player, by table and game.

    `game_key` is the game's name in lower-case letters only, so that every spelling meets. The
    table "declared" holds what tasks say of themselves, under their whole names in lower case:
    the human's place is taken by the task's reference player.
    """

    __tablename__ = "normalization"
    __table_args__ = (
        CheckConstraint("game_key <> '' AND game_key = lower(game_key)", name="game_key"),
        CheckConstraint("human_return <> random_return", name="scale"),
    )

    table_id: Mapped[str] = mapped_column(primary_key=True)
    game_key: Mapped[str] = mapped_column(primary_key=True)
    game: Mapped[str]
    random_return: Mapped[float]
    human_return: Mapped[float]
