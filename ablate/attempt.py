"""One attempt at a run: from its newest checkpoint on, to its end or until it is handed back."""

import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from ablate.rebuilding import OutdatedRun, rebuild
from ablate.run_files import RunFiles
from ablate.runspec import RunSpec
from agents.parts import Parts
from agents.training.checkpoint import Checkpoint, CheckpointError, Checkpoints
from agents.training.reports import (
    Dreams,
    Episode,
    Evaluation,
    Metrics,
    NotSaved,
    Progress,
    Report,
    Saved,
    Timing,
)
from results.database.errors import DatabaseError, LeaseLost
from results.database.location import checkpoint_directory
from results.database.queue import AttemptWriter
from results.database.records import CheckpointRow, Claim, EpisodeRow

STOP_SECONDS = 20.0
"""How long a run that is to be handed back may take until it is saved."""

TELL_SECONDS = 1.0
"""How often the scheduler is told how far a run is."""

Train = Callable[[RunSpec, Parts, Checkpoints, Checkpoint | None], Generator[Report, None, None]]
"""Trains one run, from a checkpoint or from the start; a test puts a stand-in here."""

Send = Callable[[Mapping[str, object]], None]
"""Tells the scheduler something."""


class Stopping(Protocol):
    """Says whether a run is to be handed back."""

    def reason(self) -> str | None:
        """Why, or None if the run goes on."""


class Attempt:
    """One try at a run by one worker.

    Args:
        engine: The database.
        claim: The run.
        train: What trains it.
        send: Is told what happens.
        stop: Says when to hand the run back.
        device_is_gone: Whether what the run is trained on has been removed.
    """

    def __init__(
        self,
        engine: Engine,
        claim: Claim,
        *,
        train: Train,
        send: Send,
        stop: Stopping,
        device_is_gone: Callable[[], bool] = lambda: False,
    ) -> None:
        self._claim, self._train, self._stop = claim, train, stop
        self._device_is_gone = device_is_gone
        self._send = send
        self._writer = AttemptWriter(engine, claim)
        self._files = RunFiles(checkpoint_directory(engine), claim.identity)
        self._warned = False  # that nothing can be saved
        self._phase, self._told_at = "", 0.0  # of what was told last

    def work(self) -> None:
        """Trains the run to its end, or until it fails or has to be handed back.

        Raises:
            DatabaseError: If the database cannot be used.
            LeaseLost: If the run has been given to another worker.
        """
        started = time.monotonic()
        self._tell("started", number=self._claim.number)
        self._files.clear_drafts()
        try:
            reason = self._train_until_stopped()
        except (DatabaseError, LeaseLost):
            raise
        except OutdatedRun as error:
            self._fail(str(error), str(error), None)
        except Exception as error:
            if self._device_is_gone():  # no fault of the run
                self._release(f"its device is gone ({_last_line(error)})")
            else:
                self._fail(traceback.format_exc(), _last_line(error), point_of(error))
        else:
            if reason is None:
                self._finish(time.monotonic() - started)
            else:
                self._release(reason)

    def _release(self, reason: str) -> None:
        self._writer.release(reason)
        self._tell("released", reason=reason)

    def _train_until_stopped(self) -> str | None:
        """Records what the run reports; returns why it has to be handed back, None at its end."""
        spec = RunSpec.from_json(self._claim.specification)
        parts = rebuild(spec, self._claim.identity)
        checkpoints = self._files.checkpoints()
        leaving: _Leaving | None = None
        with closing(self._reports(spec, parts, checkpoints)) as reports:
            for report in reports:
                self._record(report)
                if isinstance(report, Progress):
                    self._tell_progress(spec, report)
                if leaving is None and (reason := self._reason_to_leave()):
                    leaving = _Leaving(reason, time.monotonic() + STOP_SECONDS)
                    checkpoints.request()
                if leaving is not None and leaving.is_over(report):
                    return leaving.reason
        return None

    def _reason_to_leave(self) -> str | None:
        reason = self._stop.reason()
        return "the run was paused" if reason is None and self._writer.is_paused else reason

    def _reports(
        self, spec: RunSpec, parts: Parts, checkpoints: Checkpoints
    ) -> Generator[Report, None, None]:
        """Trains from the newest checkpoint that can be used, else from the start."""
        for row in self._claim.checkpoints:
            try:
                resumed = self._train(spec, parts, checkpoints, self._files.load(row))
                first = next(resumed)  # the checkpoint is put into the agent here
            except CheckpointError as error:
                self._tell("checkpoint_refused", env_frames=row.env_frames, reason=str(error))
                continue
            self._resume(row)
            with closing(resumed):
                yield first
                yield from resumed
            return
        yield from self._train(spec, parts, checkpoints, None)

    def _resume(self, row: CheckpointRow) -> None:
        self._writer.resume(row)
        self._tell(
            "resumed", env_frames=row.env_frames, number=self._claim.number, parent=row.number
        )

    def _record(self, report: Report) -> None:
        writer = self._writer
        match report:
            case Metrics(env_frames=env_frames, updates=updates, values=values):
                writer.log(values, env_frames)
                writer.progress(env_frames, updates)
            case Timing(env_frames=env_frames, values=values):
                writer.log(values, env_frames)
            case Episode():
                self._record_episode(report)
            case Evaluation():
                self._record_evaluation(report)
            case Dreams(env_frames=env_frames, arrays=arrays):
                writer.artifact("dreams", env_frames, arrays)
            case Saved():
                self._record_checkpoint(report)
            case NotSaved(env_frames=env_frames, reason=reason):
                if not self._warned:
                    self._tell("not_saved", env_frames=env_frames, reason=reason)
                self._warned = True
            case Progress(env_frames=env_frames, updates=updates):
                writer.progress(env_frames, updates)

    def _record_episode(self, episode: Episode) -> None:
        self._writer.episode(episode.env_frames, episode.episode_return, episode.length)
        values = {"discounted_return": episode.discounted_return}
        self._writer.log(values, episode.env_frames)

    def _record_evaluation(self, evaluation: Evaluation) -> None:
        rows = [
            EpisodeRow(
                episode=result.episode,
                episode_return=result.episode_return,
                length=result.length,
                truncated=result.truncated,
            )
            for result in evaluation.episodes
        ]
        shares = enumerate(evaluation.action_shares)
        values = {f"evaluation/action_{action}": share for action, share in shares}
        self._writer.log(values, evaluation.env_frames)
        self._writer.evaluation(
            evaluation.env_frames, rows, policy=evaluation.policy, final=evaluation.final
        )

    def _record_checkpoint(self, saved: Saved) -> None:
        """Writes down a checkpoint and deletes those that it makes superfluous."""
        name = self._files.name(saved.path)
        self._files.forget(
            self._writer.checkpoint(saved.env_frames, name, saved.sha256, saved.size)
        )
        self._warned = False
        self._tell("saved", env_frames=saved.env_frames)

    def _finish(self, seconds: float) -> None:
        proofs = RunSpec.from_json(self._claim.specification).proofs
        self._files.forget(self._writer.finish(seconds, proofs))
        self._files.clear()
        self._tell("finished", seconds=seconds)

    def _fail(self, text: str, last_line: str, point: str | None) -> None:
        tried_again = self._writer.fail(text, point)
        self._tell("tried_again" if tried_again else "failed", error=last_line)

    def _tell_progress(self, spec: RunSpec, report: Progress) -> None:
        """Tells how far the run is: now and then, and whenever it begins with something else."""
        now = time.monotonic()
        if report.phase == self._phase and now < self._told_at + TELL_SECONDS:
            return
        self._phase, self._told_at = report.phase, now
        self._tell(
            "progress",
            env_frames=report.env_frames,
            budget=spec.budget["env_frames"],
            updates=report.updates,
            phase=report.phase,
        )

    def _tell(self, event: str, **values: object) -> None:
        self._send({"event": event, **named(self._claim), **values})


def named(claim: Claim) -> dict[str, object]:
    """What every message about a run says of it."""
    return {
        "run_id": claim.run_id,
        "study": claim.study,
        "arm": claim.arm,
        "game": claim.game,
        "seed": claim.seed,
    }


@dataclass(frozen=True)
class _Leaving:
    """A run on its way back to the queue: it is saved first, if that takes no long time."""

    reason: str
    deadline: float

    def is_over(self, report: Report) -> bool:
        """Whether the run can be left now; nothing is saved during an evaluation."""
        evaluates = isinstance(report, Progress) and report.phase == "evaluate"
        saved = isinstance(report, Saved | NotSaved)
        return saved or evaluates or time.monotonic() >= self.deadline


def point_of(error: Exception) -> str:
    """What was raised, and where: two failures at one point are the same failure.

    `ValueError at training/loop.py:212`. The message is no part of it: it may hold an address or
    a time.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    place = Path(frames[-1].filename)
    name = Path(place.parent.name, place.name).as_posix()
    return f"{type(error).__name__} at {name}:{frames[-1].lineno}"


def _last_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
