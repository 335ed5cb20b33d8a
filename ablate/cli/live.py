"""The live view: where studies stand, drawn anew until nothing is left to run."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from sqlalchemy import Engine

from ablate.cli.output import table
from ablate.cli.status_text import counts_in_words, running_tables, speed, time_left
from ablate.standing import Standing, last_line
from results.database.lookup import study_names
from results.database.records import RunState

LOOK_SHARE = 20.0
"""A look is not repeated sooner than after so many times as long as it took."""

TABLE_LINES = 5
"""What a table takes beside its rows."""


def watch(
    engine: Engine,
    study: str | None,
    *,
    every_s: float,
    console: Console,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Shows where a study stands, or all of them, until no run is queued or running.

    On a terminal the picture is drawn anew; elsewhere a line is printed whenever a count changes.

    Args:
        engine: The database.
        study: Name of the study; None for all.
        every_s: Seconds between two looks, at least.
        console: Where to.
        sleep: Waits.

    Raises:
        DatabaseError: If there is no such study, or the database cannot be read.
    """
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        said = ""
        while True:
            began = time.monotonic()
            studies = _standings(engine, study)
            if console.is_terminal:
                live.update(_picture(studies, console.height), refresh=True)
            elif (now := "; ".join(_head(*one) for one in studies)) != said:
                said = now
                console.print(now, soft_wrap=True, markup=False, highlight=False)
            if not any(_is_going(standing) for _, standing in studies):
                return
            sleep(max(every_s, LOOK_SHARE * (time.monotonic() - began)))


def _standings(engine: Engine, study: str | None) -> list[tuple[str, Standing]]:
    names = [study] if study is not None else study_names(engine)
    return [(name, Standing.read(engine, name)) for name in names]


def _is_going(standing: Standing) -> bool:
    return bool(standing.counts["queued"] or standing.counts["running"])


def _head(name: str, standing: Standing) -> str:
    return f"{name}: {counts_in_words(standing.runs)}"


def _picture(studies: list[tuple[str, Standing]], height: int) -> Group:
    """All that fits: counts, speed and time left of each study, what runs where, what failed."""
    things: list[Any] = []
    for name, standing in studies:
        things.append(Text(_head(name, standing), style="bold"))
        under_way = standing.runs[standing.runs["state"] == RunState.RUNNING.value]
        speeds = [speed(row) for row in under_way.to_dict("records")]
        together = sum(one for one in speeds if one is not None)
        fast = f"{together:,.0f} env frames a second together; " if together else ""
        things += [Text(f"  {fast}{line}") for line in time_left(standing)]
    room = max(1, (height - len(things) - 2 * TABLE_LINES) // 2)
    for name, standing in studies:
        things += running_tables(standing, most=room)
        failures = standing.failures
        if failures:
            rows = [(one.run_id, one.run, last_line(one.error)) for one in failures[-room:]]
            title = f"Failed of {name}: {len(failures):,}"
            things.append(table(title, ["#id", "run", "why"], rows))
    return Group(*things)
