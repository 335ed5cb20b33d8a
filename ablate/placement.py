"""Placement: on which device, and in which of its slots, the next worker goes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from ablate.devices import Device, Devices, Slots
from results.database import reservations
from results.database.processes import this_process
from results.database.reservations import Full, Place, Reserved


@dataclass(frozen=True)
class Seat:
    """A slot of a device that a worker of ours has.

    Attributes:
        reservation: Its row in the books.
        device: The device.
        slot: Which of the device's slots.
        size: The bytes that are reserved for it; 0 where nobody knows what its run takes.
    """

    reservation: int
    device: Device
    slot: int
    size: int

    @property
    def label(self) -> str:
        """The slot as people name it: `cuda:1, slot 2`."""
        return f"{self.device.name}, slot {self.slot}"


class Placement:
    """Finds seats for workers, in books that all schedulers of one database share.

    Args:
        engine: The database.
        devices: Looks at the devices.
        slots: How many runs may share each.
        min_free_bytes: What of each device's memory is left to others.
    """

    def __init__(
        self, engine: Engine, devices: Devices, slots: Slots, min_free_bytes: int = 0
    ) -> None:
        self.slots = slots
        self._engine, self._devices, self._min_free = engine, devices, min_free_bytes
        self._me = this_process()
        self._seen: Mapping[str, Device] = {}  # by the last look

    def take(self, sizes: Collection[int]) -> Seat | Full:
        """Reserves a seat for the largest of these runs that fits now, or says why none does.

        So a run that does not fit now keeps no room from smaller ones: it comes when enough is
        free, at the latest when those are done (`ablate queue pause` on them makes it sooner).

        Args:
            sizes: How many bytes the runs take that may be begun; 0 where nobody knows.

        Raises:
            DatabaseError: If the database cannot be written.
        """
        seen = self._seen = {device.name: device for device in self._devices.look()}
        size, smallest = max(sizes), min(sizes)
        found = self._reserve(seen, size)
        while isinstance(found, Full) and size > smallest:
            fitting = (one for one in sizes if one <= found.room and one < size)
            size = max(fitting, default=smallest)
            found = self._reserve(seen, size)
        if isinstance(found, Full):
            gone = {name: "it is gone" for name in self.slots.per_device if name not in seen}
            return Full({**found.reasons, **gone}, found.room)
        return Seat(found.id, seen[found.device], found.slot, size)

    def largest(self) -> tuple[str, int] | None:
        """The largest device and the bytes that runs may take of it, as of the last look."""
        usable = {
            name: self._seen[name].total_bytes - self._min_free
            for name in self.slots.per_device
            if name in self._seen
        }
        return max(usable.items(), key=lambda one: one[1], default=None)

    def _reserve(self, seen: Mapping[str, Device], size: int) -> Reserved | Full:
        places = [
            Place(
                name,
                count,
                seen[name].free_bytes - (self._min_free if size else 0),
                seen[name].used_bytes,
            )
            for name, count in self.slots.per_device.items()
            if name in seen
        ]
        return reservations.reserve(self._engine, places, size, self._me)

    def hand_over(self, seat: Seat, pid: int) -> None:
        """Gives a seat to the worker that was started for it.

        Raises:
            DatabaseError: If the database cannot be written.
        """
        reservations.hand_over(self._engine, seat.reservation, pid)

    def give_back(self, seat: Seat) -> None:
        """Frees a seat.

        Raises:
            DatabaseError: If the database cannot be written.
        """
        reservations.give_back(self._engine, seat.reservation)
