"""The worker: claims a run, builds its agent, trains it, and writes what it reports.

A process of its own, started by the scheduler. It works on one run after the other until none is
left, and tells the scheduler about it in lines of JSON on its standard output.
"""

import argparse
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from types import FrameType

from sqlalchemy import Engine

from ablate.runspec import RunSpec, differences
from agents import AGENT_VERSION
from agents.assemble import AssemblyError, assemble
from agents.config import AgentConfig, Budget, Protocol
from agents.modifications import REGISTRY
from agents.parts import Parts
from agents.training import loop
from agents.training.reports import Episode, Evaluation, Metrics, Progress, Report
from results.database import queue
from results.database.engine import open_database
from results.database.errors import DatabaseError, LeaseLost
from results.database.records import Claim, EpisodeRow

EXIT_DATABASE = 3
"""Exit code of a worker that cannot use the database: no other worker could."""

DEVICE = "cpu"

Train = Callable[[RunSpec, Parts], Generator[Report, None, None]]
"""Trains one run; a test puts a stand-in here."""

Send = Callable[[Mapping[str, object]], None]
"""Tells the scheduler something."""


class OutdatedRun(Exception):
    """A run that this code would train otherwise than it was submitted."""


def train(spec: RunSpec, parts: Parts) -> Generator[Report, None, None]:
    """Trains the run that a specification describes."""
    yield from loop.train(
        parts,
        game=spec.game,
        seed=spec.seed,
        protocol=Protocol.model_validate_json(json.dumps(spec.protocol)),
        budget=Budget.model_validate_json(json.dumps(spec.budget)),
        device=DEVICE,
    )


def rebuild(spec: RunSpec, identity: str) -> Parts:
    """The parts of the agent that a specification describes.

    Args:
        spec: As it was submitted.
        identity: Of the run, which the rebuilt agent must have too.

    Raises:
        OutdatedRun: If this code makes another agent of it than the code that submitted it.
    """
    try:
        config = AgentConfig.model_validate_json(json.dumps(spec.config))
        modifications = [
            REGISTRY[name].model_validate_json(json.dumps(settings))
            for name, settings in spec.modifications
        ]
        parts = assemble(config, modifications)
    except (AssemblyError, KeyError, ValueError) as error:
        raise OutdatedRun(
            f"this code cannot build the run's agent any more ({error!r}); {_RESUBMIT}"
        ) from error
    now = replace(spec, agent=parts.describe(), agent_version=AGENT_VERSION)
    if now.identity != identity:
        changes = differences(spec.determinants, now.determinants)
        listed = "; ".join(f"{c.path}: {c.left} then, {c.right} now" for c in changes[:5])
        raise OutdatedRun(
            f"the agent has changed since the run was submitted ({listed}); {_RESUBMIT}"
        )
    return parts


_RESUBMIT = (
    "go back to the version of the code that submitted it, or submit the study under a new name"
)


class Stop:
    """Whether the worker should hand its run back: a signal came, or its scheduler is gone."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._signal: str | None = None

    def listen(self) -> None:
        """Turns SIGTERM and SIGINT into an orderly stop."""
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGINT, self._receive)

    def reason(self) -> str | None:
        """Why the worker should stop, or None if it should go on."""
        if self._signal is not None:
            return f"the worker was stopped ({self._signal})"
        if os.getppid() != self._parent:
            return "the scheduler is gone"
        return None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._signal = signal.Signals(number).name


def work(
    engine: Engine, *, study: str | None, slot: int, train: Train, send: Send, stop: Stop
) -> None:
    """Works on runs until none is left to claim, or something says stop.

    Args:
        engine: The database.
        study: Claims runs of this study only; None claims any.
        slot: Number of this worker on its machine.
        train: What trains a run.
        send: Is told what happens.
        stop: Says when to stop.

    Raises:
        DatabaseError: If the database cannot be used.
    """
    worker_id = queue.register_worker(engine, device=DEVICE, slot=slot)
    while stop.reason() is None:
        claim = queue.claim(engine, worker_id, study=study)
        if claim is None:
            break
        try:
            _attempt(engine, claim, train=train, send=send, stop=stop)
        except LeaseLost:
            send({"event": "lost", **_named(claim)})
    queue.end_worker(engine, worker_id)


def _attempt(engine: Engine, claim: Claim, *, train: Train, send: Send, stop: Stop) -> None:
    """Trains one run to its end, or until it fails or has to be handed back.

    Raises:
        DatabaseError: If the database cannot be used.
        LeaseLost: If the run has been given to another worker.
    """
    writer = queue.AttemptWriter(engine, claim)
    started = time.monotonic()
    send({"event": "started", "number": claim.number, **_named(claim)})
    try:
        spec = RunSpec.from_json(claim.specification)
        parts = rebuild(spec, claim.identity)
        with closing(train(spec, parts)) as reports:
            for report in reports:
                if reason := stop.reason():
                    writer.release(reason)
                    send({"event": "released", "reason": reason, **_named(claim)})
                    return
                _record(writer, report)
                if isinstance(report, Progress):
                    send(_progress(claim, spec, report))
    except (DatabaseError, LeaseLost):
        raise
    except OutdatedRun as error:
        _fail(writer, claim, str(error), str(error), send)
    except Exception as error:
        _fail(writer, claim, traceback.format_exc(), _last_line(error), send)
    else:
        seconds = time.monotonic() - started
        writer.finish(seconds)
        send({"event": "finished", "seconds": seconds, **_named(claim)})


def _fail(
    writer: queue.AttemptWriter, claim: Claim, text: str, last_line: str, send: Send
) -> None:
    writer.fail(text)
    send({"event": "failed", "error": last_line, **_named(claim)})


def _record(writer: queue.AttemptWriter, report: Report) -> None:
    match report:
        case Metrics(env_frames=env_frames, updates=updates, values=values):
            writer.log(values, env_frames)
            writer.progress(env_frames, updates)
        case Episode(env_frames=env_frames, episode_return=episode_return, length=length):
            writer.episode(env_frames, episode_return, length)
        case Evaluation(env_frames=env_frames, episodes=episodes, policy=policy, final=final):
            rows = [
                EpisodeRow(
                    episode=result.episode,
                    episode_return=result.episode_return,
                    length=result.length,
                    truncated=result.truncated,
                )
                for result in episodes
            ]
            writer.evaluation(env_frames, rows, policy=policy, final=final)
        case Progress(env_frames=env_frames, updates=updates):
            writer.progress(env_frames, updates)


def _named(claim: Claim) -> dict[str, object]:
    return {
        "run_id": claim.run_id,
        "study": claim.study,
        "arm": claim.arm,
        "game": claim.game,
        "seed": claim.seed,
    }


def _progress(claim: Claim, spec: RunSpec, report: Progress) -> dict[str, object]:
    budget = spec.budget["env_frames"]
    return {
        "event": "progress",
        "run_id": claim.run_id,
        "env_frames": report.env_frames,
        "budget": budget,
        "updates": report.updates,
        "phase": report.phase,
    }


def _last_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _sender() -> Send:
    """Keeps standard output for messages; whatever else is printed goes to standard error."""
    messages = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(message: Mapping[str, object]) -> None:
        with suppress(BrokenPipeError):  # the scheduler is gone, which `Stop` notices
            os.write(messages, json.dumps(message).encode() + b"\n")

    return send


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a worker process; returns its exit code."""
    parser = argparse.ArgumentParser(prog="ablate.worker", description=__doc__)
    parser.add_argument("--db", required=True, help="path or URL of the database")
    parser.add_argument("--study", help="claim only runs of this study")
    parser.add_argument("--slot", type=int, required=True, help="number of this worker")
    parser.add_argument("--parent", type=int, required=True, help="process id of the scheduler")
    options = parser.parse_args(arguments)
    stop = Stop(options.parent)
    stop.listen()
    send = _sender()
    try:
        engine = open_database(options.db)
        loop.set_up_process()
        work(engine, study=options.study, slot=options.slot, train=train, send=send, stop=stop)
    except DatabaseError as error:
        send({"event": "database_error", "error": str(error)})
        return EXIT_DATABASE
    return 0


if __name__ == "__main__":
    sys.exit(main())
