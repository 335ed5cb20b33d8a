"""Commands that look after the database file. None of them needs torch."""

import typer

from ablate.cli.options import DATABASE, DatabaseOption, OutputOption

app = typer.Typer(no_args_is_help=True)


@app.callback()
def database() -> None:
    """Look after the database: a newer schema, a copy, its size."""


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
