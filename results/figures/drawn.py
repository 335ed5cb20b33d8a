"""A finished figure with its words and numbers, and its way into files."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from results.figures import style
from results.statistics.errors import StatisticsError, UnknownName, nearest

FORMATS: Final = ("svg", "pdf", "png")


@dataclass(frozen=True)
class Drawn:
    """One figure of one study, or of one run.

    Attributes:
        name: What its files are called: `<study>_<kind>`, or `run_<id>_dreams`.
        title: A few words.
        caption: What is shown, on how many seeds, with which interval, normalisation, protocol
            and env frames.
        figure: The picture.
        numbers: What is drawn, one row per number.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    numbers: pd.DataFrame


def save(drawn: Drawn, path: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Writes a figure in several formats, and its numbers as CSV.

    Each file appears whole or not at all. The same figure gives the same bytes.

    Args:
        drawn: The figure.
        path: The files' common name; each format adds its ending. The folder is made, and
            unmade if nothing could be written into it; the folder around it must be there.
        formats: Among FORMATS.

    Returns:
        The files, in the order of the formats, then the CSV.

    Raises:
        UnknownName: if a format is not known; nothing is written then.
        StatisticsError: if a file cannot be written.
    """
    for wanted in formats:
        if wanted not in FORMATS:
            raise UnknownName(f"Figures have no format {wanted!r}: {nearest(wanted, FORMATS)}")
    contents = {
        wanted: style.render(
            drawn.figure, wanted, title=drawn.title, description=drawn.caption, salt=drawn.name
        )
        for wanted in formats
    }
    contents["csv"] = drawn.numbers.to_csv(index=False).encode()
    files: list[Path] = []
    with _folder(path.parent):
        for ending, content in contents.items():
            target = path.with_name(f"{path.name}.{ending}")
            write_whole(target, content)
            files.append(target)
    return files


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Makes a folder; one that it made and that is still empty in the end is unmade.

    Raises:
        StatisticsError: if it cannot be made.
    """
    there = folder.is_dir()
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise _not_written(folder, error) from error
    try:
        yield
    finally:
        if not there:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def write_whole(target: Path, content: bytes) -> None:
    """Writes a file beside its place and moves it there, so that no reader sees half of it.

    Raises:
        StatisticsError: if the file cannot be written.
    """
    try:
        handle, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise _not_written(target, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(beside).chmod(0o666 & ~_umask())
        Path(beside).replace(target)
    except OSError as error:
        raise _not_written(target, error) from error
    finally:
        Path(beside).unlink(missing_ok=True)


def _umask() -> int:
    """Returns the process's umask, which can be read only by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _not_written(target: Path, error: OSError) -> StatisticsError:
    if isinstance(error, FileNotFoundError):
        return StatisticsError(
            f"{target} cannot be written: there is no folder {target.parent}. Make it first, or "
            "choose another place."
        )
    return StatisticsError(
        f"{target} cannot be written: {error.strerror}. Choose another place, or make room."
    )
