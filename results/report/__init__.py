"""The report: everything about a study on one page that needs nothing but itself."""

import dataclasses
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from sqlalchemy import Engine

from results.database import reading
from results.database.records import RunState
from results.figures.drawn import write_whole
from results.report import contents
from results.statistics.errors import counted
from results.statistics.options import Options
from results.statistics.simultaneous import SEED
from results.statistics.study_data import StudyData, load

__all__ = ["page", "watch", "write"]


def write(
    engine: Engine, study_name: str, output: Path, options: Options, *, refresh_s: int = 0
) -> Path:
    """Writes the report of a study as one HTML file, whole or not at all.

    A figure or table that cannot be made yet is replaced by the paragraph that says why.

    Args:
        engine: An open results database.
        study_name: The study.
        output: The file, in a folder that exists.
        options: How figures and tables are computed.
        refresh_s: After how many seconds a browser reads the file again; 0 for never.

    Returns:
        The file.

    Raises:
        DatabaseError: if there is no such study.
        StatisticsError: if the file cannot be written.
    """
    data = load(engine, study_name)
    html = page(data, options, written_at=datetime.now(UTC), refresh_s=refresh_s)
    write_whole(output, html.encode())
    return output


def watch(
    engine: Engine,
    study_name: str,
    output: Path,
    options: Options,
    *,
    every_s: int,
    told: Callable[[dict[str, int]], None] = lambda counts: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Writes the report again whenever the runs have moved, until none is left to run.

    While runs are left, answers are partial and the page reads itself again; so is the last one if
    runs have failed, else it is as the options ask.

    Args:
        engine: An open results database.
        study_name: The study.
        output: The file.
        options: How figures and tables are computed.
        every_s: Seconds between two looks.
        told: Is told how many runs are in each state, after each writing.
        sleep: Waits.

    Returns:
        The file.

    Raises:
        DatabaseError: if there is no such study.
        StatisticsError: if the file cannot be written.
    """
    partial = dataclasses.replace(options, partial=True)
    seen = None
    while True:
        runs = reading.runs(engine, study_name)
        counts = contents.counts(runs)
        left = counts[RunState.QUEUED.value] + counts[RunState.RUNNING.value]
        if not left:
            whole = counts[RunState.FINISHED.value] == len(runs)
            write(engine, study_name, output, options if whole else partial)
            told(counts)
            return output
        now = runs[["state", "attempts", "env_frames"]].to_csv()
        if now != seen:
            write(engine, study_name, output, partial, refresh_s=every_s)
            told(counts)
            seen = now
        sleep(every_s)


def page(data: StudyData, options: Options, *, written_at: datetime, refresh_s: int = 0) -> str:
    """Returns the report as HTML.

    Args:
        data: The study.
        options: How figures and tables are computed.
        written_at: When, in UTC.
        refresh_s: After how many seconds a browser reads the page again; 0 for never.
    """
    here = files("results.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["breakable"] = contents.breakable
    environment.filters["counted"] = counted
    environment.filters["html"] = Markup  # of our own figures, tables and style sheet only
    template = environment.from_string(here.joinpath("page.html.j2").read_text("utf-8"))
    study = data.study
    tables = contents.shown_tables(data, options)
    return template.render(
        style=here.joinpath("page.css").read_text("utf-8"),
        script=here.joinpath("page.js").read_text("utf-8"),
        refresh_s=refresh_s,
        provenance=contents.provenance(data),
        sources=data.sources,
        simulation_seed=SEED,
        study=study,
        options=options,
        at=study.env_frames if options.at is None else options.at,
        written_at=written_at.strftime("%Y-%m-%d %H:%M UTC"),
        counts=contents.counts(data.runs),
        total=len(data.runs),
        scale=contents.scale(data, options),
        toggles=contents.toggles(data),
        arms=contents.arms(data),
        figures=contents.shown_figures(data, options),
        tables=tables,
        no_tables=contents.shared_reason(tables),
        compute=contents.compute(data, options),
        failures=contents.failures(data.runs),
        runs=contents.run_rows(data.runs),
    )
