"""The worker: a process that claims runs and works on them.

A process of its own, started by the scheduler. It works on one run after the other until none is
left, and tells the scheduler about it in lines of JSON on its standard output.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from types import FrameType

import torch
from sqlalchemy import Engine

from ablate.attempt import Attempt, Send, Train, named
from ablate.devices import Devices, ThisMachine
from ablate.disk import DiskGuard
from ablate.processes import EXIT_DATABASE
from ablate.provenance import origin_here
from ablate.runspec import RunSpec
from agents.config import Budget, Protocol
from agents.parts import Parts
from agents.precision import PRECISIONS
from agents.training import loop
from agents.training.checkpoint import Checkpoint, Checkpoints
from agents.training.process import set_up_gpu, set_up_process
from agents.training.reports import Report
from results.database import queue
from results.database.engine import open_database, wait_for_locks
from results.database.errors import DatabaseError, DatabaseLocked, DiskFull, LeaseLost
from results.database.provenance import Origin, is_other_code


def train(
    spec: RunSpec,
    parts: Parts,
    checkpoints: Checkpoints,
    resume: Checkpoint | None,
    *,
    device: str = "cpu",
) -> Generator[Report, None, None]:
    """Trains the run that a specification describes on a device of torch."""
    yield from loop.train(
        parts,
        game=spec.game,
        seed=spec.seed,
        protocol=Protocol.model_validate_json(json.dumps(spec.protocol)),
        budget=Budget.model_validate_json(json.dumps(spec.budget)),
        device=device,
        precision=PRECISIONS[spec.precision],
        checkpoints=checkpoints,
        resume=resume,
    )


def set_up_device(device: str) -> str:
    """Makes sure that the device is there, and prepares it.

    Returns:
        What torch calls it: a worker on a GPU sees no other one.

    Raises:
        DeviceGone: If torch does not see the GPU that this worker was put on.
    """
    if not device.startswith("cuda"):
        return "cpu"
    if not torch.cuda.is_available():
        raise DeviceGone(
            f"torch does not see {device}, on which this worker was put: the GPU was removed, "
            "or its driver does not fit this torch. `ablate doctor` says more."
        )
    set_up_gpu()
    return "cuda"


class DeviceGone(Exception):
    """A worker whose device is not there."""


class Condition(Enum):
    """What has become of a device, as a process sees it."""

    WELL = "well"
    BROKEN = "broken"
    """An error of CUDA stays with a process: in another one the device may be well."""
    GONE = "gone"


def condition_of(device: str, devices: Devices) -> Condition:
    """Whether something can still be computed on a device, and if not, whether it is there.

    A GPU that was removed fails every run that is tried on it: its worker has to end.
    """
    if not device.startswith("cuda"):
        return Condition.WELL
    try:
        torch.ones(1, device="cuda").add(1.0).item()
    except RuntimeError:  # AcceleratorError is one
        listed = any(one.name == device for one in devices.look())
        return Condition.BROKEN if listed else Condition.GONE
    return Condition.WELL


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
    engine: Engine,
    *,
    study: str | None,
    slot: int,
    train: Train,
    send: Send,
    stop: Stop,
    device: str = "cpu",
    room: int | None = None,
    nothing_new_after: float | None = None,
    origin: Origin | None = None,
    condition: Callable[[str], Condition] = lambda device: Condition.WELL,
    disk: DiskGuard | None = None,
) -> None:
    """Works on runs until none is left to claim, the disk is full, or something says stop.

    Args:
        engine: The database.
        study: Claims runs of this study only; None claims any.
        slot: Number of this worker on its device.
        device: What the database calls the device.
        room: The bytes of its memory that are reserved for this worker; None for any.
        nothing_new_after: The time, in seconds since 1970, from which on only runs are claimed
            that have been begun before; None for never.
        origin: With what, and by which command, it trains.
        train: What trains a run.
        send: Is told what happens.
        stop: Says when to stop.
        condition: Looks at the device after every run.
        disk: Says whether there is room to write; that of the database where not given.

    Raises:
        DatabaseError: If the database cannot be used.
        DeviceGone: If the device cannot be used any more: another run would only fail on it.
    """
    worker_id = queue.register_worker(engine, device=device, slot=slot, origin=origin)
    drains = False
    disk = disk if disk is not None else DiskGuard.of_database(engine)
    while stop.reason() is None and disk.problem() is None:
        drains = drains or (nothing_new_after is not None and time.time() >= nothing_new_after)
        claim = queue.claim(engine, worker_id, study=study, begun_only=drains, room=room)
        if claim is None:
            break
        if origin is not None and is_other_code(engine, claim.run_id, origin.code.sources_sha256):
            send({"event": "other_code", **named(claim)})
        try:
            Attempt(
                engine,
                claim,
                train=train,
                send=send,
                stop=stop,
                device_is_gone=lambda: condition(device) is Condition.GONE,
            ).work()
        except LeaseLost:
            send({"event": "lost", **named(claim)})
        if condition(device) is not Condition.WELL:
            queue.end_worker(engine, worker_id)
            raise DeviceGone(f"Nothing can be computed on {device} in this process any more.")
    queue.end_worker(engine, worker_id)


def _sender() -> Send:
    """Keeps standard output for messages; whatever else is printed goes to standard error."""
    messages = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(message: Mapping[str, object]) -> None:
        with suppress(BrokenPipeError):  # the scheduler is gone, which `Stop` notices
            os.write(messages, json.dumps(message).encode() + b"\n")

    return send


def _go_on_waiting(send: Send, stop: Stop) -> bool:
    """Tells that the database is locked; whether to wait for it."""
    send({"event": "database_locked"})
    return stop.reason() is None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a worker process; returns its exit code."""
    parser = argparse.ArgumentParser(prog="ablate.worker", description=__doc__)
    parser.add_argument("--db", required=True, help="path or URL of the database")
    parser.add_argument("--study", help="claim only runs of this study")
    parser.add_argument("--device", default="cpu", help="what the database calls the device")
    parser.add_argument("--slot", type=int, required=True, help="its slot of the device")
    parser.add_argument("--room", type=int, help="bytes of its memory that are reserved")
    parser.add_argument("--nothing-new-after", type=float, help="seconds since 1970")
    parser.add_argument("--parent", type=int, required=True, help="process id of the scheduler")
    options = parser.parse_args(arguments)
    stop = Stop(options.parent)
    stop.listen()
    send = _sender()
    try:
        engine = open_database(options.db)
        wait_for_locks(engine, partial(_go_on_waiting, send, stop))
        set_up_process()
        device = set_up_device(options.device)
        work(
            engine,
            study=options.study,
            slot=options.slot,
            train=partial(train, device=device),
            send=send,
            stop=stop,
            device=options.device,
            room=options.room,
            nothing_new_after=options.nothing_new_after,
            origin=origin_here(options.device, options.parent, ThisMachine()),
            condition=lambda device: condition_of(device, ThisMachine()),
        )
    except DatabaseError as error:
        if isinstance(error, DatabaseLocked):
            send({"event": "database_locked"})
        else:
            full = isinstance(error, DiskFull)
            send({"event": "database_error", "error": str(error), "disk_full": full})
        return EXIT_DATABASE
    except DeviceGone as error:
        sys.exit(str(error))  # to standard error: the scheduler shows a worker's last words
    return 0


if __name__ == "__main__":
    sys.exit(main())
