"""Stopping: when a scheduler hands its runs back, or begins no new ones."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta


class TimeError(Exception):
    """A time that cannot be read; one paragraph with what can."""


@dataclass(frozen=True)
class StopPlan:
    """When to stop, as a user asked.

    Attributes:
        until: The moment, in seconds since 1970; None for now if it drains, else for never.
        drain: Whether from that moment on what has been begun is finished and nothing new is
            begun; otherwise the runs in hand are handed back then.
        now: What tells the time.
    """

    until: float | None = None
    drain: bool = False
    now: Callable[[], float] = time.time

    @property
    def nothing_new_after(self) -> float | None:
        """From when on no new run is begun; None for never."""
        if not self.drain:
            return None
        return 0.0 if self.until is None else self.until

    def stops_now(self) -> bool:
        """Whether the runs in hand are to be handed back."""
        return not self.drain and self.until is not None and self.now() >= self.until

    def drains_now(self) -> bool:
        """Whether no new run is to be begun."""
        after = self.nothing_new_after
        return after is not None and self.now() >= after


def parse_until(words: str, now: datetime) -> datetime:
    """Reads a moment: `18:30` (the next one), `2026-11-30 08:00`, `+90m`, `+2h`, `+1d`.

    Args:
        words: What a user wrote; local time, as the system's zone counts on that day.
        now: The present, with its time zone.

    Raises:
        TimeError: If the words mean no moment, or one that is past.
    """
    if found := re.fullmatch(r"\+(\d{1,5})([mhd])", words):
        unit = {"m": "minutes", "h": "hours", "d": "days"}[found[2]]
        return now + timedelta(**{unit: int(found[1])})
    try:
        if found := re.fullmatch(r"(\d{1,2}):(\d{2})", words):
            midnight = datetime.combine(now.astimezone(), datetime.min.time())
            today = midnight.replace(hour=int(found[1]), minute=int(found[2]))
            return next(
                moment
                for day in (today, today + timedelta(days=1))
                for moment in _moments(day)
                if moment > now
            )
        written = datetime.fromisoformat(words)
    except ValueError:
        raise TimeError(
            f"--until {words}: give a time of day (18:30), a moment (2026-11-30 08:00) or a "
            "length of time (+90m, +2h, +1d)."
        ) from None
    moments = _moments(written) if written.tzinfo is None else (written,)
    to_come = next((moment for moment in moments if moment > now), None)
    if to_come is None:
        here = now.astimezone()
        raise TimeError(f"--until {words}: that is past; it is {here:%Y-%m-%d %H:%M} now.")
    return to_come


def _moments(local: datetime) -> tuple[datetime, datetime]:
    """When clocks show a local time: the same moment twice, but where autumn repeats an hour."""
    return local.astimezone(), local.replace(fold=1).astimezone()
