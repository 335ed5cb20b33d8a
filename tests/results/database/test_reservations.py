from __future__ import annotations

import os
import subprocess
import sys

import pytest

from results.database.processes import ProcessRecord, this_process
from results.database.reservations import (
    Full,
    Place,
    Reserved,
    give_back,
    hand_over,
    reserve,
    taken,
)

GB = 10**9


def place(name="cuda:0", slots=2, free=80 * GB, used=None):
    return Place(name, slots, free, used if used is not None else {})


def holder(pid):
    return ProcessRecord("box", "machine", pid, 1.0)


def alive(pid, started_at):
    return True


def book(engine, places, size=0, pid=100, **more):
    return reserve(engine, places, size, holder(pid), **{"is_alive": alive, **more})


def test_slots_are_spread_over_devices_and_taken_once(engine):
    places = [place("cuda:0"), place("cuda:1", free=90 * GB)]
    got = [book(engine, places, pid=100 + number) for number in range(4)]
    assert [(one.device, one.slot) for one in got] == [
        ("cuda:1", 0),
        ("cuda:0", 0),
        ("cuda:1", 1),
        ("cuda:0", 1),
    ]
    full = book(engine, places, pid=104)
    assert isinstance(full, Full)
    assert full.reasons["cuda:0"] == "2 of 2 slots are taken (processes 101, 103)"
    fewer = book(engine, [place("cuda:0", slots=1)], pid=104)
    assert isinstance(fewer, Full)
    assert fewer.reasons["cuda:0"] == (
        "2 slots are taken, and 1 may be in all (processes 101, 103)"
    )


def test_a_slot_that_is_given_back_late_is_nobody_elses(engine):
    """A scheduler reserves for a new worker before it sees that an earlier one has ended."""
    ended = book(engine, [place()], pid=101)
    living = book(engine, [place()], pid=102, is_alive=lambda pid, started_at: pid != 101)
    assert (living.device, living.slot) == (ended.device, ended.slot)
    give_back(engine, ended.id)
    full = book(engine, [place(slots=1)], pid=103)
    assert isinstance(full, Full)
    assert full.reasons["cuda:0"] == "1 of 1 slots are taken (processes 102)"


def test_a_slot_that_was_given_back_is_taken_again(engine):
    first, second = (book(engine, [place()]) for _ in range(2))
    give_back(engine, first.id)
    assert book(engine, [place()]).slot == first.slot != second.slot


def test_what_others_have_reserved_and_not_allocated_is_not_free(engine):
    assert isinstance(book(engine, [place(free=20 * GB)], 12 * GB, pid=1), Reserved)
    full = book(engine, [place(free=20 * GB)], 12 * GB, pid=2)
    assert full.reasons == {"cuda:0": "8.0 GB are free and a run takes 12.0 GB"}
    allocated = place(free=14 * GB, used={1: 6 * GB})  # 6 more will be taken: 8 are left
    assert isinstance(book(engine, [allocated], 9 * GB, pid=2), Full)
    assert isinstance(book(engine, [allocated], 8 * GB, pid=2), Reserved)


def test_a_holder_that_nobody_can_look_into_is_settled_after_a_while(engine, clock):
    book(engine, [place()], 12 * GB, pid=1, clock=clock)
    clock.move(119)
    assert isinstance(book(engine, [place(free=14 * GB)], 12 * GB, pid=2, clock=clock), Full)
    clock.move(1)
    assert isinstance(book(engine, [place(free=14 * GB)], 12 * GB, pid=2, clock=clock), Reserved)


def test_a_holder_is_settled_after_a_while_though_the_clock_was_set_back(engine, clock):
    book(engine, [place()], 12 * GB, pid=1, clock=clock)
    clock.move(-5 * 3600)
    for _ in range(2):  # from the first look on
        assert isinstance(book(engine, [place(free=14 * GB)], 12 * GB, pid=2, clock=clock), Full)
        clock.move(119)
    clock.move(-118)
    assert isinstance(book(engine, [place(free=14 * GB)], 12 * GB, pid=2, clock=clock), Reserved)


def test_the_slots_of_the_dead_are_free(engine):
    for pid in (1, 2):
        book(engine, [place()], pid=pid)
    got = book(engine, [place()], pid=3, is_alive=lambda pid, _: pid != 1)
    assert got.slot == 0


def test_other_machines_have_their_own_books(engine):
    book(engine, [place(slots=1)])
    elsewhere = ProcessRecord("other", "another machine", 100, 1.0)
    assert isinstance(reserve(engine, [place(slots=1)], 0, elsewhere, is_alive=alive), Reserved)


def test_a_slot_goes_with_the_worker_that_it_was_taken_for(engine):
    me = this_process()
    got = reserve(engine, [place()], 5, me)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        hand_over(engine, got.id, child.pid)
        assert taken(engine, me.machine) == [("cuda:0", 0, child.pid, 5)]
    finally:
        child.communicate()
    assert taken(engine, me.machine) == []
    hand_over(engine, got.id, child.pid)  # has ended: nothing happens
    assert os.getpid() != child.pid


RESERVES = """
import sys
from results.database.engine import open_database
from results.database.processes import this_process
from results.database.reservations import Place, Reserved, reserve
engine = open_database(sys.argv[1])
places = [Place("cuda:0", 9, 10, {}), Place("cuda:1", 9, 10, {})]
print("ready", flush=True)
sys.stdin.readline()
got = [reserve(engine, places, 2, this_process()) for _ in range(4)]
print(*(f"{one.device}/{one.slot}" for one in got if isinstance(one, Reserved)), flush=True)
sys.stdin.readline()
"""


def test_schedulers_that_start_together_do_not_count_on_the_same_room(engine, path):
    # 4 schedulers ask for 4 x 2 bytes each; two devices have 10 bytes each: 10 get a slot
    children = [
        subprocess.Popen(
            [sys.executable, "-c", RESERVES, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        assert [child.stdout.readline() for child in children] == ["ready\n"] * 4
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        got = [seat for child in children for seat in child.stdout.readline().split()]
    finally:
        for child in children:
            child.communicate("end\n")
    assert sorted(got) == sorted(f"cuda:{gpu}/{slot}" for gpu in (0, 1) for slot in range(5))


@pytest.mark.parametrize("size", [0, 5])
def test_a_size_that_nobody_knows_counts_for_nothing(engine, size):
    assert isinstance(book(engine, [place(free=5)], size), Reserved)
