"""Progress: what a scheduler shows while it works, live on a terminal or as plain lines."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

SUMMARY_EVERY_S = 30.0


@dataclass(frozen=True)
class RunInHand:
    """A run that a worker of this scheduler is training.

    Attributes:
        run_id: The run.
        label: Arm, game and seed.
        arm: Name of the arm.
        game: Name of the game.
        seat: Device and slot.
        fraction: How much of the budget has been spent, in [0, 1].
        phase: What it is doing.
    """

    run_id: int
    label: str
    arm: str
    game: str
    seat: str
    fraction: float = 0.0
    phase: str = "starting"


@dataclass(frozen=True)
class View:
    """Where a scheduler stands.

    Attributes:
        name: The study, or "all studies".
        counts: Runs by state.
        in_hand: The runs that this scheduler's workers are training.
        seconds_left: An estimate, or None if nothing has been measured yet.
    """

    name: str
    counts: Mapping[str, int]
    in_hand: Sequence[RunInHand]
    seconds_left: float | None

    @property
    def total(self) -> int:
        """Runs that have to be done or are done; cancelled ones do not count."""
        return sum(self.counts.values()) - self.counts.get("cancelled", 0)

    @property
    def ended(self) -> int:
        """Runs that finished or failed."""
        return self.counts.get("finished", 0) + self.counts.get("failed", 0)

    @property
    def summary(self) -> str:
        """One line with every count that is not zero."""
        counts = [f"{number} {state}" for state, number in self.counts.items() if number]
        left = "" if self.seconds_left is None else f", about {duration(self.seconds_left)} left"
        return f"{self.name}: {self.ended} of {self.total} runs ({', '.join(counts)}){left}"


class Display(Protocol):
    """Who is told about progress."""

    def say(self, line: str) -> None:
        """Shows one line that stays."""

    def update(self, view: View) -> None:
        """Shows where things stand."""

    def close(self) -> None:
        """Leaves the terminal as it was."""


class PlainDisplay:
    """Lines, for files and pipes: events as they come, and now and then a summary."""

    def __init__(
        self, console: Console, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._monotonic = monotonic
        self._next_summary = monotonic() + SUMMARY_EVERY_S

    def say(self, line: str) -> None:
        """Prints the line."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def update(self, view: View) -> None:
        """Prints a summary if the last one is old."""
        if self._monotonic() >= self._next_summary:
            self._next_summary = self._monotonic() + SUMMARY_EVERY_S
            self.say(view.summary)

    def close(self) -> None:
        """Has nothing to put right."""


class LiveDisplay:
    """Bars on a terminal: one for the study, one for every run in hand."""

    def __init__(self, console: Console) -> None:
        self._summary = Text()
        self._bars = Progress(
            TextColumn("{task.description}", table_column=None),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("[dim]{task.fields[phase]}"),
            console=console,
        )
        self._study = self._bars.add_task("study", total=1.0, phase="")
        self._tasks: dict[int, TaskID] = {}
        self._live = Live(Group(self._bars, self._summary), console=console, refresh_per_second=1)
        self._live.start()

    def say(self, line: str) -> None:
        """Prints the line above the bars."""
        self._live.console.print(line, markup=False, highlight=False)

    def update(self, view: View) -> None:
        """Moves the bars."""
        done = view.ended + sum(run.fraction for run in view.in_hand)
        self._bars.update(
            self._study,
            description=f"[bold]{view.name}",
            completed=done / max(view.total, 1),
            phase=f"{view.ended}/{view.total} runs",
        )
        current = {run.run_id for run in view.in_hand}
        for run_id in self._tasks.keys() - current:
            self._bars.remove_task(self._tasks.pop(run_id))
        for run in view.in_hand:
            if run.run_id not in self._tasks:
                self._tasks[run.run_id] = self._bars.add_task(run.label, total=1.0, phase="")
            self._bars.update(self._tasks[run.run_id], completed=run.fraction, phase=run.phase)
        self._summary.plain = view.summary

    def close(self) -> None:
        """Stops redrawing; the last picture stays."""
        self._live.stop()


def display_for(console: Console) -> Display:
    """Bars if the console is a terminal, else lines."""
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


def duration(seconds: float) -> str:
    """A length of time in words: 40 s, 12 min, 3 h 5 min, 2 d 4 h."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def amount(size: int) -> str:
    """A number of bytes in words: 3 KB, 412 MB, 26.2 GB."""
    if size < 1_000_000:
        return f"{max(1, round(size / 1e3)):,} KB"
    if size < 1_000_000_000:
        return f"{round(size / 1e6):,} MB"
    return f"{size / 1e9:,.1f} GB"


def counted(number: int, noun: str) -> str:
    """How many there are of something: 1 run, 2 runs."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
