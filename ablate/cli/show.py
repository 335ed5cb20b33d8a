"""Commands that read: where a study stands, and what it found. None of them needs torch."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.asking import asks, given, refuse_unread
from ablate.cli.options import (
    DATABASE,
    DatabaseOption,
    JsonOption,
    OutputOption,
    StudyNameArgument,
)

DREAMS = "dreams"  # `ablate plot dreams RUN`: no study is called so
OPTIONS_OF_DREAMS = {"study", "run", "output", "format", "db"}

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from results.statistics.options import Options


def status(
    study: Annotated[
        str | None,
        typer.Argument(help="Name of a study; all of them unless given.", show_default=False),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", "-w", help="Draw it anew until no run is left; Ctrl-C stops watching."
        ),
    ] = False,
    every: Annotated[int, typer.Option(min=1, help="Seconds between two looks of --watch.")] = 2,
    db: DatabaseOption = DATABASE,
    json: JsonOption = False,
) -> None:
    """Show where studies and their runs stand."""
    from dataclasses import asdict

    from ablate.activation import silent
    from ablate.checks import checks
    from ablate.cli.hints import retry
    from ablate.cli.output import CommandError, print_json, show
    from ablate.cli.status_text import (
        silent_tables,
        studies_json,
        studies_lines,
        study_json,
        study_tables,
    )
    from ablate.standing import Standing, worked_on
    from ablate.study_files import study_name
    from results.database import reading
    from results.database.engine import open_database
    from results.database.usage import usage

    engine = open_database(db)
    if watch:
        if json:
            raise CommandError("--json prints what there is at once and cannot --watch.")
        _watch_status(engine, None if study is None else study_name(study), every)
        return
    if study is None:
        frame = reading.studies(engine)
        if json:
            print_json(studies_json(frame))
        else:
            show(*studies_lines(frame, worked_on(engine, frame)))
        return
    name = study_name(study)
    record, standing = reading.load_study(engine, name), Standing.read(engine, name)
    inactive = silent(engine, name)
    costs, notes = usage(engine, name), checks(engine, name)
    if json:
        told = study_json(record, standing, costs, notes)
        print_json(told | {"silent": [asdict(one) for one in inactive]})
    else:
        tables = study_tables(record, standing, costs, notes, retry=retry(study, db))
        show(*tables, *silent_tables(inactive))


def _watch_status(engine: "Engine", study: str | None, every: int) -> None:
    from rich.console import Console

    from ablate.cli import live

    with suppress(KeyboardInterrupt):  # that is how one stops watching
        live.watch(engine, study, every_s=every, console=Console(highlight=False))


@asks
def table(
    context: typer.Context,
    study: StudyNameArgument,
    options: "Options",
    kind: Annotated[
        str,
        typer.Option(help="scores, hns, aggregates, effects, interactions or compute."),
    ] = "hns",
    format: Annotated[
        str, typer.Option(help="rich, markdown, latex, csv, json or html.")
    ] = "rich",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: OutputOption = None,
    db: DatabaseOption = DATABASE,
) -> None:
    """Print a table of results."""
    from ablate.cli.output import CommandError, check_file
    from ablate.study_files import study_name
    from results.database.engine import open_database
    from results.statistics.errors import nearest
    from results.statistics.study_data import load
    from results.tables import FORMATS, UNREAD, build, render

    if format not in FORMATS:
        raise CommandError(
            f"A table has no format {format!r}: {nearest(format, FORMATS)} `ablate export` writes "
            "runs into files of other formats, `ablate plot` draws."
        )
    if json and given(context, ("format",)) and format != "json":
        raise CommandError(f"--json and --format {format}: give one of them.")
    refuse_unread(context, [kind], UNREAD)
    check_file(output)
    data = load(open_database(db), study_name(study))
    text = render(build(kind, data, options), "json" if json else format)
    if output is None:
        typer.echo(text.rstrip("\n"))
    else:
        from results.figures.drawn import write_whole

        write_whole(output, (text.rstrip("\n") + "\n").encode())
        typer.echo(str(output))


@asks
def plot(
    context: typer.Context,
    options: "Options",
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|dreams",
            help="Name of a study in the database; or the word dreams, and a run.",
            show_default=False,
        ),
    ],
    run: Annotated[
        int | None,
        typer.Argument(
            metavar="RUN",
            help="After dreams: the id of a run, as `ablate status STUDY` shows it.",
            min=1,
            max=10**9,
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="curves, aggregates, profiles, improvement, efficiency, setting, effects, "
            "interactions, interference, pairs, combinations, one_at_a_time or waterfall; several "
            "with commas between them, all unless given.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder; STUDY_figures, or dreams_figures, unless given.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str, typer.Option(help="Any of svg, pdf and png, separated by commas.")
    ] = "svg,pdf,png",
    columns: Annotated[
        int,
        typer.Option(min=1, max=2, help="Columns of a two-column paper that a figure spans."),
    ] = 2,
    db: DatabaseOption = DATABASE,
) -> None:
    """Draw figures into files, with their numbers as CSV.

    `ablate plot STUDY` draws a study. `ablate plot dreams RUN` draws what the world model of one
    run sees and dreams.
    """
    from ablate.cli.output import CommandError, check_folder
    from ablate.study_files import study_name
    from results.database.engine import open_database
    from results.figures import FORMATS, KINDS, UNREAD, draw, save
    from results.statistics.errors import IncompleteStudy, StatisticsError, nearest
    from results.statistics.study_data import load

    check_folder(output)
    wanted_formats = [word.strip() for word in format.split(",")]
    for wanted in wanted_formats:
        if wanted not in FORMATS:
            raise CommandError(
                f"A figure has no format {wanted!r}: {nearest(wanted, FORMATS)} Its numbers are "
                "written as CSV beside it; `ablate table` prints them in other formats."
            )
    if output is not None and output.is_file():
        raise CommandError(f"--output {output} is a file: figures need a folder.")
    if study == DREAMS:
        _refuse_options_of_studies(context)
        _plot_dreams(run, output or Path(f"{DREAMS}_figures"), wanted_formats, db)
        return
    if run is not None:
        raise CommandError(
            f"`ablate plot {study}` draws a study and takes no run. `ablate plot dreams {run}` "
            "draws the dreams of a run."
        )
    kinds = [part.strip() for word in kind or KINDS for part in word.split(",")]
    refuse_unread(context, kinds, UNREAD)
    options = replace(options, columns=columns)
    name = study_name(study)
    data = load(open_database(db), name)
    folder = output if output is not None else Path(f"{name}_figures")
    drawn = []
    for wanted in kinds:
        try:
            drawn.append(draw(wanted, data, options))
        except IncompleteStudy:
            raise
        except StatisticsError as error:
            if kind:
                raise
            typer.echo(f"No figure {wanted}: {error}", err=True)
    for figure in drawn:
        for path in save(figure, folder / figure.name, wanted_formats):
            typer.echo(str(path))


def _plot_dreams(run: int | None, folder: Path, formats: list[str], db: str) -> None:
    from ablate.cli.output import CommandError
    from results.database import reading
    from results.database.engine import open_database
    from results.figures import draw_dreams, save

    if run is None:
        raise CommandError(
            "Whose dreams? Give the id of a run: `ablate plot dreams RUN`. `ablate status STUDY` "
            "shows the ids of a study's runs."
        )
    engine = open_database(db)
    env_frames, arrays = reading.dreams(engine, run)
    label = reading.run_label(engine, run)
    figure = draw_dreams(arrays, run_id=run, label=label, env_frames=env_frames)
    for path in save(figure, folder / figure.name, formats):
        typer.echo(str(path))


def _refuse_options_of_studies(context: typer.Context) -> None:
    """Refuses what would not act on dreams.

    Raises:
        CommandError: If the command line has such an option.
    """
    from ablate.cli.output import CommandError

    for name in given(context, tuple(sorted(context.params.keys() - OPTIONS_OF_DREAMS))):
        raise CommandError(f"--{name} says how to draw a study; dreams have no such option.")


@asks
def report(
    study: StudyNameArgument,
    options: "Options",
    format: Annotated[str, typer.Option(help="html: a report is a page.")] = "html",
    output: OutputOption = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Rewrite it while the study runs, until no run is left; Ctrl-C stops."
        ),
    ] = False,
    every: Annotated[int, typer.Option(min=1, help="Seconds between two looks of --watch.")] = 30,
    db: DatabaseOption = DATABASE,
) -> None:
    """Write one HTML file with every table and figure."""
    from ablate.cli.output import CommandError, check_file
    from ablate.study_files import study_name
    from results.database.engine import open_database

    if format != "html":
        raise CommandError(
            f"A report has no format {format!r}: it is one HTML page. `ablate table {study} "
            "--format ...` and `ablate export` write its numbers in others."
        )
    check_file(output)
    if watch:
        _watch(open_database(db), study_name(study), output, options, every)
        return
    typer.echo(str(write_report(open_database(db), study_name(study), output, options)))


def _watch(
    engine: "Engine", study: str, output: Path | None, options: "Options", every: int
) -> None:
    from results import report as reports

    path = output if output is not None else Path(f"{study}_report.html")

    def told(counts: dict[str, int]) -> None:
        words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        typer.echo(f"{path}: {words}")

    reports.watch(engine, study, path, options, every_s=every, told=told)


def write_report(engine: "Engine", study: str, output: Path | None, options: "Options") -> Path:
    """Writes the report to a file, STUDY_report.html unless given, and returns its path."""
    from results import report as reports

    path = output if output is not None else Path(f"{study}_report.html")
    return reports.write(engine, study, path, options)
