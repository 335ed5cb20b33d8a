"""Commands that look after the database file. None of them needs torch."""

from typing import Annotated

import typer

from ablate.cli.options import DATABASE, DatabaseOption, OutputOption

KEPT_DAYS = 7.0  # as `ablate.pruning` has it, which takes a while to import

app = typer.Typer(no_args_is_help=True)


@app.callback()
def database() -> None:
    """Look after the database: a newer schema, a copy, its size, old checkpoints."""


@app.command()
def upgrade(db: DatabaseOption = DATABASE) -> None:
    """Bring a database that an older ablate made up to date.

    A copy of it is made beside it first. Workers must not be running.
    """
    from results.database import upkeep

    done = upkeep.upgrade(db)
    if done.backup is None:
        typer.echo(f"{done.path} has schema {done.after} already: nothing to do.")
    else:
        typer.echo(f"Copied to {done.backup}")
        typer.echo(f"{done.path}: schema {done.before} is now {done.after}.")


@app.command()
def backup(db: DatabaseOption = DATABASE, output: OutputOption = None) -> None:
    """Copy the database to one file, also while workers write to it.

    Checkpoints of unfinished runs are files of their own and are not in the copy. A file that
    is there is never replaced.
    """
    from datetime import datetime
    from pathlib import Path

    from ablate.cli.output import check_folder
    from results.database import upkeep
    from results.database.engine import open_any_schema

    check_folder(output)
    engine = open_any_schema(db)
    path = Path(str(engine.url.database))
    copy = output if output is not None else upkeep.backup_path(path, datetime.now())
    typer.echo(f"Copied to {upkeep.backup(engine, copy)}")


@app.command()
def vacuum(db: DatabaseOption = DATABASE) -> None:
    """Give room that deleted rows left behind back to the disk."""
    from results.database import upkeep
    from results.database.engine import open_database

    engine = open_database(db)
    before, after = upkeep.vacuum(engine)
    typer.echo(f"{engine.url.database}: {before:,} bytes before, {after:,} now.")


@app.command()
def prune(
    days: Annotated[
        float, typer.Option(min=0, help="Days for which checkpoints of cancelled runs stay.")
    ] = KEPT_DAYS,
    db: DatabaseOption = DATABASE,
) -> None:
    """Delete the checkpoints that no run will go on from.

    Those of runs that were cancelled DAYS ago or earlier, and what killed workers left behind.
    `ablate work` does the same every hour. A cancelled run whose checkpoints are gone starts anew
    when it is retried.
    """
    from ablate.progress import amount, counted
    from ablate.pruning import prune
    from results.database.engine import open_database

    done = prune(open_database(db), days=days)
    size = f", {amount(done.size)}" if done.files else ""
    typer.echo(f"Deleted {counted(done.files, 'file')}{size}.")
    for refused in done.refused:
        typer.echo(str(refused), err=True)
