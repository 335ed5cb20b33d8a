"""Frozen values that cross the seam between the database and everybody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands; the values are what the database stores."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AttemptState(StrEnum):
    """Where one try at a run stands.

    A lost attempt is one whose process died or whose lease ran out; a released one was handed
    back by its worker on purpose.
    """

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    LOST = "lost"
    RELEASED = "released"


class LookPurpose(StrEnum):
    """What a look at the results of a study decided."""

    TOP_UP = "top_up"
    CANCEL_SETTLED = "cancel_settled"


@dataclass(frozen=True)
class LookRecord:
    """A time at which the results of a study decided which of its runs are wanted.

    Attributes:
        purpose: Whether runs were added or cancelled.
        width: An interval narrower than this answered an effect; None: the permutation test did.
        effects: The toggles whose effects were asked for; none for all.
        batch: Seeds per look.
        ci: Level of the intervals, or one less the joint error of the tests.
        answered: Effects that were answered.
        unanswered: Effects that were not.
        changed_runs: Runs that were queued, or cancelled.
        finished_runs: Runs of the study that could be seen; filled in when it is written.
        at: When; filled in when it is written.
    """

    purpose: LookPurpose
    width: float | None
    effects: tuple[str, ...]
    batch: int
    ci: float
    answered: int
    unanswered: int
    changed_runs: int
    finished_runs: int = 0
    at: datetime | None = None

    @property
    def rule(self) -> tuple[object, ...]:
        """What must not change between two looks of one purpose."""
        return (self.width, self.effects, self.batch, self.ci)


@dataclass(frozen=True)
class ToggleRecord:
    """One toggle of a study; a plain bundle has the single level "on"."""

    name: str
    levels: tuple[str, ...]
    in_full: str


@dataclass(frozen=True)
class ArmRecord:
    """One arm of a study.

    Attributes:
        name: What this study calls it, for example `base+ratio`.
        identity: sha256 of the assembled agent, protocol, budget, precision and agent version.
        agent: Canonical JSON of the assembled agent.
        toggles: The toggles that are on, each with its level; empty for the base.
    """

    name: str
    identity: str
    agent: str
    toggles: Mapping[str, str]


@dataclass(frozen=True)
class RunRecord:
    """One run to submit.

    Attributes:
        identity: sha256 of everything that determines the run.
        arm: `ArmRecord.name` in the study that submits it.
        game: Name of the game: CamelCase, or an id such as `gymnasium:CartPole-v1`.
        seed: Seed of the run.
        specification: Canonical JSON from which a worker rebuilds the run.
        memory_bytes: What its agent says that it takes; None where nobody knows.
    """

    identity: str
    arm: str
    game: str
    seed: int
    specification: str
    memory_bytes: int | None = None


@dataclass(frozen=True)
class StudyRecord:
    """The contents of a study as the database keeps them.

    Attributes:
        name: Name of the study, equal to the name of its file.
        question: What the study wants to know.
        source: The text of the study file.
        contents_sha256: sha256 of the parsed contents: comments and layout do not count.
        protocol: Label of the protocol; equal text means equal protocol.
        env_frames: Length of every run, prefill included.
        prefill_frames: Frames collected before the first update, at least: one complete episode
            is needed too.
        designs: Names of the designs, in the order of the file.
        games: Names of the games, in the order of the file.
        seeds: Seeds, in the order of the file.
        toggles: Toggles, in the order of the file.
        arms: Arms in the order of the grid; no two have the same name or identity.
        evaluation: One readable phrase about the final evaluation.
    """

    name: str
    question: str
    source: str
    contents_sha256: str
    protocol: str
    env_frames: int
    prefill_frames: int
    designs: tuple[str, ...]
    games: tuple[str, ...]
    seeds: tuple[int, ...]
    toggles: tuple[ToggleRecord, ...]
    arms: tuple[ArmRecord, ...]
    evaluation: str


@dataclass(frozen=True)
class Submission:
    """What a submission found and did; the numbers add up to the runs that were submitted.

    Attributes:
        new: Runs queued for the first time.
        reused_finished: Runs that are finished, whichever study asked first.
        already_queued: Runs that were waiting.
        running: Runs that a worker has in hand.
        failed: Failed runs that were left alone.
        retried: Failed or cancelled runs that were queued again.
    """

    new: int = 0
    reused_finished: int = 0
    already_queued: int = 0
    running: int = 0
    failed: int = 0
    retried: int = 0


@dataclass(frozen=True)
class RunStatus:
    """What is known about a run before it is submitted again.

    Attributes:
        state: Where the run stands.
        seconds: How long it took; None unless it is finished, and by an attempt that did all of
            it (not one that went on from a checkpoint).
        attempts: How many attempts it has had.
    """

    state: RunState
    seconds: float | None
    attempts: int


@dataclass(frozen=True)
class CheckpointRow:
    """A checkpoint that an earlier attempt at a run left behind.

    Attributes:
        attempt_id: Row of the attempt that wrote it.
        env_frames: How far the run was.
        path: Its file, relative to `location.checkpoint_directory`.
        sha256: Of the file, so that a damaged one is known.
        size: Bytes of the file.
        number: Which attempt at the run wrote it; 1 for the first.
    """

    attempt_id: int
    env_frames: int
    path: str
    sha256: str
    size: int
    number: int


@dataclass(frozen=True)
class Claim:
    """A run in a worker's hand; `attempt_id` is the fence that every later write names.

    Attributes:
        run_id: Row of the run.
        attempt_id: Row of this attempt; never used twice.
        number: 1 for the first attempt at the run.
        identity: Identity of the run.
        game: Name of the game.
        seed: Seed of the run.
        arm: Name of the arm in `study`.
        study: The study asked for, else the first study that holds the run.
        specification: Canonical JSON from which the worker rebuilds the run.
        checkpoints: What earlier attempts at the run left to go on from, the furthest first.
    """

    run_id: int
    attempt_id: int
    number: int
    identity: str
    game: str
    seed: int
    arm: str
    study: str
    specification: str
    checkpoints: tuple[CheckpointRow, ...] = ()


@dataclass(frozen=True)
class Released:
    """A run that `release_dead` took from a worker, and why."""

    run_id: int
    reason: str


@dataclass(frozen=True)
class EpisodeRow:
    """One test episode of an evaluation; `length` is in agent_steps."""

    episode: int
    episode_return: float
    length: int
    truncated: bool


@dataclass(frozen=True)
class ImportSourceRecord:
    """A file that runs were imported from.

    Attributes:
        file: Its path, as it was named.
        sha256: Of its contents.
        format: How it was read.
        options: Canonical JSON of what else decided how it was read.
        protocol: Label of the protocol that its runs are said to follow.
        normalization: The table that its scores were made with; None where they are raw returns.
        means: Whether each of its numbers is a mean over an unknown number of runs.
    """

    file: str
    sha256: str
    format: str
    options: str
    protocol: str
    normalization: str | None
    means: bool


@dataclass(frozen=True)
class ImportedRunRecord:
    """A run that was not trained here.

    Attributes:
        run: The run, as it would have been submitted.
        source: The file that it comes from.
        env_frames: Where its points lie, increasing.
        values: What it scored there: returns, or scores where the source names a table.
        final_env_frames: The point that is its score at the end of the study; None where the
            curve ended early.
    """

    run: RunRecord
    source: ImportSourceRecord
    env_frames: tuple[int, ...]
    values: tuple[float, ...]
    final_env_frames: int | None


DECLARED = "declared"
"""The normalization table of what tasks say of themselves: each under its own exact name."""


@dataclass(frozen=True)
class NormalizationRow:
    """The returns of a random and of a human player in one game.

    In the table DECLARED `human` is the reference player that the task names.
    """

    game: str
    random: float
    human: float
