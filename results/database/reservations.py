"""The books of slots: which process has taken which slot of which device of a machine.

A slot is reserved before a worker is started, in one transaction in which memory is counted
too: schedulers that start workers at the same moment do not count on the same room.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, insert, select, update

from results.database.clock import Clock, utc_now
from results.database.engine import read, write
from results.database.processes import ProcessRecord, process_is_alive, process_started_at
from results.database.schema import Reservation

ID_BITS = 62
"""Of an id that is drawn: SQLite would give the id of a deleted row to the next one, and a slot
that is given back late would be somebody else's."""

SETTLED_SECONDS = 120
"""After which a worker whose memory cannot be looked at is taken to have allocated all of it."""


@dataclass(frozen=True)
class Place:
    """A device that a run may be put on.

    Attributes:
        device: Its name.
        slots: How many runs may share it.
        free_bytes: What nobody uses of its memory at this moment, less what is to stay free.
        used_bytes: What processes use of it, by their ids, as far as that is known.
    """

    device: str
    slots: int
    free_bytes: int
    used_bytes: Mapping[int, int]


@dataclass(frozen=True)
class Reserved:
    """A slot that was taken."""

    id: int
    device: str
    slot: int


@dataclass(frozen=True)
class Full:
    """No slot could be taken.

    Attributes:
        reasons: Why, for each device.
        room: The most bytes for which one could have been; 0 where no slot is open.
    """

    reasons: Mapping[str, str]
    room: int = 0


def reserve(
    engine: Engine,
    places: Sequence[Place],
    size: int,
    holder: ProcessRecord,
    *,
    clock: Clock = utc_now,
    is_alive: Callable[[int, float], bool] = process_is_alive,
) -> Reserved | Full:
    """Takes a slot of the device with the fewest runs, and of those the one with the most room.

    Room is what is free now less what the holders of other slots have reserved and do not use
    yet.

    Args:
        engine: The database.
        places: The devices.
        size: Bytes that a run needs; 0 where nobody knows.
        holder: The process that takes the slot.
        clock: What tells the time.
        is_alive: Whether a process of this machine is running.

    Raises:
        DatabaseError: If the database cannot be written.
    """
    with write(engine) as session:
        now = clock()  # after whatever was reserved while this one waited
        here = select(Reservation).where(Reservation.machine == holder.machine)
        held = session.scalars(here).all()
        dead = [one for one in held if not is_alive(one.pid, one.process_started_at)]
        for one in dead:
            session.delete(one)
        session.flush()
        living = [one for one in held if one not in dead]
        for one in living:
            one.reserved_at = min(one.reserved_at, now)  # the clock was set back since
        reasons: dict[str, str] = {}
        most_room = 0
        open_places: list[tuple[int, int, Place, set[int]]] = []
        for place in places:
            there = [one for one in living if one.device == place.device]
            taken = {one.slot for one in there}
            promised = sum(_promised(one, place, now) for one in there)
            room = place.free_bytes - promised
            if len(there) >= place.slots:
                pids = ", ".join(str(one.pid) for one in there)
                few = f"{len(there)} of {place.slots} slots are taken"
                many = f"{len(there)} slots are taken, and {place.slots} may be in all"
                which = few if len(there) <= place.slots else many
                reasons[place.device] = f"{which} (processes {pids})"
            elif room < size:
                most_room = max(most_room, room)
                reasons[place.device] = (
                    f"{max(room, 0) / 1e9:.1f} GB are free and a run takes {size / 1e9:.1f} GB"
                )
            else:
                open_places.append((len(there), -room, place, taken))
        if not open_places:
            return Full(reasons, most_room)
        _, _, place, taken = min(open_places, key=lambda one: one[:2])
        slot = next(number for number in range(len(taken) + 1) if number not in taken)
        row = (
            insert(Reservation)
            .values(
                id=secrets.randbits(ID_BITS),
                machine=holder.machine,
                device=place.device,
                slot=slot,
                pid=holder.pid,
                process_started_at=holder.started_at,
                bytes=size,
                reserved_at=now,
            )
            .returning(Reservation.id)
        )
        return Reserved(session.scalars(row).one(), place.device, slot)


def hand_over(engine: Engine, reservation: int, pid: int) -> None:
    """Gives a slot to the worker that was started for it; nothing if that has ended already.

    Raises:
        DatabaseError: If the database cannot be written.
    """
    started_at = process_started_at(pid)
    if started_at is not None:
        with write(engine) as session:
            session.execute(
                update(Reservation)
                .where(Reservation.id == reservation)
                .values(pid=pid, process_started_at=started_at)
            )


def give_back(engine: Engine, reservation: int) -> None:
    """Frees a slot.

    Raises:
        DatabaseError: If the database cannot be written.
    """
    with write(engine) as session:
        session.execute(delete(Reservation).where(Reservation.id == reservation))


def taken(engine: Engine, machine: str) -> list[tuple[str, int, int, int]]:
    """The slots of a machine that living processes hold: device, slot, process id, bytes.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    here = select(Reservation).where(Reservation.machine == machine)
    with read(engine) as session:
        held = session.scalars(here.order_by(Reservation.device, Reservation.slot)).all()
        return [
            (one.device, one.slot, one.pid, one.bytes)
            for one in held
            if process_is_alive(one.pid, one.process_started_at)
        ]


def _promised(held: Reservation, place: Place, now: datetime) -> int:
    """What the holder of a slot may still take beyond what it uses by now."""
    used = place.used_bytes.get(held.pid)
    if used is not None:
        return max(0, held.bytes - used)
    age = (now - held.reserved_at).total_seconds()
    return held.bytes if age < SETTLED_SECONDS else 0
