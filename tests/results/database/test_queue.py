from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from results.database.attempts import AttemptWriter
from results.database.engine import DatabaseError, open_database, read, write
from results.database.queue import (
    LEASE_SECONDS,
    LeaseLost,
    claim,
    end_worker,
    register_worker,
    release_dead,
    release_killed,
)
from results.database.reading import counts, curve, runs
from results.database.records import Released
from results.database.store import submit
from results.database.waiting import ready_beyond, waiting

HERE = "this machine"


def alive(pid, started_at):
    return True


def dead(pid, started_at):
    return False


def rows(engine, query):
    with read(engine) as session:
        return [tuple(row) for row in session.execute(text(query))]


def test_a_claim_describes_the_run(engine, make_study, add_worker):
    study, records = make_study()
    submit(engine, study, records)
    taken = claim(engine, add_worker())
    first = records[0]
    assert (taken.identity, taken.arm, taken.game) == (first.identity, "base", "Pong")
    assert (taken.seed, taken.study, taken.number) == (0, "smoke", 1)
    assert taken.specification == first.specification


def test_runs_are_claimed_in_the_order_of_submission(engine, make_study, add_worker):
    study, records = make_study()
    submit(engine, study, records)
    worker = add_worker()
    order = []
    while taken := claim(engine, worker):
        order.append(taken.identity)
        AttemptWriter(engine, taken).finish(1.0)
    assert order == [record.identity for record in records]


def test_priority_comes_before_position(engine, submitted, add_worker):
    with write(engine) as session:
        session.execute(text("UPDATE run SET priority = 1 WHERE id = 7"))
    worker = add_worker()
    assert claim(engine, worker).run_id == 7


def test_a_claim_may_be_kept_to_one_study(engine, make_study, add_worker):
    submit(engine, *make_study("first", seeds=(0,)))
    submit(engine, *make_study("second", seeds=(0, 1)))
    worker = add_worker()
    taken = claim(engine, worker)
    assert (taken.study, taken.seed) == ("first", 0)
    while taken := claim(engine, worker, study="second"):
        assert taken.study == "second"
        AttemptWriter(engine, taken).finish(1.0)
    assert counts(engine, "first")["finished"] == 6


def test_a_claim_passes_over_runs_that_need_more_than_its_room(engine, submitted, add_worker):
    sizes = [30, 10, None, 20]
    with write(engine) as session:
        for number, size in enumerate(sizes, start=1):
            session.execute(
                text(f"UPDATE run SET memory_bytes = {size or 'NULL'} WHERE id = {number}")
            )
        session.execute(text("UPDATE run SET paused = 1 WHERE id > 4"))
        session.execute(text("UPDATE run SET priority = 9 WHERE id = 1"))
    waits = waiting(engine, None)
    assert waits.ready_by_bytes == {0: 1, 10: 1, 20: 1, 30: 1}
    assert (waits.ready, waits.ready_within(20), waits.ready_within(0)) == (4, 3, 1)
    assert ready_beyond(engine, None, 10) == {1: 30, 4: 20}
    taken = [claim(engine, add_worker(), room=room) for room in (20, 0, 20, 19, None)]
    assert [one and one.run_id for one in taken] == [2, 3, 4, None, 1]


def test_an_unknown_study_is_named_with_its_nearest(engine, submitted, add_worker):
    with pytest.raises(DatabaseError, match=r"no study 'smok' .*nearest there: smoke"):
        claim(engine, add_worker(), study="smok")


def test_an_empty_queue_gives_nothing(engine, add_worker):
    assert claim(engine, add_worker()) is None


def test_a_worker_holds_one_run_at_a_time(engine, submitted, add_worker):
    worker = add_worker()
    first = claim(engine, worker)
    second = claim(engine, worker)
    assert (second.run_id, second.number) == (first.run_id, 2)
    with pytest.raises(LeaseLost, match="went on to another run"):
        AttemptWriter(engine, first).finish(1.0)
    assert counts(engine, "smoke")["running"] == 1


def test_the_last_run_of_a_queue_is_let_go_too_by_a_worker_that_asks_again(
    engine, make_study, add_worker
):
    study, records = make_study()
    submit(engine, study, records[:1])
    worker = add_worker()
    first = claim(engine, worker)
    assert (claim(engine, worker).run_id, claim(engine, add_worker())) == (first.run_id, None)
    with pytest.raises(LeaseLost, match="went on to another run"):
        AttemptWriter(engine, first).finish(1.0)


def statements_of(engine, action):
    """What the driver is told while something is done."""
    told = []
    with engine.connect() as connection:
        connection.connection.driver_connection.set_trace_callback(told.append)
    action()
    return [statement.split(None, 1)[0] for statement in told]


def test_a_claim_is_one_short_transaction(engine, submitted, add_worker):
    first, second = add_worker(), add_worker()
    claim(engine, first)
    told = statements_of(engine, lambda: claim(engine, second))
    assert told == ["BEGIN", "UPDATE", "SELECT", "INSERT", "INSERT", "COMMIT"]


def test_a_claim_finds_its_run_by_an_index_and_sorts_nothing(engine, submitted, add_worker):
    worker = add_worker()
    told = []
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        driver.set_trace_callback(told.append)
    claim(engine, worker)
    (taking,) = (statement for statement in told if statement.startswith("UPDATE"))
    with engine.connect() as connection:
        steps = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {taking}")]
    assert not [step for step in steps if step.startswith("SCAN") or "TEMP B-TREE" in step]
    assert [step for step in steps if "ix_run_queue" in step]


def test_a_run_of_a_worker_that_ends_is_queued_again(engine, submitted, add_worker):
    worker = add_worker()
    claim(engine, worker)
    end_worker(engine, worker)
    assert counts(engine, "smoke")["queued"] == 12
    assert rows(engine, "SELECT ended_at IS NOT NULL FROM worker") == [(1,)]


def test_a_released_run_can_be_claimed_again(engine, submitted, add_worker):
    taken = claim(engine, add_worker())
    AttemptWriter(engine, taken).release("asked to stop")
    again = claim(engine, add_worker())
    assert (again.run_id, again.number) == (taken.run_id, 2)


def test_a_dead_process_of_this_machine_loses_its_run_at_once(
    engine, submitted, add_worker, clock
):
    taken = claim(engine, add_worker(pid=100), clock=clock)
    kept = claim(engine, add_worker(pid=200), clock=clock)
    released = release_dead(
        engine, now=clock(), machine=HERE, process_is_alive=lambda pid, _: pid == 200
    )
    assert released == [Released(taken.run_id, "the process 100 on box ended without a word")]
    assert claim(engine, add_worker()).run_id == taken.run_id
    AttemptWriter(engine, kept).finish(1.0)


def test_a_process_that_took_over_the_pid_is_another_process(engine, submitted, add_worker, clock):
    claim(engine, add_worker(pid=100, started_at=5.0), clock=clock)
    asked = []

    def another_one(pid, started_at):
        asked.append((pid, started_at))
        return started_at == 17.0

    assert len(release_dead(engine, machine=HERE, process_is_alive=another_one)) == 1
    assert asked == [(100, 5.0)]


def test_a_process_elsewhere_keeps_its_run_until_its_lease_is_over(
    engine, submitted, add_worker, clock
):
    taken = claim(engine, add_worker(machine="another"), clock=clock)
    at_the_end = clock() + timedelta(seconds=LEASE_SECONDS)
    assert release_dead(engine, now=at_the_end, machine=HERE, process_is_alive=dead) == []
    later = at_the_end + timedelta(seconds=1)
    assert release_dead(engine, now=later, machine=HERE, process_is_alive=alive) == [
        Released(taken.run_id, "the process 100 on box was silent for 91 s")
    ]


def test_a_heartbeat_renews_the_lease(engine, submitted, add_worker, clock):
    taken = claim(engine, add_worker(machine="another"), clock=clock)
    writer = AttemptWriter(engine, taken, clock=clock)
    clock.move(80)
    writer.progress(env_frames=4, updates=0)
    clock.move(80)
    assert release_dead(engine, now=clock(), machine=HERE) == []


def test_a_clock_that_was_set_back_makes_a_dead_worker_s_lease_begin_anew(
    engine, submitted, add_worker, clock
):
    lost = claim(engine, add_worker(machine="another"), clock=clock)
    kept = claim(engine, add_worker(machine="another", pid=200), clock=clock)
    clock.move(-5 * 3600)
    assert release_dead(engine, now=clock(), machine=HERE) == []
    clock.move(LEASE_SECONDS - 30)
    AttemptWriter(engine, kept, clock=clock).flush(force=True)
    clock.move(30)
    assert release_dead(engine, now=clock(), machine=HERE) == []
    clock.move(1)
    (released,) = release_dead(engine, now=clock(), machine=HERE)
    assert released.run_id == lost.run_id


def test_no_lease_outlasts_five_minutes_however_far_the_clock_was_set_back(
    engine, submitted, add_worker, clock
):
    for back in (60, LEASE_SECONDS, LEASE_SECONDS + 1, 86_400):
        claim(engine, add_worker(machine="another"), clock=clock)
        clock.move(-back)
        assert release_dead(engine, now=clock(), machine=HERE) == []
        clock.move(300)
        assert len(release_dead(engine, now=clock(), machine=HERE)) == 1


def test_a_living_process_of_this_machine_keeps_its_run_after_a_long_sleep(
    engine, submitted, add_worker, clock
):
    taken = claim(engine, add_worker(), clock=clock)
    clock.move(8 * 3600)
    assert release_dead(engine, now=clock(), machine=HERE, process_is_alive=alive) == []
    AttemptWriter(engine, taken, clock=clock).finish(1.0)
    assert counts(engine, "smoke")["finished"] == 1


def test_a_run_that_is_heard_from_while_it_is_judged_is_kept(engine, submitted, add_worker, clock):
    taken = claim(engine, add_worker(), clock=clock)
    writer = AttemptWriter(engine, taken, clock=clock)

    def beats_and_seems_dead(pid, started_at):
        clock.move(1)
        writer.flush(force=True)
        return False

    released = release_dead(
        engine, now=clock(), machine=HERE, process_is_alive=beats_and_seems_dead
    )
    assert released == []
    writer.finish(1.0)


def test_a_run_that_was_lost_five_times_is_failed_with_the_reason(
    engine, submitted, add_worker, clock
):
    for _ in range(5):
        assert claim(engine, add_worker(), clock=clock).run_id == 1
        (released,) = release_dead(engine, now=clock(), machine=HERE, process_is_alive=dead)
        clock.move(300)
    assert "lost 5 times" in released.reason
    row = runs(engine, "smoke").iloc[0]
    assert (row["state"], row["attempts"], row["error"]) == ("failed", 5, released.reason)
    assert claim(engine, add_worker()).run_id == 2


def test_an_attempt_that_lost_its_run_can_never_write_again(engine, submitted, add_worker, clock):
    old = AttemptWriter(engine, claim(engine, add_worker(), clock=clock), clock=clock)
    old.log({"loss": 1.0}, env_frames=100)
    release_dead(engine, now=clock(), machine=HERE, process_is_alive=dead)
    new = AttemptWriter(engine, claim(engine, add_worker(), clock=clock), clock=clock)
    new.log({"loss": 2.0}, env_frames=200)
    new.flush(force=True)
    clock.move(60)
    writes = [
        lambda: old.log({"loss": 3.0}, env_frames=300),
        lambda: old.progress(300, 30),
        lambda: old.flush(force=True),
        lambda: old.evaluation(300, [], "argmax", final=True),
        lambda: old.release("stop"),
        lambda: old.fail("boom"),
        lambda: old.finish(9.0),
    ]
    for write_again in writes:
        with pytest.raises(LeaseLost, match=r"Attempt 1 at run 1 may not write any more \(lost"):
            write_again()
    assert counts(engine, "smoke")["running"] == 1
    new.finish(1.0)
    with pytest.raises(LeaseLost):
        old.finish(9.0)
    assert curve(engine, "smoke", "loss")["value"].tolist() == [2.0]
    assert rows(engine, "SELECT number, state, seconds FROM attempt ORDER BY id") == [
        (1, "lost", None),
        (2, "finished", 1.0),
    ]


def test_events_tell_the_story_of_a_run(engine, submitted, add_worker):
    AttemptWriter(engine, claim(engine, add_worker())).release("asked to stop")
    claim(engine, add_worker())
    release_dead(engine, machine=HERE, process_is_alive=dead)
    AttemptWriter(engine, claim(engine, add_worker())).finish(1.0)
    story = rows(engine, "SELECT kind, attempt_id FROM event WHERE run_id = 1 ORDER BY id")
    assert story == [
        ("submitted", None),
        ("claimed", 1),
        ("released", 1),
        ("claimed", 2),
        ("lost", 2),
        ("claimed", 3),
        ("finished", 3),
    ]


def lose(engine, clock):
    (released,) = release_dead(engine, now=clock(), machine=HERE, process_is_alive=dead)
    return released.run_id


def test_a_lost_run_waits_the_longer_the_oftener_it_is_lost(engine, submitted, add_worker, clock):
    for seconds in (0, 10, 60, 300):
        assert claim(engine, add_worker(), clock=clock).run_id == 1
        assert lose(engine, clock) == 1
        if seconds:
            clock.move(seconds - 1)
            other = claim(engine, add_worker(), clock=clock)
            assert other.run_id == 2
            AttemptWriter(engine, other, clock=clock).release("not this one")
            clock.move(1)


def test_a_clock_that_is_set_back_makes_no_lost_run_wait(engine, submitted, add_worker, clock):
    for _ in range(2):
        claim(engine, add_worker(), clock=clock)
        lose(engine, clock)
    clock.move(-86_400)
    assert claim(engine, add_worker(), clock=clock).run_id == 1


def test_a_saved_run_is_forgiven_its_losses(engine, submitted, add_worker, clock):
    for number in range(12):
        taken = claim(engine, add_worker(), clock=clock)
        assert (taken.run_id, taken.number) == (1, number + 1)
        AttemptWriter(engine, taken, clock=clock).checkpoint(number, f"{number}", "f" * 64, 1)
        lose(engine, clock)


def test_the_same_exception_at_the_same_point_twice_is_the_end(engine, submitted, add_worker):
    first = AttemptWriter(engine, claim(engine, add_worker()))
    assert first.fail("Traceback\nValueError: dark", "ValueError at a.py:3")
    assert counts(engine, "smoke")["queued"] == 12
    second = claim(engine, add_worker())
    assert (second.run_id, second.number) == (1, 2)
    assert not AttemptWriter(engine, second).fail("Traceback\nValueError", "ValueError at a.py:3")
    row = runs(engine, "smoke").iloc[0]
    assert (row["state"], row["attempts"], row["error"]) == ("failed", 2, "Traceback\nValueError")


def test_another_exception_or_progress_in_between_gives_another_try(
    engine, submitted, add_worker, clock
):
    points = ("OSError at a.py:3", "OSError at b.py:7", "OSError at a.py:3")
    for number, point in enumerate(points):
        taken = claim(engine, add_worker(), clock=clock)
        writer = AttemptWriter(engine, taken, clock=clock)
        if number == 2:
            writer.checkpoint(100, "100", "f" * 64, 1)
        assert writer.fail("Traceback", point)
        clock.move(300)
    assert claim(engine, add_worker(), clock=clock).run_id == 1


def test_a_run_that_is_saved_where_it_was_and_fails_there_again_is_failed(
    engine, submitted, add_worker
):
    for number in (1, 2):
        taken = claim(engine, add_worker())
        assert (taken.run_id, taken.number) == (1, number)
        writer = AttemptWriter(engine, taken)
        writer.checkpoint(400, "400", "f" * 64, 1)
        tried_again = writer.fail("Traceback", "OSError at a.py:3")
        assert tried_again == (number == 1)


def test_a_failure_that_no_try_can_mend_is_final(engine, submitted, add_worker):
    assert not AttemptWriter(engine, claim(engine, add_worker())).fail("outdated")
    assert counts(engine, "smoke")["failed"] == 1


def test_a_killed_process_hands_its_run_back_without_a_loss(engine, submitted):
    worker = register_worker(engine, device="cpu", slot=0)
    taken = claim(engine, worker)
    assert release_killed(engine, os.getpid() + 1, "Ctrl-C twice") == []
    assert release_killed(engine, os.getpid(), "Ctrl-C twice") == [taken.run_id]
    assert rows(engine, "SELECT state, losses FROM run WHERE id = 1") == [("queued", 0)]
    assert rows(engine, "SELECT state, error FROM attempt") == [("released", "Ctrl-C twice")]


def test_only_begun_runs_are_taken_where_nothing_new_may_begin(engine, submitted, add_worker):
    assert claim(engine, add_worker(), begun_only=True) is None
    AttemptWriter(engine, claim(engine, add_worker())).release("later")
    assert claim(engine, add_worker(), begun_only=True).run_id == 1
    assert claim(engine, add_worker(), begun_only=True) is None


def test_a_clock_that_is_set_back_stops_no_worker(engine, submitted, add_worker, clock):
    worker = add_worker()
    writer = AttemptWriter(engine, claim(engine, worker, clock=clock), clock=clock)
    clock.move(-86_400)
    writer.log({"loss": 1.0}, 4)
    writer.progress(8, 1)
    writer.finish(3.0)
    end_worker(engine, worker, clock=clock)
    assert rows(engine, "SELECT state, seconds FROM attempt") == [("finished", 3.0)]
    assert curve(engine, "smoke", "loss")["value"].tolist() == [1.0]


ACTIONS = ["claim", "finish", "fail", "release", "lose", "end", "retry"]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(ACTIONS), max_size=25))
def test_whatever_happens_a_running_run_has_one_owner_and_others_none(
    tmp_path_factory, empty_database, make_study, actions
):
    engine = open_database(shutil.copy(empty_database, tmp_path_factory.mktemp("db")))
    study, records = make_study(games=("Pong",), seeds=(0,))
    submit(engine, study, records)
    worker = register_worker(engine, device="cpu", slot=0)
    writer = None
    for action in actions:
        if action == "claim":
            taken = claim(engine, worker)
            writer = AttemptWriter(engine, taken) if taken else None
        elif action == "lose":
            release_dead(engine, process_is_alive=dead)
        elif action == "end":
            end_worker(engine, worker)
        elif action == "retry":
            submit(engine, study, records, retry_failed=True)
        elif writer is not None:
            end = {
                "finish": lambda w: w.finish(1.0),
                "fail": lambda w: w.fail("boom"),
                "release": lambda w: w.release("stop"),
            }
            try:
                end[action](writer)
            except LeaseLost:
                writer = None
        owners = rows(
            engine,
            "SELECT run.state, (SELECT count(*) FROM attempt WHERE attempt.run_id = run.id AND "
            "attempt.state = 'running'), (SELECT count(*) FROM attempt WHERE "
            "attempt.run_id = run.id AND attempt.state = 'finished') FROM run",
        )
        for state, running, finished in owners:
            assert running == (state == "running")
            assert finished == (state == "finished")
    engine.dispose()


CLAIMS = """
import sys
from results.database.attempts import AttemptWriter
from results.database.engine import open_database
from results.database.queue import claim, register_worker
engine = open_database(sys.argv[1])
worker = register_worker(engine, device="cpu", slot=0)
print("ready", flush=True)
sys.stdin.readline()
while taken := claim(engine, worker):
    print(taken.run_id, flush=True)
    AttemptWriter(engine, taken).finish(1.0)
"""


@pytest.fixture
def start():
    """Starts Python processes that do not outlive the test."""
    children = []

    def start_one(code, *arguments):
        child = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield start_one
    for child in children:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            pipe.close()


def test_four_processes_claim_two_hundred_runs_once_each(engine, path, make_study, start):
    study, records = make_study(games=("Pong", "Assault"), seeds=tuple(range(34)))
    submit(engine, study, records[:200])
    children = [start(CLAIMS, path) for _ in range(4)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    outputs = [child.stdout.read() for child in children]
    assert [child.stderr.read() for child in children] == ["", "", "", ""]
    claimed = [int(number) for output in outputs for number in output.split()]
    assert len(claimed) == 200
    assert len(set(claimed)) == 200
    assert counts(engine, "smoke")["finished"] == 200


CLAIMS_ONE_AND_HANGS = """
import sys, time
from results.database.engine import open_database
from results.database.queue import claim, register_worker
engine = open_database(sys.argv[1])
print(claim(engine, register_worker(engine, device="cpu", slot=0)).run_id, flush=True)
time.sleep(60)
"""


def test_a_killed_worker_loses_its_run_at_once_even_before_its_parent_looks(
    engine, path, submitted, start
):
    child = start(CLAIMS_ONE_AND_HANGS, path)
    run_id = int(child.stdout.readline())
    assert release_dead(engine) == []
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie until somebody waits
    (released,) = release_dead(engine)
    assert released.run_id == run_id
    assert f"the process {child.pid} on" in released.reason
