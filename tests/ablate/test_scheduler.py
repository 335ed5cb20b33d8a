"""The scheduler with workers that claim and finish, but do not train."""

import errno
import queue as queues
import signal
import sqlite3
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from ablate import health, planner, processes, scheduler
from ablate.assembly import assemble_study
from ablate.devices import Device, Devices, Slots
from ablate.disk import RESERVE_BYTES, DiskGuard
from ablate.placement import Placement
from ablate.progress import View
from ablate.scheduler import Outcome, Scheduler, SchedulerError
from ablate.signals import listening
from ablate.stopping import StopPlan
from results.database import control, queue, reading
from results.database import engine as engine_module
from results.database.clock import utc_now
from results.database.control import Selection
from results.database.engine import read, write
from results.database.errors import DatabaseError
from results.database.processes import ProcessRecord, this_machine

WORKER = """
import json, os, signal, sys, time
from results.database import queue
from results.database.engine import open_database

def say(event, claim=None, **values):
    if claim is not None:
        values = {"run_id": claim.run_id, "arm": claim.arm, "game": claim.game,
                  "seed": claim.seed, "number": claim.number, **values}
    print(json.dumps({"event": event, **values}), flush=True)

engine = open_database(sys.argv[1])
worker = queue.register_worker(engine, device="cpu", slot=0)
while (claim := queue.claim(engine, worker, room=int(sys.argv[2]))) is not None:
    writer = queue.AttemptWriter(engine, claim)
    say("started", claim)
    say("progress", claim, env_frames=500, budget=1000, updates=3, phase="train")
    BEHAVIOUR
    writer.finish(2.0)
    say("finished", claim, seconds=2.0)
queue.end_worker(engine, worker)
"""


def device(name: str, free: int = 10**12, used: dict[int, int] | None = None) -> Device:
    return Device(
        name=name,
        visible="" if name == "cpu" else f"GPU-{name}",
        model="fake",
        driver=None,
        total_bytes=80 * 10**9,
        free_bytes=free,
        used_bytes=used if used is not None else {},
    )


class FakeDevices:
    """Devices that are always the same."""

    def __init__(self, *devices: Device) -> None:
        self.devices = devices

    def look(self) -> tuple[Device, ...]:
        return self.devices


class Lines:
    """A display that keeps what it is shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.views: list[View] = []
        self.closed = False

    def say(self, line: str) -> None:
        self.lines.append(line)

    def update(self, view: View) -> None:
        self.views.append(view)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def display() -> Lines:
    return Lines()


@pytest.fixture
def schedule(parsed, engine, display, monkeypatch, tmp_path):
    """Submits the small study (eight runs) and schedules it with workers that behave so."""
    planner.submit(assemble_study(parsed(("seeds = 2", "seeds = 1"))), engine)
    database = str(tmp_path / "ablate.sqlite")

    def run(
        behaviour: str = "pass",
        *,
        script: str | None = None,
        slots: int = 2,
        devices: Devices | None = None,
        min_free: int = 0,
        **more,
    ) -> Outcome:
        code = script if script is not None else WORKER.replace("BEHAVIOUR", behaviour)
        path = tmp_path / "worker.py"
        path.write_text(code)
        monkeypatch.setattr(
            processes,
            "worker_command",
            lambda **how: [sys.executable, str(path), database, str(how["room"])],
        )
        seen = devices if devices is not None else FakeDevices(device("cpu"))
        each = {one.name: slots for one in seen.look()}
        placement = Placement(engine, seen, Slots(each, slots * len(each)), min_free)
        return Scheduler(
            engine, database=database, study="mini", placement=placement, display=display, **more
        ).run()

    return run


def once(tmp_path: Path, then: str) -> str:
    """Code that the first worker to reach it runs, and no other."""
    flag = tmp_path / "flag"
    return f"""
    try:
        os.close(os.open({str(flag)!r}, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        pass
    else:
        {then}
    """


def test_all_runs_are_finished_once(schedule, engine, display) -> None:
    outcome = schedule()
    assert outcome.counts["finished"] == outcome.finished_here == 8
    assert outcome.stopped_by is None
    assert set(reading.runs(engine, "mini")["attempts"]) == {1}
    assert sum("finished in 2 s" in line for line in display.lines) == 8
    assert any("[8/8]" in line for line in display.lines)
    assert display.closed


def test_progress_of_the_runs_in_hand_is_shown(schedule, display) -> None:
    schedule("time.sleep(0.3)")
    shown = [run for view in display.views for run in view.in_hand]
    assert any(run.fraction == 0.5 and run.phase == "train, 3 updates" for run in shown)
    assert max(len(view.in_hand) for view in display.views) == 2
    assert display.views[-1].counts["finished"] >= 6


def test_no_more_workers_are_started_than_runs_are_queued(schedule, monkeypatch) -> None:
    started = []
    original = scheduler.WorkerProcess

    def counting(**options):
        started.append(options["seat"].slot)
        return original(**options)

    monkeypatch.setattr(scheduler, "WorkerProcess", counting)
    schedule(slots=30)
    assert len(started) <= 8


def test_a_run_whose_worker_was_killed_is_done_again(schedule, engine, display, tmp_path) -> None:
    outcome = schedule(once(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)"))
    assert outcome.counts["finished"] == 8
    assert sorted(reading.runs(engine, "mini")["attempts"]) == [1] * 7 + [2]
    assert any("killed by SIGKILL" in line for line in display.lines)


def test_runs_of_a_dead_worker_of_an_earlier_scheduler_are_taken_over(schedule, engine) -> None:
    dead = ProcessRecord("here", this_machine(), 999_999_999, 1.0)
    worker = queue.register_worker(engine, device="cpu", slot=0, process=dead)
    assert queue.claim(engine, worker) is not None
    started = time.monotonic()
    assert schedule().counts["finished"] == 8
    assert time.monotonic() - started < 30


def test_a_failed_run_is_told_once(schedule, engine, display) -> None:
    worker = queue.register_worker(engine, device="cpu", slot=0)
    earlier = queue.claim(engine, worker)
    assert earlier is not None
    queue.AttemptWriter(engine, earlier).fail("Traceback\nValueError: too bright\n")
    outcome = schedule(
        "if claim.arm == 'full':\n"
        "        writer.fail('Traceback\\n  line\\nValueError: too dark\\n')\n"
        "        say('failed', claim, error='ValueError: too dark')\n"
        "        continue"
    )
    assert outcome.counts["failed"] == 3
    assert [failure.error for failure in outcome.earlier_failures] == ["ValueError: too bright"]
    assert {line for line in display.lines if "failed" in line} == {
        "full · Pong · seed 0: failed: ValueError: too dark",
        "full · Assault · seed 0: failed: ValueError: too dark",
    }


def test_workers_that_cannot_start_end_the_work(schedule, engine) -> None:
    with pytest.raises(SchedulerError, match="no module named torch"):
        schedule(script="raise SystemExit('no module named torch')", slots=1)
    assert reading.counts(engine, "mini")["queued"] == 8


def test_workers_that_always_crash_end_the_work(schedule, engine, monkeypatch) -> None:
    monkeypatch.setattr(health, "MOST_DEATHS", 3)
    with pytest.raises(SchedulerError, match="exit code 7"):
        schedule("sys.exit(7)", slots=1)
    counts = reading.counts(engine, "mini")
    assert counts["running"] == 0
    assert counts["queued"] == 8


def test_workers_that_die_while_their_runs_come_further_are_replaced(
    schedule, engine, monkeypatch
) -> None:
    monkeypatch.setattr(health, "MOST_DEATHS", 1)
    control.pause(engine, Selection(runs=tuple(range(2, 9))))
    dies = (
        "if claim.number == 1:\n        say('saved', claim, env_frames=400)\n        sys.exit(7)"
    )
    assert schedule(dies, slots=1).counts["finished"] == 1


def test_what_a_worker_said_last_is_shown_and_kept(schedule, engine, display, tmp_path) -> None:
    last = "raise MemoryError('no room for the replay buffer')"
    assert schedule(once(tmp_path, last), slots=1).counts["finished"] == 8
    how = "exit code 1: MemoryError: no room for the replay buffer"
    label = "base · Pong · seed 0"
    assert f"worker on cpu, slot 0 died while training {label} ({how})" in display.lines
    with read(engine) as session:
        (error,) = session.scalars(text("SELECT error FROM attempt WHERE state = 'lost'")).all()
    assert error.endswith(f" died ({how})")


def test_a_damaged_database_ends_the_work_with_its_paragraph(schedule, engine) -> None:
    with pytest.raises(DatabaseError, match="it is damaged"):
        schedule("say('database_error', error='it is damaged', disk_full=False); sys.exit(3)")
    assert reading.counts(engine, "mini")["finished"] == 0


RELEASING = """
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    say('listening')
    while not told:
        time.sleep(0.02)
    writer.release('stopped')
    say('released', claim, reason='stopped')
    break"""

DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def interrupt(display: Lines, times: int = 1, what: signal.Signals = signal.SIGINT) -> None:
    """Presses Ctrl-C, or sends another signal, as soon as two runs are in hand."""

    def press() -> None:
        while not any(len(view.in_hand) == 2 for view in display.views):
            time.sleep(0.02)
        time.sleep(0.2)
        for _ in range(times):
            signal.raise_signal(what)
            time.sleep(0.5)

    threading.Thread(target=press, daemon=True).start()


def test_ctrl_c_hands_the_runs_back(schedule, engine, display) -> None:
    interrupt(display)
    outcome = schedule(RELEASING)
    assert outcome.stopped_by is signal.SIGINT
    assert reading.counts(engine, "mini")["queued"] == 8
    assert sum("back in the queue" in line for line in display.lines) == 2


def test_a_second_ctrl_c_stops_workers_that_do_not_listen(schedule, engine, display) -> None:
    interrupt(display, times=2)
    started = time.monotonic()
    outcome = schedule(DEAF)
    assert time.monotonic() - started < 20
    assert outcome.stopped_by is signal.SIGINT
    assert reading.counts(engine, "mini")["queued"] == 8
    with read(engine) as session:
        assert session.scalars(text("SELECT sum(losses) FROM run")).one() == 0
        ends = session.execute(text("SELECT state, error FROM attempt")).all()
    assert set(ends) == {("released", "the worker was killed (Ctrl-C twice)")}


class ClosedTerminal(Lines):
    """A display that cannot be written to from a signal on."""

    def _check(self) -> None:
        if any(len(view.in_hand) == 2 for view in self.views):
            raise OSError(errno.EIO, "Input/output error")

    def say(self, line: str) -> None:
        self._check()
        super().say(line)

    def update(self, view: View) -> None:
        self._check()
        super().update(view)

    def close(self) -> None:
        raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("display", [ClosedTerminal()])
def test_a_closed_terminal_hands_the_runs_back(schedule, engine, display) -> None:
    interrupt(display, times=2, what=signal.SIGHUP)  # one of the kernel, one of the shell
    outcome = schedule(RELEASING)
    assert outcome.stopped_by is signal.SIGHUP
    with read(engine) as session:
        ends = session.execute(text("SELECT state, error FROM attempt")).all()
    assert ends == [("released", "stopped")] * 2


@pytest.mark.parametrize("display", [ClosedTerminal()])
def test_the_work_goes_on_though_nobody_reads_what_it_shows(schedule, display) -> None:
    assert schedule("time.sleep(0.3)").counts["finished"] == 8
    assert not any("[8/8]" in line for line in display.lines)


def test_a_signal_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        heard: list[signal.Signals] = []
        with listening(heard.append):
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)


def refuse_the_second_worker(monkeypatch, error: Exception) -> None:
    """As soon as the first one has a run in hand, and can be stopped."""
    original = scheduler.WorkerProcess
    is_listening = threading.Event()

    class Inbox(queues.Queue):
        def put(self, message, *words):
            if message.values["event"] == "listening":
                is_listening.set()
            super().put(message, *words)

    def refusing(**options):
        if options["number"] == 1:
            return original(**options)
        is_listening.wait()
        raise error

    monkeypatch.setattr(scheduler.queues, "Queue", Inbox)
    monkeypatch.setattr(scheduler, "WorkerProcess", refusing)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EAGAIN, "no more processes"), SchedulerError),
        (RuntimeError("a fault of ours"), RuntimeError),
    ],
)
def test_whatever_goes_wrong_the_workers_save_their_runs(
    schedule, engine, monkeypatch, error, told
) -> None:
    refuse_the_second_worker(monkeypatch, error)
    with pytest.raises(told, match=r"no more processes|a fault of ours"):
        schedule(RELEASING)
    with read(engine) as session:
        ends = session.execute(text("SELECT state, error FROM attempt")).all()
        assert session.scalars(text("SELECT count(*) FROM reservation")).one() == 0
    assert ends == [("released", "stopped")]


def test_handlers_of_signals_are_put_back(schedule) -> None:
    before = signal.getsignal(signal.SIGINT)
    schedule()
    assert signal.getsignal(signal.SIGINT) is before


def test_it_waits_for_runs_in_the_hands_of_others(schedule, engine, display) -> None:
    worker = queue.register_worker(engine, device="cpu", slot=0)
    claim = queue.claim(engine, worker)
    assert claim is not None
    writer = queue.AttemptWriter(engine, claim)

    def finish() -> None:
        while not any("waiting for them" in line for line in display.lines):
            time.sleep(0.02)
        writer.finish(1.0)

    threading.Thread(target=finish, daemon=True).start()
    outcome = schedule()
    assert outcome.counts["finished"] == 8
    assert outcome.finished_here == 7


def test_what_happens_to_checkpoints_is_told(schedule, display) -> None:
    schedule(
        "say('checkpoint_refused', claim, env_frames=160000, reason='it is damaged')\n"
        "    say('resumed', claim, env_frames=120000, number=3, parent=2)\n"
        "    say('not_saved', claim, env_frames=160000, reason='no room')"
    )
    label = "base · Pong · seed 0"
    assert f"{label}: the checkpoint at 160,000 env frames is passed over: it is damaged" in (
        display.lines
    )
    assert f"{label}: resumed at 120,000 env frames (attempt 3 from attempt 2)" in display.lines
    assert (
        f"{label}: no checkpoint could be written at 160,000 env frames (no room); the run goes "
        "on, and tries again later"
    ) in display.lines


def with_memory(engine, size: int | None, *, run: int | None = None) -> None:
    which = "" if run is None else f" WHERE id = {run}"
    with write(engine) as session:
        session.execute(text(f"UPDATE run SET memory_bytes = :size{which}"), {"size": size})


def test_workers_are_spread_over_the_devices_and_see_only_theirs(
    schedule, engine, monkeypatch
) -> None:
    started = []
    original = scheduler.WorkerProcess

    def noting(**options):
        seat = options["seat"]
        started.append((seat.device.name, seat.slot, seat.device.visible))
        return original(**options)

    monkeypatch.setattr(scheduler, "WorkerProcess", noting)
    schedule("time.sleep(0.5)", slots=2, devices=FakeDevices(device("cuda:0"), device("cuda:1")))
    assert started[:4] == [
        ("cuda:0", 0, "GPU-cuda:0"),
        ("cuda:1", 0, "GPU-cuda:1"),
        ("cuda:0", 1, "GPU-cuda:0"),
        ("cuda:1", 1, "GPU-cuda:1"),
    ]
    with read(engine) as session:  # every slot was given back
        assert session.scalars(text("SELECT count(*) FROM reservation")).one() == 0


def test_runs_that_fit_on_no_device_are_named_when_the_others_are_done(
    schedule, engine, display
) -> None:
    with_memory(engine, 10**9)
    with_memory(engine, 90 * 10**9, run=1)
    with_memory(engine, None, run=2)
    devices = FakeDevices(device("cuda:0", free=80 * 10**9))
    with pytest.raises(SchedulerError) as raised:
        schedule(devices=devices, min_free=2 * 10**9)
    said = str(raised.value)
    assert said.startswith(
        "1 run cannot be begun on this machine, whose largest device (cuda:0) has 78.0 GB for "
        "runs: run 1 (base · Pong · seed 0) takes about 90.0 GB."
    )
    assert "`ablate queue pause --run 1`" in said
    counts = reading.counts(engine, "mini")
    assert (counts["finished"], counts["queued"]) == (7, 1)
    assert not any("died" in line for line in display.lines)


def test_a_run_that_does_not_fit_now_keeps_no_room_from_smaller_ones(schedule, engine) -> None:
    with_memory(engine, 10**9)
    with_memory(engine, 60 * 10**9, run=1)

    class Filling(FakeDevices):
        def look(self) -> tuple[Device, ...]:
            small = reading.counts(engine, "mini")["finished"] < 7
            return (device("cuda:0", free=(30 if small else 80) * 10**9),)

    assert schedule(devices=Filling()).counts["finished"] == 8
    with read(engine) as session:
        last = session.scalars(text("SELECT run_id FROM attempt ORDER BY id DESC LIMIT 1")).one()
    assert last == 1


def test_a_worker_takes_no_run_that_is_larger_than_what_is_reserved_for_it(
    schedule, engine
) -> None:
    """A run of 60 GB becomes ready while workers for which 1 GB is reserved are busy."""
    with_memory(engine, 10**9)
    with_memory(engine, 60 * 10**9, run=3)
    control.pause(engine, Selection(runs=(3,)))
    reserved = """
    from sqlalchemy import text
    from results.database import control
    from results.database.engine import read
    control.resume(engine, control.Selection(runs=(3,)))
    with read(engine) as session:
        needed = session.scalar(text(f"SELECT memory_bytes FROM run WHERE id = {claim.run_id}"))
    seat = None
    while seat is None:  # until it is in the books
        with read(engine) as session:
            seat = session.scalar(text(f"SELECT bytes FROM reservation WHERE pid = {os.getpid()}"))
    assert needed <= seat, needed
    """
    outcome = schedule(reserved)
    assert outcome.counts["finished"] == 8
    assert set(reading.runs(engine, "mini")["attempts"]) == {1}


def test_memory_that_others_use_is_waited_for(schedule, engine, display) -> None:
    with_memory(engine, 10 * 10**9)
    devices = FakeDevices(device("cuda:0", free=11 * 10**9))

    def others_end() -> None:
        while not any("Waiting for a free slot" in line for line in display.lines):
            time.sleep(0.02)
        devices.devices = (device("cuda:0", free=60 * 10**9),)

    threading.Thread(target=others_end, daemon=True).start()
    outcome = schedule(devices=devices, min_free=2 * 10**9)
    assert outcome.counts["finished"] == 8
    (said,) = {line for line in display.lines if "Waiting for a free slot" in line}
    assert "cuda:0: 9.0 GB are free and a run takes 10.0 GB" in said


def test_a_gpu_that_is_removed_is_used_no_more(schedule) -> None:
    both = (device("cuda:0"), device("cuda:1"))
    looks = []

    class Removing(FakeDevices):
        def look(self) -> tuple[Device, ...]:
            looks.append(1)
            return both if len(looks) <= 2 else both[:1]

    assert schedule(devices=Removing(), slots=1).counts["finished"] == 8


def test_paused_runs_are_left_and_told(schedule, engine) -> None:
    control.pause(engine, Selection(arms=("full",)))
    outcome = schedule()
    assert (outcome.finished_here, outcome.paused) == (6, 2)
    assert outcome.counts["queued"] == 2


def test_a_full_disk_makes_the_queue_wait_and_go_on(schedule, display, tmp_path) -> None:
    def room(path: Path) -> int:
        waited = any("The queue waits" in line for line in display.lines)
        return RESERVE_BYTES if waited else RESERVE_BYTES - 1

    outcome = schedule(disk=DiskGuard(tmp_path, free_bytes=room))
    assert outcome.counts["finished"] == 8
    assert sum("The queue waits: the disk" in line for line in display.lines) == 1
    assert sum("There is room on the disk again" in line for line in display.lines) == 1


def test_a_worker_that_finds_the_disk_full_makes_the_queue_wait(
    schedule, engine, display, tmp_path
) -> None:
    now = [0.0]

    def monotonic() -> float:
        now[0] += 6.0
        return now[0]

    full = "say('database_error', error='no room', disk_full=True); sys.exit(3)"
    guard = DiskGuard(tmp_path, free_bytes=lambda path: 10**12, monotonic=monotonic)
    outcome = schedule(once(tmp_path, full), disk=guard)
    assert outcome.counts["finished"] == 8
    assert "no room" in display.lines
    assert any("There is room on the disk again" in line for line in display.lines)
    with read(engine) as session:  # the run is not to blame
        assert session.scalars(text("SELECT sum(losses) FROM run")).one() == 0


def test_nothing_to_do_needs_no_room(schedule, engine, display, tmp_path) -> None:
    control.pause(engine, Selection(study="mini"))
    outcome = schedule(disk=DiskGuard(tmp_path, free_bytes=lambda path: 0))
    assert outcome.paused == 8
    assert display.lines == []


def test_a_lock_of_somebody_else_is_waited_for(schedule, engine, display, monkeypatch) -> None:
    engine.dispose()
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT_MS", 20)
    browser = sqlite3.connect(engine.url.database, isolation_level=None, check_same_thread=False)
    browser.execute("BEGIN IMMEDIATE")

    def close_it() -> None:
        while not display.lines:
            time.sleep(0.02)
        time.sleep(0.5)
        browser.close()

    threading.Thread(target=close_it, daemon=True).start()
    assert schedule().counts["finished"] == 8
    (said,) = {line for line in display.lines if "locked" in line}
    assert said.startswith("The runs wait: another process keeps the database ")
    assert set(reading.runs(engine, "mini")["attempts"]) == {1}


def test_a_worker_that_gave_up_on_a_lock_takes_nothing_from_its_run(
    schedule, engine, display, tmp_path
) -> None:
    gives_up = "say('database_locked'); sys.exit(3)"
    assert schedule(once(tmp_path, gives_up)).counts["finished"] == 8
    assert sum("locked" in line for line in display.lines) == 1
    assert not any("died" in line for line in display.lines)
    with read(engine) as session:
        assert session.scalars(text("SELECT sum(losses) FROM run")).one() == 0


def test_a_moment_set_by_the_user_hands_the_runs_back(schedule, engine, display) -> None:
    def now() -> float:
        in_hand = any(len(view.in_hand) == 2 for view in display.views)
        return 7200.0 if in_hand else 0.0

    outcome = schedule(RELEASING, plan=StopPlan(until=3600.0, now=now))
    assert outcome.stopped_by is None
    assert outcome.finished_here == 0
    assert reading.counts(engine, "mini")["queued"] == 8
    assert any(line.startswith("Stopping, as --until says: ") for line in display.lines)


def test_a_clock_that_is_set_back_does_not_begin_anew(schedule, engine, display) -> None:
    asked = []

    def now() -> float:  # the moment has come once, and never again
        if not any(len(view.in_hand) == 2 for view in display.views):
            return 0.0
        asked.append(1)
        return 7200.0 if len(asked) == 1 else 0.0

    outcome = schedule(RELEASING, plan=StopPlan(until=3600.0, now=now))
    assert outcome.finished_here == 0
    assert sum("started" in line for line in display.lines) == 2
    assert reading.counts(engine, "mini")["queued"] == 8


def test_draining_finishes_only_what_was_begun(schedule, engine) -> None:
    worker = queue.register_worker(engine, device="cpu", slot=0)
    begun = queue.claim(engine, worker)
    assert begun is not None
    queue.AttemptWriter(engine, begun).release("stopped")
    script = WORKER.replace("BEHAVIOUR", "pass").replace(
        "queue.claim(engine, worker,", "queue.claim(engine, worker, begun_only=True,"
    )
    outcome = schedule(script=script, plan=StopPlan(drain=True))
    assert (outcome.counts["finished"], outcome.counts["queued"]) == (1, 7)


def delay(engine, run: int, seconds: float) -> None:
    """The run was lost, and waits."""
    at = (utc_now() + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with write(engine) as session:
        session.execute(text(f"UPDATE run SET not_before = '{at}' WHERE id = {run}"))


def test_draining_waits_for_a_begun_run_that_was_lost(schedule, engine, display) -> None:
    begun = queue.claim(engine, queue.register_worker(engine, device="cpu", slot=0))
    assert begun is not None
    queue.AttemptWriter(engine, begun).release("stopped")
    delay(engine, begun.run_id, 1.5)
    script = WORKER.replace("BEHAVIOUR", "pass").replace(
        "queue.claim(engine, worker,", "queue.claim(engine, worker, begun_only=True,"
    )
    outcome = schedule(script=script, plan=StopPlan(drain=True))
    assert (outcome.counts["finished"], outcome.counts["queued"]) == (1, 7)
    assert display.lines[0].startswith("1 run lost before: tried again from ")


def test_a_paused_run_that_was_lost_is_not_waited_for(schedule, engine, display) -> None:
    control.pause(engine, Selection(study="mini"))
    delay(engine, 1, 200.0)
    assert schedule().paused == 8
    assert display.lines == []


def test_while_nothing_happens_nothing_is_computed(schedule, monkeypatch) -> None:
    monkeypatch.setattr(scheduler, "TICK_S", 0.005)
    asked = {"standing": 0, "time left": 0}
    read_standing, seconds_left = scheduler.Standing.read, scheduler.Standing.seconds_left

    def reading_it(*words):
        asked["standing"] += 1
        return read_standing(*words)

    def estimating(*words):
        asked["time left"] += 1
        return seconds_left(*words)

    monkeypatch.setattr(scheduler.Standing, "read", reading_it)
    monkeypatch.setattr(scheduler.Standing, "seconds_left", estimating)
    schedule("time.sleep(0.5)")  # a hundred ticks for each of four pairs of runs
    said = 8 * 3 + 2  # started, progress and finished of each run, and the end of each worker
    assert asked["time left"] <= asked["standing"] + 2 * said
    assert asked["standing"] <= 2 + 3 * said


def test_waiting_for_others_does_not_ask_all_the_time(
    schedule, engine, display, monkeypatch
) -> None:
    monkeypatch.setattr(scheduler, "TICK_S", 0.01)
    held = queue.claim(engine, queue.register_worker(engine, device="cpu", slot=0))
    assert held is not None
    control.pause(engine, Selection(study="mini"))
    asked = []
    read_standing = scheduler.Standing.read
    monkeypatch.setattr(
        scheduler.Standing, "read", lambda *words: (asked.append(1), read_standing(*words))[1]
    )

    def finish() -> None:
        while not any("waiting for them" in line for line in display.lines):
            time.sleep(0.02)
        time.sleep(1.0)  # a hundred ticks
        queue.AttemptWriter(engine, held).finish(1.0)

    threading.Thread(target=finish, daemon=True).start()
    assert schedule().counts["finished"] == 1
    assert len(asked) < 20


def test_a_worker_that_speaks_or_ends_is_heard_at_once(schedule, engine, monkeypatch) -> None:
    monkeypatch.setattr(scheduler, "TICK_S", 60.0)
    began = time.monotonic()
    assert schedule().counts["finished"] == 8
    assert time.monotonic() - began < 60


def test_training_with_other_code_is_told_when_it_begins(schedule, display) -> None:
    schedule("say('other_code', claim)")
    told = "base · Pong · seed 0: trained with other source files than those that queued it"
    assert any(line.startswith(told) for line in display.lines)
