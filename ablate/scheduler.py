"""The scheduler: fills slots with worker processes, watches them, and shows progress."""

import queue as queues
import signal
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine

from ablate.announcing import Announcer
from ablate.disk import DiskGuard
from ablate.oversized import about_oversized
from ablate.placement import Placement, Seat
from ablate.processes import Message, WorkerProcess, death
from ablate.progress import Display, RunInHand, View, counted, duration
from ablate.pruning import prune
from ablate.signals import listening
from ablate.standing import Failure, Standing, run_label
from ablate.stopping import StopPlan
from results.database import queue
from results.database.errors import DatabaseError, DiskFull
from results.database.reservations import Full
from results.database.waiting import Waiting, waiting

MOST_CRASHES = 10
"""Workers that may die in a row without any run ending; then something is wrong with them all."""

MOST_BARREN = 3
"""Workers per slot that may end in a row without a claim although runs are queued."""

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
        self._in_hand: dict[int, RunInHand] = {}  # by the worker's number
        self._barren_workers: set[int] = set()  # that have not claimed anything yet
        self._standing = Standing.read(engine, study)
        self._waiting = self._count_waiting()
        self._shown = self._view()
        self._has_news = False
        self._next_look = self._next_recovery = self._next_placing = self._next_pruning = 0.0
        self._signals: list[signal.Signals] = []
        self._failed_here: set[int] = set()
        self._told_to_stop_at: float | None = None
        self._crashes = self._barren = self._finished_here = 0
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
                if failure.run_id not in self._failed_here
            ),
            finished_here=self._finished_here,
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
        if not self._has_room():
            return True
        now = time.monotonic()
        if now >= self._next_recovery:
            self._recover()
        if now >= self._next_pruning:
            self._next_pruning = now + PRUNE_EVERY_S
            for refused in prune(self._engine).refused:
                self._tell.say_once(f"pruning {refused.folder}", f"{refused}")
        if now >= self._next_look:
            self._look()
        if now >= self._next_placing:
            self._fill()
        self._tell.update(self._shown)
        if self._workers or self._is_anything_left():
            return True
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
        for worker in self._workers.values():
            queue.release_killed(self._engine, worker.pid, f"the worker was killed ({why})")
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
        self._barren_workers.add(number)
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
        for number, worker in list(self._workers.items()):
            code = worker.exit_code()
            if code is None:
                continue
            self._hear()
            run = self._in_hand.pop(number, None)
            del self._workers[number]
            self._next_placing = 0.0
            try:
                self._placement.give_back(worker.seat)
                self._judge(worker, code, run)
            finally:
                worker.close()

    def _judge(self, worker: WorkerProcess, code: int, run: RunInHand | None) -> None:
        """Decides what the end of a worker means for the others."""
        if self._is_stopping():
            return
        if self._disk.problem() is not None:
            return  # it could not write
        if code != 0:
            self._crashes += 1
            lost = f" while training {run.label}" if run else ""
            self._tell.say(f"worker on {worker.seat.label} died ({death(code)}){lost}")
        self._recover()
        self._look()
        if worker.number in self._barren_workers and self._waiting.ready_within(worker.seat.size):
            self._barren += 1
        barren = self._barren >= MOST_BARREN * self._most
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
            self._tell.say(f"run {released.run_id} is queued again: {released.reason}")
            self._next_look = 0.0

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
            case "started" if number in self._workers:
                self._barren_workers.discard(number)
                self._barren = 0
                label = run_label(values["arm"], values["game"], values["seed"])
                self._in_hand[number] = RunInHand(
                    run_id=values["run_id"],
                    label=label,
                    arm=values["arm"],
                    game=values["game"],
                    seat=self._workers[number].seat.label,
                )
                again = f" (attempt {values['number']})" if values["number"] > 1 else ""
                self._tell.say(f"{label}: started{again}")
                self._next_look = 0.0
            case "other_code":
                label = run_label(values["arm"], values["game"], values["seed"])
                self._tell.say(
                    f"{label}: trained with other source files than those that queued it; "
                    f"`ablate logs {values['run_id']} --origin` shows both"
                )
            case "resumed" | "checkpoint_refused" | "not_saved" as event if (
                number in self._in_hand
            ):
                self._tell.say(
                    f"{self._in_hand[number].label}: {_about_checkpoint(event, values)}"
                )
            case "progress" if number in self._in_hand:
                self._in_hand[number] = replace(
                    self._in_hand[number],
                    fraction=min(1.0, values["env_frames"] / values["budget"]),
                    phase=f"{values['phase']}, {values['updates']} updates",
                )
            case "finished" | "failed" | "tried_again" | "released" | "lost" as event:
                self._end_run(number, event, values)
            case "database_error" if values["disk_full"]:
                self._disk.note_full()
                self._tell.say_once("disk", values["error"])
            case "database_error":
                self._problem = self._problem or DatabaseError(values["error"])

    def _end_run(self, number: int, event: str, values: Mapping[str, Any]) -> None:
        run = self._in_hand.pop(number, None)
        self._next_look = 0.0
        if run is None:
            return
        if event in ("finished", "failed", "tried_again"):
            self._crashes = 0
        match event:
            case "finished":
                self._finished_here += 1
                self._look()
                self._tell.say(
                    f"{run.label}: finished in {duration(values['seconds'])} "
                    f"[{self._view().ended}/{self._view().total}]"
                )
            case "failed":
                self._failed_here.add(run.run_id)
                self._tell.say(f"{run.label}: failed: {values['error']}")
            case "tried_again":
                self._tell.say(f"{run.label}: will be tried again after {values['error']}")
            case "released":
                self._tell.say(f"{run.label}: back in the queue ({values['reason']})")
            case _:
                self._tell.say(
                    f"{run.label}: taken from its worker (cancelled, or its lease ran out)"
                )

    def _view(self) -> View:
        in_hand = list(self._in_hand.values())
        return View(
            name=self._study or "all studies",
            counts=self._standing.counts,
            in_hand=in_hand,
            seconds_left=self._standing.seconds_left(in_hand, self._most),
        )


def _as_problem(error: DatabaseError | OSError) -> "DatabaseError | SchedulerError":
    """What a scheduler that cannot go on ends with."""
    if isinstance(error, DatabaseError):
        return error
    return SchedulerError(
        f"The operating system refused what the workers need ({error}). They have saved their "
        "runs and handed them back to the queue."
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
