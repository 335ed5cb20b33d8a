"""Commands that bring scores in and take them out. None of them needs torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.asking import NAMES, asks, given, refuse_unread
from ablate.cli.options import DATABASE, DatabaseOption, StudyNameArgument

FORMATS_IN = "dreamer-json, rliable-json, csv, wide, parquet, tensorboard or sqlite"
OF_IMPORTS = ("protocol", "arms", "env_frames", "x_unit", "column", "normalization", "tag")
FOREIGN = (*OF_IMPORTS, "layout", "other_game", "skip_bad")
"""Options of an import that our own databases need not be told."""
OF_NUMBERS = tuple(name for name in NAMES if name not in ("at", "games", "arms", "partial"))
"""Options that say how numbers are made of runs: files of runs hold none of those."""

if TYPE_CHECKING:
    from results.database.imports import Written
    from results.exchange.importing import Imported
    from results.statistics.options import Options


def import_(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|DIR", help="Files or folders.")],
    format: Annotated[str, typer.Option("--format", "-f", help=f"{FORMATS_IN}.")],
    study: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What the study is to be called; of an sqlite file, which one to take.",
            show_default=False,
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Which game interface and evaluation the runs followed, for example atari100k.",
            show_default=False,
        ),
    ] = None,
    arms: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Which toggles are on in arms that are not called base+a+b.",
            show_default=False,
        ),
    ] = None,
    env_frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Where scores without an x were taken, and where the arms are compared; the "
            "last point unless given.",
            show_default=False,
        ),
    ] = None,
    x_unit: Annotated[
        str | None,
        typer.Option(help="env_frames or agent_steps: what x counts.", show_default=False),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=NAME",
            help="What a table calls method, game, seed, env_frames or score; repeat for several.",
            show_default=False,
        ),
    ] = None,
    normalization: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="The table that scores were normalised with: wang2016, nature2015, "
            "dreamerv2-file, or a CSV file with the columns game, random and human.",
            show_default=False,
        ),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            help="The curve in event files; evaluation_return unless given.", show_default=False
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="What the folders of event files name; {method}/{game}/{seed} unless given.",
            show_default=False,
        ),
    ] = None,
    other_game: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GAME",
            help="A game besides Atari's that is to be taken as it is; repeat for several.",
            show_default=False,
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out what cannot be used, and list it.")
    ] = False,
    db: DatabaseOption = DATABASE,
) -> None:
    """Bring runs of other people, or of another database, into this one.

    Every method becomes an arm. Files are read whole before anything is written.
    """
    from ablate.cli.output import CommandError
    from results.database.engine import open_database
    from results.exchange.arms import read_arms
    from results.exchange.formats import SQLITE, format_named
    from results.exchange.importing import Request, read_study, write_study
    from results.exchange.record import ReadOptions

    if format == SQLITE:
        _refuse(context, FOREIGN, "an sqlite file says itself; leave it out")
        _merge(paths, study, db)
        return
    wanted = format_named(format)
    if study is None or protocol is None:
        raise CommandError(
            f"Files of the format {format} do not say what the study is called and which protocol "
            "the runs followed: give --study NAME and --protocol LABEL (atari100k, dreamerv2, or "
            "a label of your own)."
        )
    request = Request(
        paths=paths,
        format=wanted,
        study=study,
        protocol=protocol,
        options=ReadOptions(
            env_frames=env_frames,
            x_unit=x_unit,
            columns=_columns(column or []),
            normalization=normalization,
            tag=tag,
            layout=layout,
        ),
        arms=read_arms(arms) if arms is not None else None,
        other_games=tuple(other_game or ()),
        skip_bad=skip_bad,
    )
    found = read_study(request)
    engine = open_database(db, create=True)
    _tell(found, write_study(engine, found), str(engine.url.database))


@asks
def export(
    context: typer.Context,
    study: StudyNameArgument,
    options: "Options",
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="A file; a new folder for rliable-json and tensorboard.",
            show_default=False,
        ),
    ],
    format: Annotated[
        str,
        typer.Option("--format", "-f", help=f"{FORMATS_IN.replace(' or', ',')}, latex, markdown."),
    ] = "csv",
    kind: Annotated[
        str | None,
        typer.Option(
            help="Which table, for latex and markdown: as `ablate table`; hns unless given.",
            show_default=False,
        ),
    ] = None,
    db: DatabaseOption = DATABASE,
) -> None:
    """Write the runs of a study into files that others read.

    csv, parquet, dreamer-json and tensorboard hold whole curves; rliable-json and wide where they
    end, or are at --at; sqlite everything.
    """
    from ablate.cli.output import CommandError, check_folder
    from ablate.study_files import study_name
    from results.database.engine import open_database
    from results.exchange import exporting
    from results.exchange.formats import OUT, SQLITE, TABLES, format_named
    from results.statistics.study_data import load
    from results.tables import FORMATS as TABLE_FORMATS
    from results.tables import UNREAD

    if format in TABLE_FORMATS and format not in OUT:
        raise CommandError(
            f"Nothing is exported as {format}: `ablate table {study} --format {format} --output "
            f"{output}` writes a table so. Files of runs are {FORMATS_IN}."
        )
    check_folder(output)
    engine = open_database(db)
    name = study_name(study)
    if format in TABLES:
        refuse_unread(context, [kind or "hns"], UNREAD)
    else:
        only = "only latex and markdown print tables; leave it out"
        _refuse(context, ("kind", *OF_NUMBERS), only)
    if format == SQLITE:
        _refuse(context, NAMES, "sqlite takes the whole study")
        typer.echo(str(exporting.write_database(engine, name, output)))
        return
    data = load(engine, name)
    if format in TABLES:
        typer.echo(str(exporting.write_table(data, options, kind or "hns", format, output)))
        return
    wanted = format_named(format, OUT)
    if wanted.whole_curves:
        _refuse(context, ("at",), f"{format} holds whole curves")
        records = exporting.stored_records(engine, data, options)
    else:
        records = exporting.final_records(engine, data, options)
    written = exporting.write_files(records, wanted, output)
    typer.echo(str(output))
    runs, files = len(records.records), len(written)
    typer.echo(f"{runs:,} runs in {files:,} {'file' if files == 1 else 'files'}.")


def _merge(paths: list[Path], study: str | None, db: str) -> None:
    from ablate.cli.output import CommandError
    from results.database import merging
    from results.database.engine import open_database
    from results.database.location import checkpoint_directory, database_path

    sources = []
    for path in paths:
        if path.is_dir():
            raise CommandError(f"{path} is a folder: name the databases themselves.")
        if database_path(db).resolve() == path.resolve():
            raise CommandError(f"{path} is the database itself: name another with --db.")
        sources.append(open_database(path))
    target = open_database(db, create=True)
    for path, source in zip(paths, sources, strict=True):
        done = merging.merge(source, target, study)
        for forgotten in done.forgotten:
            (checkpoint_directory(target) / forgotten).unlink(missing_ok=True)
        typer.echo(
            f"{path}: {', '.join(done.studies) or 'no study'}. {done.new:,} runs are new here, "
            f"{done.completed:,} are finished now, {done.present:,} were there already."
        )


def _tell(found: "Imported", written: "Written", path: str) -> None:
    from results.statistics.errors import counted, listed

    study = found.study
    typer.echo(
        f"{study.name}: {counted(written.new, 'run')} new in {path}, {written.present:,} there "
        f"already. {counted(len(study.arms), 'arm')}, {counted(len(study.games), 'game')}, "
        f"compared at {study.env_frames:,} env frames, protocol {study.protocol}."
    )
    if study.toggles:
        typer.echo(f"Toggles: {', '.join(toggle.name for toggle in study.toggles)}.")
    early = [run.run for run in found.runs if run.final_env_frames is None]
    if early:
        names = [f"{run.arm} on {run.game}, seed {run.seed}" for run in early]
        typer.echo(
            f"{counted(len(early), 'run')} ended before {study.env_frames:,} env frames and count "
            f"as missing there: {listed(names, most=3)}."
        )
    if found.seed_names:
        names = [f"{name} is {seed}" for name, seed in sorted(found.seed_names.items())]
        typer.echo(f"Numbers stand for seeds that are names: {listed(names, most=5)}.")
    if found.refused:
        typer.echo(f"Skipped {counted(len(found.refused), 'record')}:")
        for one in found.refused:
            typer.echo(f"  {one}")


def _columns(words: list[str]) -> dict[str, str]:
    from ablate.cli.output import CommandError

    columns = {}
    for word in words:
        column, equals, name = word.partition("=")
        if not equals or not column or not name:
            raise CommandError(f"--column {word}: write COLUMN=NAME, for example score=return.")
        columns[column] = name
    return columns


def _refuse(context: typer.Context, names: tuple[str, ...], why: str) -> None:
    """Refuses options that would do nothing.

    Raises:
        CommandError: If the command line has one of them.
    """
    from ablate.cli.output import CommandError

    for name in given(context, names):
        raise CommandError(f"--{name.replace('_', '-')}: {why}.")
