"""Announcing: what a scheduler tells its user, to whoever still reads it."""

import time
from collections.abc import Callable

from ablate.progress import Display, View

AGAIN_AFTER_S = 1800.0
"""How long after something that lasts was said it is said again, if there is news of it."""


class Announcer:
    """Tells a display, as long as there is one.

    A terminal that was closed, or a pipe whose reader is gone, is no reason to stop training: from
    then on nothing is shown, and the work goes on. (Whoever closes a terminal sends a SIGHUP as
    well, and that does stop it; a job that was disowned goes on.)

    Args:
        display: Where lines go.
        monotonic: What tells the time.
    """

    def __init__(
        self, display: Display, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._display = display
        self._monotonic = monotonic
        self._is_read = True
        self._lasting: dict[str, tuple[str, float, float]] = {}  # what was said, when, and seen

    def say(self, line: str) -> None:
        """Shows one line that stays."""
        self._show(lambda: self._display.say(line))

    def say_once(self, thing: str, line: str) -> None:
        """Shows a line about something that lasts; what changes in it is news only now and then.

        What has not come up for as long is something new.

        Args:
            thing: What it is about.
            line: What is to be said of it.
        """
        now = self._monotonic()
        said, said_at, seen_at = self._lasting.get(thing, ("", 0.0, -AGAIN_AFTER_S))
        is_news = line != said and now >= said_at + AGAIN_AFTER_S
        if is_news or now >= seen_at + AGAIN_AFTER_S:
            said, said_at = line, now
            self.say(line)
        self._lasting[thing] = (said, said_at, now)

    def is_over(self, thing: str) -> bool:
        """Forgets something that lasted; returns whether anything had been said of it."""
        return self._lasting.pop(thing, None) is not None

    def update(self, view: View) -> None:
        """Shows where things stand."""
        self._show(lambda: self._display.update(view))

    def close(self) -> None:
        """Leaves the terminal as it was."""
        self._show(self._display.close)

    def _show(self, show: Callable[[], None]) -> None:
        if self._is_read:
            try:
                show()
            except OSError:
                self._is_read = False
