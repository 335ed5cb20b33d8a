"""What a worker writes while it works on a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from numpy.typing import NDArray
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from results.database import artifacts, checkpoints, curves
from results.database.activation import NO_PROOFS, Proofs, judge
from results.database.clock import Clock, utc_now
from results.database.engine import write
from results.database.records import (
    AttemptState,
    CheckpointRow,
    Claim,
    EpisodeRow,
    RunState,
)
from results.database.schema import Evaluation
from results.database.transitions import beat, end_attempt

FLUSH_POINTS = 100  # of one curve
FLUSH_SECONDS = 30
BEAT_SECONDS = 2  # progress is one small update: often enough for a live progress bar


class AttemptWriter:
    """Writes one attempt: curves, evaluations, checkpoints, progress, and how it ended.

    Points wait in memory until a curve has 100 of them or 30 s have passed, and are then written
    together with the heartbeat. The heartbeat alone is written every 2 s while `log`, `episode`
    or `progress` is called. Nothing is ever half-written, and what could not be written still
    waits in memory. Not for use by several threads.

    Every method raises `LeaseLost` if the attempt has ended meanwhile, and `DatabaseError` if the
    database cannot be written.
    """

    def __init__(self, engine: Engine, claim: Claim, *, clock: Clock = utc_now) -> None:
        self.claim = claim
        self._engine = engine
        self._clock = clock
        self._waiting: dict[str, tuple[list[int], list[float]]] = {}
        self._env_frames = 0
        self._updates = 0
        self.is_paused = False
        """Whether somebody wants the run to pause, as of the latest heartbeat."""
        self._flushed_at = self._beat_at = clock()

    def resume(self, parent: CheckpointRow) -> None:
        """Notes that the attempt goes on from a checkpoint; to be called before anything else.

        The run's curves are then the parent's up to there, and this attempt's after that.

        Raises:
            ValueError: If the checkpoint is not of an earlier attempt at this run.
        """
        now = self._clock()
        self._env_frames = parent.env_frames
        with write(self._engine) as session:
            self._beat(session, now)
            checkpoints.go_on(session, self.claim.run_id, self.claim.attempt_id, parent)
        self._beat_at = now

    def log(self, metric_values: Mapping[str, float], env_frames: int) -> None:
        """Adds a point to each of these curves; NaN is a value like any other."""
        for metric, value in metric_values.items():
            x, y = self._waiting.setdefault(metric, ([], []))
            x.append(env_frames)
            y.append(float(value))
        self._env_frames = max(self._env_frames, env_frames)
        self.flush()

    def episode(self, env_frames: int, episode_return: float, length: int) -> None:
        """Adds a training episode to the curves `episode_return` and `episode_length`."""
        self.log({"episode_return": episode_return, "episode_length": length}, env_frames)

    def evaluation(
        self, env_frames: int, episodes: Sequence[EpisodeRow], policy: str, final: bool
    ) -> None:
        """Writes the test episodes of one evaluation at once.

        Raises:
            IntegrityError: If a return is not finite, or an episode is written twice.
        """
        rows = [
            {
                "attempt_id": self.claim.attempt_id,
                "env_frames": env_frames,
                "final": final,
                "policy": policy,
                "episode": row.episode,
                "episode_return": row.episode_return,
                "length": row.length,
                "truncated": row.truncated,
            }
            for row in episodes
        ]
        now = self._clock()
        with write(self._engine) as session:
            self._write_waiting(session, now)
            if rows:
                session.execute(insert(Evaluation), rows)
        self._written(now)

    def checkpoint(self, env_frames: int, path: str, sha256: str, size: int) -> list[str]:
        """Notes a checkpoint file, with everything up to it, on the disk before it returns.

        Args:
            env_frames: How far the run is in it.
            path: The file, relative to `location.checkpoint_directory`.
            sha256: Of the file.
            size: Its bytes.

        Returns:
            Paths of older checkpoints of this run that are forgotten now (the latest two stay):
            the caller deletes the files.
        """
        now = self._clock()
        with write(self._engine, durable=True) as session:
            self._write_waiting(session, now)
            forgotten = checkpoints.add(
                session,
                run_id=self.claim.run_id,
                attempt_id=self.claim.attempt_id,
                env_frames=env_frames,
                path=path,
                sha256=sha256,
                size=size,
                at=now,
            )
        self._written(now)
        return forgotten

    def artifact(self, kind: str, env_frames: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Writes arrays for pictures, in the place of older ones of their kind.

        Raises:
            ValueError: If an array holds Python objects.
        """
        now = self._clock()
        with write(self._engine) as session:
            self._write_waiting(session, now)
            artifacts.put(session, self.claim.attempt_id, kind, env_frames, arrays, now)
        self._written(now)

    def progress(self, env_frames: int, updates: int) -> None:
        """Notes how far the attempt is."""
        self._env_frames, self._updates = env_frames, updates
        self.flush()

    def flush(self, force: bool = False) -> None:
        """Writes what waits if it is time to, and the heartbeat if that is due."""
        now = self._clock()
        longest = max((len(x) for x, _ in self._waiting.values()), default=0)
        if force or longest >= FLUSH_POINTS or _is_due(self._flushed_at, now, FLUSH_SECONDS):
            with write(self._engine) as session:
                self._write_waiting(session, now)
            self._written(now)
        elif _is_due(self._beat_at, now, BEAT_SECONDS):
            with write(self._engine) as session:
                self._beat(session, now)
            self._beat_at = now

    def finish(self, seconds: float, proofs: Proofs = NO_PROOFS) -> list[str]:
        """Ends the attempt and its run as finished, on the disk before it returns.

        Args:
            seconds: How long the attempt took.
            proofs: By which of its curves its modifications are judged.

        Returns:
            Paths of the run's checkpoints, which are forgotten now: the caller deletes the files.
        """
        now = self._clock()
        with write(self._engine, durable=True) as session:
            self._write_waiting(session, now)
            curves.compact(session, self.claim.attempt_id)
            judge(session, self.claim.attempt_id, proofs)
            end_attempt(
                session, self.claim.attempt_id, AttemptState.FINISHED, at=now, seconds=seconds
            )
            forgotten = checkpoints.forget(session, self.claim.run_id)
        self._written(now)
        return forgotten

    def fail(self, traceback: str, point: str | None = None) -> bool:
        """Ends the attempt as failed, with what waits; returns whether the run is tried again.

        Args:
            traceback: What happened.
            point: What was raised, and where; None where trying again is no use. The same point
                twice, with no checkpoint in between, is the end of the run.
        """
        return self._give_up(AttemptState.FAILED, traceback, point) is RunState.QUEUED

    def release(self, reason: str) -> None:
        """Hands the run back to the queue, as a worker does that is asked to stop."""
        self._give_up(AttemptState.RELEASED, reason)

    def _give_up(self, state: AttemptState, error: str, point: str | None = None) -> RunState:
        now = self._clock()
        with write(self._engine) as session:
            self._write_waiting(session, now)
            ended = end_attempt(
                session, self.claim.attempt_id, state, at=now, error=error, point=point
            )
        self._written(now)
        return ended.run_state

    def _beat(self, session: Session, now: datetime) -> None:
        self.is_paused = beat(session, self.claim.attempt_id, now, self._env_frames, self._updates)

    def _write_waiting(self, session: Session, now: datetime) -> None:
        """Writes the heartbeat first: it is what the fence stops."""
        self._beat(session, now)
        chunks = {metric: curves.Points.of(x, y) for metric, (x, y) in self._waiting.items()}
        curves.append(session, self.claim.attempt_id, chunks)

    def _written(self, now: datetime) -> None:
        self._waiting.clear()
        self._flushed_at = self._beat_at = now


def _is_due(since: datetime, now: datetime, seconds: float) -> bool:
    """Whether the time has passed, or the clock was set back so that nobody can tell."""
    return not 0 <= (now - since).total_seconds() < seconds
