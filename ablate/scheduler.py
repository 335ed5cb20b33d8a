"""The scheduler: fills slots with worker processes, watches them, and shows progress."""

import queue as queues
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from sqlalchemy import Engine

from ablate.processes import Message, WorkerProcess, death
from ablate.progress import Display, RunInHand, View, counted, duration
from ablate.standing import Failure, Standing, run_label
from results.database import queue
from results.database.errors import DatabaseError

MOST_CRASHES = 10
"""Workers that may die in a row without any run ending; then something is wrong with them all."""

MOST_BARREN = 3
"""Workers per slot that may end in a row without a claim although runs are queued."""

LOOK_EVERY_S = 2.0
"""How often the database is asked where things stand, besides every time that a run ends."""

RECOVER_EVERY_S = 10.0
"""How often runs of dead workers are looked for, besides every time that one of ours dies."""

GRACE_S = 60.0
"""How long a worker may take to save its run and hand it back before it is killed."""

TICK_S = 0.1


class SchedulerError(Exception):
    """Workers that cannot work; one paragraph with what they last said."""


@dataclass(frozen=True)
class Outcome:
    """How the work ended.

    Attributes:
        counts: Runs by state.
        earlier_failures: The failed runs of what was worked on that the display was not told of.
        finished_here: Runs that this scheduler's workers finished.
        interrupted: Whether it was stopped before the end.
        seconds: How long it took.
    """

    counts: Mapping[str, int]
    earlier_failures: tuple[Failure, ...]
    finished_here: int
    interrupted: bool
    seconds: float


class Scheduler:
    """Runs workers until nothing is left to do.

    Args:
        engine: The database.
        database: The path or URL that the workers open.
        study: Works on this study only; None works on whatever is queued.
        slots: How many workers at most.
        display: Is told about progress.
    """

    def __init__(
        self, engine: Engine, *, database: str, study: str | None, slots: int, display: Display
    ) -> None:
        self._engine = engine
        self._database = database
        self._study = study
        self._slots = range(slots)
        self._display = display
        self._inbox: queues.Queue[Message] = queues.Queue()
        self._workers: dict[int, WorkerProcess] = {}
        self._in_hand: dict[int, RunInHand] = {}  # by slot
        self._barren_slots: set[int] = set()  # whose workers have not claimed anything yet
        self._standing = Standing.read(engine, study)
        self._next_look = self._next_recovery = 0.0
        self._interrupts = 0
        self._failed_here: set[int] = set()
        self._told_to_stop_at: float | None = None
        self._told_to_wait = False
        self._crashes = self._barren = self._finished_here = 0
        self._problem: DatabaseError | SchedulerError | None = None

    def run(self) -> Outcome:
        """Works until nothing is queued or running any more, or until it is interrupted.

        Raises:
            DatabaseError: If the database cannot be used any more.
            SchedulerError: If workers die again and again.
        """
        started = time.monotonic()
        with _listening(self._interrupt):
            try:
                while self._goes_on():
                    self._hear(TICK_S)
            finally:
                for worker in self._workers.values():
                    worker.kill()
                    worker.close()
                self._display.close()
        if self._problem is not None:
            raise self._problem
        self._look()
        return Outcome(
            counts=self._standing.counts,
            earlier_failures=tuple(
                failure
                for failure in self._standing.failures
                if failure.run_id not in self._failed_here
            ),
            finished_here=self._finished_here,
            interrupted=self._interrupts > 0,
            seconds=time.monotonic() - started,
        )

    def _interrupt(self) -> None:
        self._interrupts += 1

    def _goes_on(self) -> bool:
        """Does what is to be done now; False when nothing will be left to do."""
        try:
            self._reap()
            if self._interrupts or self._problem is not None:
                return self._stops()
            return self._works()
        except DatabaseError as error:
            if self._problem is not None:  # the second time: it is not coming back
                return bool(self._workers)
            self._problem = error
            return True

    def _works(self) -> bool:
        now = time.monotonic()
        if now >= self._next_recovery:
            self._recover()
        if now >= self._next_look:
            self._look()
        self._fill()
        self._display.update(self._view())
        if self._workers:
            return True
        self._recover()
        self._look()
        counts = self._standing.counts
        if counts["running"] and not counts["queued"] and not self._told_to_wait:
            self._told_to_wait = True
            self._display.say(
                f"{counted(counts['running'], 'run')} left, in the hands of other workers "
                f"({self._standing.holders}); waiting for them. Ctrl-C stops waiting."
            )
        return counts["queued"] > 0 or counts["running"] > 0

    def _stops(self) -> bool:
        now = time.monotonic()
        if self._told_to_stop_at is None:
            self._told_to_stop_at = now
            if self._interrupts and self._workers:
                self._display.say(
                    "Stopping: the workers save their runs and hand them back to the queue. "
                    "Ctrl-C again stops them at once."
                )
            for worker in self._workers.values():
                worker.stop()
        elif self._interrupts > 1 or now > self._told_to_stop_at + GRACE_S:
            for worker in self._workers.values():
                worker.kill()
            self._reap()
        if self._workers:
            return True
        if not isinstance(self._problem, DatabaseError):
            self._recover()
        return False

    def _fill(self) -> None:
        """Starts workers while runs are queued for which no worker is on its way."""
        for slot in self._slots:
            on_their_way = len(self._workers) - len(self._in_hand)
            if on_their_way >= self._standing.counts["queued"]:
                return
            if slot not in self._workers:
                self._barren_slots.add(slot)
                self._workers[slot] = WorkerProcess(
                    database=self._database, study=self._study, slot=slot, inbox=self._inbox
                )

    def _reap(self) -> None:
        """Takes the ended workers out of their slots."""
        for slot, worker in list(self._workers.items()):
            code = worker.exit_code()
            if code is None:
                continue
            self._hear(0)
            run = self._in_hand.pop(slot, None)
            del self._workers[slot]
            self._judge(worker, code, run)
            worker.close()

    def _judge(self, worker: WorkerProcess, code: int, run: RunInHand | None) -> None:
        """Decides what the end of a worker means for the others."""
        if self._problem is not None or self._interrupts:
            return
        if code != 0:
            self._crashes += 1
            lost = f" while training {run.label}" if run else ""
            self._display.say(f"worker {worker.slot} died ({death(code)}){lost}")
        self._recover()
        self._look()
        if worker.slot in self._barren_slots and self._standing.counts["queued"]:
            self._barren += 1
        barren = self._barren >= MOST_BARREN * len(self._slots)
        if barren or self._crashes >= MOST_CRASHES:
            words = worker.last_words() or "nothing"
            self._problem = SchedulerError(
                f"The workers keep ending without finishing a run; the last one ({death(code)}) "
                f"said:\n{words}\nThe unfinished runs are back in the queue."
            )

    def _recover(self) -> None:
        """Puts the runs of dead workers back into the queue."""
        self._next_recovery = time.monotonic() + RECOVER_EVERY_S
        for released in queue.release_dead(self._engine):
            self._display.say(f"run {released.run_id} is queued again: {released.reason}")
            self._next_look = 0.0

    def _look(self) -> None:
        self._next_look = time.monotonic() + LOOK_EVERY_S
        self._standing = Standing.read(self._engine, self._study)

    def _hear(self, timeout_s: float) -> None:
        """Takes in what the workers have said, and waits a moment if they have not."""
        try:
            message = self._inbox.get(timeout=timeout_s) if timeout_s else self._inbox.get_nowait()
            while True:
                self._take_in(message.slot, message.values)
                message = self._inbox.get_nowait()
        except queues.Empty:
            return

    def _take_in(self, slot: int, values: Mapping[str, Any]) -> None:
        match values["event"]:
            case "started":
                self._barren_slots.discard(slot)
                self._barren = 0
                label = run_label(values["arm"], values["game"], values["seed"])
                self._in_hand[slot] = RunInHand(
                    run_id=values["run_id"], label=label, arm=values["arm"], slot=slot
                )
                again = f" (attempt {values['number']})" if values["number"] > 1 else ""
                self._display.say(f"{label}: started{again}")
                self._next_look = 0.0
            case "resumed" | "checkpoint_refused" | "not_saved" as event if slot in self._in_hand:
                self._display.say(
                    f"{self._in_hand[slot].label}: {_about_checkpoint(event, values)}"
                )
            case "progress" if slot in self._in_hand:
                self._in_hand[slot] = replace(
                    self._in_hand[slot],
                    fraction=min(1.0, values["env_frames"] / values["budget"]),
                    phase=f"{values['phase']}, {values['updates']} updates",
                )
            case "finished" | "failed" | "released" | "lost" as event:
                self._end_run(slot, event, values)
            case "database_error":
                self._problem = self._problem or DatabaseError(values["error"])

    def _end_run(self, slot: int, event: str, values: Mapping[str, Any]) -> None:
        run = self._in_hand.pop(slot, None)
        self._next_look = 0.0
        if run is None:
            return
        if event in ("finished", "failed"):
            self._crashes = 0
        match event:
            case "finished":
                self._finished_here += 1
                self._look()
                self._display.say(
                    f"{run.label}: finished in {duration(values['seconds'])} "
                    f"[{self._view().ended}/{self._view().total}]"
                )
            case "failed":
                self._failed_here.add(run.run_id)
                self._display.say(f"{run.label}: failed: {values['error']}")
            case "released":
                self._display.say(f"{run.label}: back in the queue")
            case _:
                self._display.say(f"{run.label}: its lease ran out and another worker has it")

    def _view(self) -> View:
        in_hand = list(self._in_hand.values())
        return View(
            name=self._study or "all studies",
            counts=self._standing.counts,
            in_hand=in_hand,
            seconds_left=self._standing.seconds_left(in_hand, len(self._slots)),
        )


def _about_checkpoint(event: str, values: Mapping[str, Any]) -> str:
    """What happened to a checkpoint of a run, in words."""
    place = f"{values['env_frames']:,} env frames"
    match event:
        case "resumed":
            attempts = f"attempt {values['number']} from attempt {values['parent']}"
            return f"resumed at {place} ({attempts})"
        case "checkpoint_refused":
            return f"the checkpoint at {place} is passed over: {values['reason']}"
    return (
        f"no checkpoint could be written at {place} ({values['reason']}); the run goes on, and "
        "tries again later"
    )


@contextmanager
def _listening(interrupt: Callable[[], None]) -> Iterator[None]:
    """Calls `interrupt` for Ctrl-C, a polite kill and a closed terminal, and nothing else."""

    def receive(number: int, frame: FrameType | None) -> None:
        interrupt()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, receive) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
