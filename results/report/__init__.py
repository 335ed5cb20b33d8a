"""The report: everything about a study on one page that needs nothing but itself."""

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from sqlalchemy import Engine

from results.figures.drawn import write_whole
from results.report import contents
from results.statistics.errors import counted
from results.statistics.options import Options
from results.statistics.study_data import StudyData, load

__all__ = ["page", "write"]


def write(engine: Engine, study_name: str, output: Path, options: Options) -> Path:
    """Writes the report of a study as one HTML file, whole or not at all.

    A figure or table that cannot be made yet is replaced by the paragraph that says why.

    Args:
        engine: An open results database.
        study_name: The study.
        output: The file, in a folder that exists.
        options: How figures and tables are computed.

    Returns:
        The file.

    Raises:
        DatabaseError: if there is no such study.
        StatisticsError: if the file cannot be written.
    """
    html = page(load(engine, study_name), options, written_at=datetime.now(UTC))
    write_whole(output, html.encode())
    return output


def page(data: StudyData, options: Options, *, written_at: datetime) -> str:
    """Returns the report as HTML.

    Args:
        data: The study.
        options: How figures and tables are computed.
        written_at: When, in UTC.
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
        failures=contents.failures(data.runs),
        runs=contents.run_rows(data.runs),
    )
