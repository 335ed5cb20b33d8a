"""The scheduler: fills slots with worker processes, watches them, and shows progress."""

import queue as queues
import signal
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from ablate.announcing import Announcer
from ablate.disk import DiskGuard
from ablate.health import Health
from ablate.in_hand import RunsInHand
from ablate.oversized import about_oversized
from ablate.placement import Placement, Seat
from ablate.processes import EXIT_DATABASE, Message, WorkerProcess, death
from ablate.progress import Display, RunInHand, View, counted
from ablate.pruning import prune
from ablate.recovery import Recovery
from ablate.signals import listening
from ablate.standing import Failure, Standing, last_line
from ablate.stopping import StopPlan
from results.database.errors import DatabaseError, DatabaseLocked, DiskFull
from results.database.reservations import Full
from results.database.waiting import Waiting, waiting

LOOK_EVERY_S = 2.0
"""How often the database is asked where things stand, besides every time that a run ends."""

LOOK_SHARE = 200.0
"""And not sooner than after so many times as long as the asking took: half a percent of a core."""

RECOVER_EVERY_S = 10.0
"""How often runs of dead workers are looked for, besides every time that one of ours dies."""

PRUNE_EVERY_S = 3600.0
"""How often old checkpoints are deleted, besides at the beginning."""

GRACE_S = 60.0
"""How long a worker may take to save its run and hand it back before it is killed."""

TICK_S = 0.5
"""How long it waits for a worker to say something, or to end, before it looks around by itself."""


class SchedulerError(Exception):
    """Workers that cannot work; one paragraph with what they last said."""


@dataclass(frozen=True)
class Outcome:
    """How the work ended.

    Attributes:
        counts: Runs by state.
        earlier_failures: The failed runs of what was worked on that the display was not told of.
        finished_here: Runs that this scheduler's workers finished.
        stopped_by: The first signal that stopped it before the end, or None.
        paused: How many queued runs somebody holds back.
        seconds: How long it took.
    """

    counts: Mapping[str, int]
    earlier_failures: tuple[Failure, ...]
    finished_here: int
    stopped_by: signal.Signals | None
    paused: int
    seconds: float


class Scheduler:
    """Runs workers until nothing is left to do.

    Args:
        engine: The database.
        database: The path or URL that the workers open.
        study: Works on this study only; None works on whatever is queued.
        placement: Finds seats for workers.
        display: Is told about progress.
        plan: When to stop.
        disk: Says whether there is room to write.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        database: str,
        study: str | None,
        placement: Placement,
        display: Display,
        plan: StopPlan | None = None,
        disk: DiskGuard | None = None,
    ) -> None:
        self._engine = engine
        self._database = database
        self._study = study
        self._placement = placement
        self._most = placement.slots.total
        self._tell = Announcer(display)
        self._plan = plan if plan is not None else StopPlan()
        self._disk = disk if disk is not None else DiskGuard.of_database(engine)
        self._inbox: queues.Queue[Message] = queues.Queue()
        self._heard: deque[Message] = deque()  # out of the inbox, and not yet taken in
        self._workers: dict[int, WorkerProcess] = {}  # by number
        self._started = 0
        self._in_hand = RunsInHand(self._tell, self._tally)
        self._health = Health(self._most)
        self._recovery = Recovery(engine)
        self._standing = Standing.read(engine, study)
        self._waiting = self._count_waiting()
        self._shown = self._view()
        self._has_news = False
        self._next_look = self._next_recovery = self._next_placing = self._next_pruning = 0.0
        self._signals: list[signal.Signals] = []
        self._told_to_stop_at: float | None = None
        self._problem: DatabaseError | SchedulerError | None = None

    def run(self) -> Outcome:
        """Works until nothing is queued or running any more, or until it is interrupted.

        Whether anybody reads what the display shows makes no difference.

        Raises:
            DatabaseError: If the database cannot be used any more.
            SchedulerError: If workers die again and again, or cannot be started.
        """
        started = time.monotonic()
        with listening(self._signals.append):
            try:
                while self._goes_on():
                    self._wait()
            finally:
                self._dismiss()
                self._tell.close()
        if self._problem is not None:
            raise self._problem
        self._look()
        return Outcome(
            counts=self._standing.counts,
            earlier_failures=tuple(
                failure
                for failure in self._standing.failures
                if failure.run_id not in self._in_hand.failed
            ),
            finished_here=self._in_hand.finished,
            stopped_by=self._signals[0] if self._signals else None,
            paused=self._waiting.paused,
            seconds=time.monotonic() - started,
        )

    def _goes_on(self) -> bool:
        """Does what is to be done now; False when nothing will be left to do."""
        try:
            self._hear()
            self._reap()
            return self._stops() if self._is_stopping() else self._works()
        except DiskFull as error:
            self._disk.note_full()
            self._tell.say_once("disk", str(error))
            return not self._is_stopping() or bool(self._workers)
        except DatabaseLocked:
            self._about_lock()
            return not self._is_stopping() or bool(self._workers)
        except (DatabaseError, OSError) as error:
            if self._problem is not None:  # the second time: it is not coming back
                return bool(self._workers)
            self._problem = _as_problem(error)
            return True

    def _is_stopping(self) -> bool:
        """Whether the workers have to end; once they have, no clock that is set back helps."""
        return (
            self._told_to_stop_at is not None
            or bool(self._signals)
            or self._problem is not None
            or self._plan.stops_now()
        )

    def _is_urgent(self) -> bool:
        """Whether it was told twice (a closed terminal is told by kernel and shell alike)."""
        return sum(one is not signal.SIGHUP for one in self._signals) > 1

    def _works(self) -> bool:
        now = time.monotonic()
        has_room = self._has_room()
        if has_room and now >= self._next_recovery:
            self._recover()
        if has_room and now >= self._next_pruning:
            self._next_pruning = now + PRUNE_EVERY_S
            for refused in prune(self._engine).refused:
                self._tell.say_once(f"pruning {refused.folder}", f"{refused}")
        if now >= self._next_look:
            self._look()
        if has_room and now >= self._next_placing:
            self._fill()
        self._tell.update(self._shown)
        if self._workers or self._is_anything_left():
            return True
        if has_room:
            self._recover()
        self._look()  # before it ends
        return self._is_anything_left()

    def _is_anything_left(self) -> bool:
        """Whether there is something to begin or to wait for, as of the last look."""
        return self._waiting.ready > 0 or self._is_anything_to_wait_for()

    def _is_anything_to_wait_for(self) -> bool:
        """Whether runs may come back that nobody can begin now; says which."""
        running = self._standing.counts["running"]
        if running and not self._can_begin():
            self._tell.say_once(
                "others",
                f"{counted(running, 'run')} left, in the hands of other workers "
                f"({self._standing.holders}); waiting for them. Ctrl-C stops waiting.",
            )
        if self._waiting.next_at is not None:
            self._tell.say_once(
                "delayed",
                f"{counted(self._waiting.delayed, 'run')} lost before: tried again from "
                f"{self._waiting.next_at.astimezone():%H:%M:%S} on.",
            )
        return running > 0 or self._waiting.delayed > 0

    def _has_room(self) -> bool:
        """Whether the disk has room to go on; a queue that waits for room goes on by itself."""
        problem = self._disk.problem()
        if problem is not None:
            if self._workers or self._is_anything_left():
                self._tell.say_once("disk", problem)
            return False
        if self._tell.is_over("disk"):
            self._tell.say("There is room on the disk again: the queue goes on.")
            self._next_recovery = self._next_look = 0.0
        return True

    def _stops(self) -> bool:
        now = time.monotonic()
        if self._told_to_stop_at is None:
            self._told_to_stop_at = now
            if self._workers and self._problem is None:
                why = "" if self._signals else ", as --until says"
                again = " Ctrl-C again stops them at once." if self._signals else ""
                self._tell.say(
                    f"Stopping{why}: the workers save their runs and hand them back to the queue."
                    f"{again}"
                )
            for worker in self._workers.values():
                worker.stop()
        elif self._is_urgent() or now > self._told_to_stop_at + GRACE_S:
            self._stop_at_once()
        if self._workers:
            return True
        if not isinstance(self._problem, DatabaseError):
            self._recover()
        return False

    def _stop_at_once(self) -> None:
        """Kills the workers; their runs are handed back, for they are not to blame."""
        why = "Ctrl-C twice" if self._is_urgent() else f"it was deaf for {GRACE_S:.0f} s"
        for worker in self._workers.values():
            worker.kill()
            self._recovery.is_to_hand_back(worker.pid, f"the worker was killed ({why})")
        self._recover()
        self._reap()

    def _dismiss(self) -> None:
        """Ends the workers that an error of this program has left, and lets them save first."""
        for worker in self._workers.values():
            worker.stop()
        deadline = time.monotonic() + GRACE_S
        while (
            any(worker.exit_code() is None for worker in self._workers.values())
            and time.monotonic() < deadline
            and not self._is_urgent()
        ):
            time.sleep(TICK_S)
        for worker in self._workers.values():
            worker.kill()
            worker.close()
            with suppress(DatabaseError):
                self._placement.give_back(worker.seat)

    def _fill(self) -> None:
        """Starts workers while runs are ready for which no worker is on its way."""
        while len(self._workers) < self._most and (sizes := self._wanted()):
            seat = self._placement.take(sizes)
            if isinstance(seat, Full):
                self._next_placing = time.monotonic() + LOOK_EVERY_S
                self._about_full(seat)
                return
            self._start(seat)

    def _wanted(self) -> set[int]:
        """The sizes of the ready runs for which no worker is on its way."""
        left = dict(self._waiting.ready_by_bytes)
        for number, worker in self._workers.items():
            fitting = [size for size, runs in left.items() if runs and size <= worker.seat.size]
            if number not in self._in_hand and fitting:
                left[max(fitting)] -= 1
        return {size for size, runs in left.items() if runs}

    def _start(self, seat: Seat) -> None:
        number = self._started = self._started + 1
        try:
            worker = WorkerProcess(
                database=self._database,
                study=self._study,
                number=number,
                seat=seat,
                inbox=self._inbox,
                nothing_new_after=self._plan.nothing_new_after,
            )
        except Exception:  # no more processes, files or memory, say
            self._placement.give_back(seat)
            raise
        self._workers[number] = worker
        self._placement.hand_over(seat, worker.pid)

    def _about_full(self, full: Full) -> None:
        """Says why no worker can be started; an end if only runs are left that never fit."""
        oversized = about_oversized(
            self._engine,
            self._study,
            self._placement,
            self._standing,
            begun_only=self._plan.drains_now(),
        )
        is_stuck = not (self._workers or self._can_begin() or self._is_anything_to_wait_for())
        if oversized is not None and is_stuck:
            self._problem = SchedulerError(oversized)
        elif oversized is not None:
            self._tell.say_once("oversized", f"{oversized} The others go on.")
        if not self._workers and self._can_begin():
            reasons = "; ".join(f"{name}: {reason}" for name, reason in full.reasons.items())
            self._tell.say_once(
                "full", f"Waiting for a free slot ({reasons}). Ctrl-C stops waiting."
            )

    def _can_begin(self) -> bool:
        """Whether a run is ready that fits on a device, as far as devices have been seen."""
        largest = self._placement.largest()
        if largest is None:
            return self._waiting.ready > 0
        return self._waiting.ready_within(largest[1]) > 0

    def _reap(self) -> None:
        """Takes the ended workers out of their seats."""
        ended = {
            number: code
            for number, worker in self._workers.items()
            if (code := worker.exit_code()) is not None
        }
        for number, code in ended.items():  # all of them before any is judged
            self._note_end(self._workers[number], code)
        for number, code in ended.items():
            self._hear()
            run = self._in_hand.drop(number)
            worker = self._workers.pop(number)
            self._next_placing = 0.0
            try:
                self._placement.give_back(worker.seat)
                self._judge(worker, code, run)
            finally:
                worker.close()

    def _note_end(self, worker: WorkerProcess, code: int) -> None:
        """Remembers what becomes of the run that an ended worker may have left."""
        if code == EXIT_DATABASE:
            self._recovery.is_to_hand_back(worker.pid, "its worker could not use the database")
        elif code:
            self._recovery.has_died(worker.pid, _how_it_died(worker, code))

    def _judge(self, worker: WorkerProcess, code: int, run: RunInHand | None) -> None:
        """Decides what the end of a worker means for the others."""
        if self._is_stopping():
            return
        died = code not in (0, EXIT_DATABASE)
        if died:
            lost = f" while training {run.label}" if run else ""
            self._tell.say(
                f"worker on {worker.seat.label} died{lost} ({_how_it_died(worker, code)})"
            )
        self._recover()
        self._look()
        if self._disk.problem() is not None:
            return  # it could not write
        runs_waited = self._waiting.ready_within(worker.seat.size) > 0
        self._health.ended(worker.number, died=died, runs_waited=runs_waited)
        if self._health.is_hopeless:
            words = worker.last_words() or "nothing"
            self._problem = SchedulerError(
                "The workers keep ending without any run coming further; the last one "
                f"({death(code)}) said:\n{words}\nThe unfinished runs are back in the queue."
            )

    def _recover(self) -> None:
        """Puts the runs of dead workers back into the queue."""
        self._next_recovery = time.monotonic() + RECOVER_EVERY_S
        for released in self._recovery.recover():
            self._tell.say(f"run {released.run_id} is queued again: {released.reason}")
            self._next_look = 0.0

    def _about_lock(self) -> None:
        self._tell.say_once(
            "lock",
            f"The runs wait: another process keeps the database {self._database} locked (a "
            "database browser in a transaction, or `ablate db vacuum`). Nothing is lost. Let it "
            "end, and they go on by themselves.",
        )

    def _look(self) -> None:
        """Asks the database where things stand; of a large one not too often."""
        began = time.thread_time()
        self._waiting = self._count_waiting()
        self._standing = Standing.read(self._engine, self._study)
        self._shown = self._view()
        took = time.thread_time() - began
        self._next_look = time.monotonic() + max(LOOK_EVERY_S, LOOK_SHARE * took)

    def _count_waiting(self) -> Waiting:
        return waiting(self._engine, self._study, begun_only=self._plan.drains_now())

    def _wait(self) -> None:
        """Waits a moment, or until a worker says something."""
        with suppress(queues.Empty):
            self._heard.append(self._inbox.get(timeout=TICK_S))

    def _hear(self) -> None:
        """Takes in what the workers have said."""
        try:
            while True:
                heard = self._heard.popleft() if self._heard else self._inbox.get_nowait()
                self._take_in(heard.number, heard.values)
        except queues.Empty:
            return
        finally:
            if self._has_news:
                self._shown, self._has_news = self._view(), False

    def _take_in(self, number: int, values: Mapping[str, Any]) -> None:
        self._has_news = True
        match values["event"]:
            case "started":
                self._health.claimed(number)
                self._next_look = 0.0
            case "saved":
                self._health.came_further(number)
            case "finished" | "failed" | "tried_again":
                self._health.came_further(number)
                self._next_look = 0.0
            case "released" | "lost":
                self._next_look = 0.0
            case "database_locked":
                self._about_lock()
            case "database_error" if values["disk_full"]:
                self._disk.note_full()
                self._tell.say_once("disk", values["error"])
            case "database_error":
                self._problem = self._problem or DatabaseError(values["error"])
        if number in self._workers:
            self._in_hand.take_in(number, self._workers[number].seat.label, values)

    def _tally(self) -> str:
        self._look()
        return f"[{self._shown.ended}/{self._shown.total}]"

    def _view(self) -> View:
        in_hand = self._in_hand.all()
        return View(
            name=self._study or "all studies",
            counts=self._standing.counts,
            in_hand=in_hand,
            seconds_left=self._standing.seconds_left(in_hand, self._most),
        )


def _how_it_died(worker: WorkerProcess, code: int) -> str:
    last = last_line(worker.last_words())
    return f"{death(code)}: {last}" if last else death(code)


def _as_problem(error: DatabaseError | OSError) -> "DatabaseError | SchedulerError":
    """What a scheduler that cannot go on ends with."""
    if isinstance(error, DatabaseError):
        return error
    return SchedulerError(
        f"The operating system refused what the workers need ({error}). They have saved their "
        "runs and handed them back to the queue."
    )
