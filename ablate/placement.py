"""Placement: on which device, and in which of its slots, the next worker goes."""

from dataclasses import dataclass

from sqlalchemy import Engine

from ablate.devices import Device, Devices, Slots
from results.database import reservations
from results.database.processes import this_process
from results.database.reservations import Full, Place


@dataclass(frozen=True)
class Seat:
    """A slot of a device that a worker of ours has.

    Attributes:
        reservation: Its row in the books.
        device: The device.
        slot: Which of the device's slots.
    """

    reservation: int
    device: Device
    slot: int

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

    def take(self, size: int) -> Seat | Full:
        """Reserves a seat for a run of this many bytes, or says why there is none now.

        Raises:
            DatabaseError: If the database cannot be written.
        """
        seen = {device.name: device for device in self._devices.look()}
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
        found = reservations.reserve(self._engine, places, size, self._me)
        if isinstance(found, Full):
            gone = {name: "it is gone" for name in self.slots.per_device if name not in seen}
            return Full({**found.reasons, **gone})
        return Seat(found.id, seen[found.device], found.slot)

    def never_fits(self, size: int) -> str | None:
        """Why a run of this many bytes fits on no device even if it were empty, or None."""
        seen = [one for one in self._devices.look() if one.name in self.slots.per_device]
        largest = max(seen, key=lambda device: device.total_bytes, default=None)
        if largest is None or largest.total_bytes - self._min_free >= size:
            return None
        return (
            f"a run takes about {size / 1e9:.1f} GB, and {largest.name} has "
            f"{largest.total_bytes / 1e9:.1f} GB, of which {self._min_free / 1e9:.1f} GB are to "
            "stay free"
        )

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
