"""What commands print: JSON, tables for readers, and errors of their own."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from ablate.runspec import plain


class CommandError(Exception):
    """A command that cannot do what its options ask; one paragraph with the remedy."""


def check_file(output: Path | None) -> None:
    """Refuses what cannot become a file, before anything is computed.

    Raises:
        CommandError: If it is a folder, or the folder around it does not exist.
    """
    if output is not None and output.is_dir():
        raise CommandError(f"--output {output} is a folder: name a file in it.")
    check_folder(output)


def check_folder(output: Path | None) -> None:
    """Refuses a place in a folder that is not there, before anything is computed.

    Raises:
        CommandError: If the folder around it does not exist.
    """
    if output is not None and not output.parent.is_dir():
        raise CommandError(
            f"--output {output}: there is no folder {output.parent}. Make it first, or choose "
            "another place."
        )


def print_json(value: object) -> None:
    """Prints a value as JSON."""
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table for a console; columns whose name begins with `#` hold numbers.

    The first column names the row, so it is the last to give way where the console is narrow.
    """
    drawn = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        number = column.startswith("#")
        drawn.add_column(
            column.removeprefix("#"),
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=not drawn.columns,
        )
    for row in rows:
        drawn.add_row(*(_text(field) for field in row))
    return drawn


class Screen(Console):
    """A console that says that nobody reads it any more; rich's own ends the program."""

    def on_broken_pipe(self) -> None:
        """Passes on the error of the write that has just failed."""
        raise


@contextmanager
def though_nobody_reads() -> Iterator[None]:
    """Prints in here do not fail where a terminal was closed, or a pipe's reader is gone.

    A program that worked for hours has to end with the exit code of its work. What is printed
    after such a failure goes nowhere.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def show(*things: Any) -> None:
    """Prints texts and tables to standard output, without reading markup into texts."""
    console = Screen(highlight=False, markup=False, emoji=False)
    for thing in things:
        console.print(thing, soft_wrap=isinstance(thing, str))


def _text(field: object) -> str:
    if isinstance(field, int) and not isinstance(field, bool):
        return f"{field:,}"
    return str(field)
