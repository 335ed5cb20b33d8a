"""Study files: where they are looked for, and what is there."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ablate.study import StudyError, StudyFile, nearest, parse_study, read_study

LOCAL = Path("studies")
"""The folder in the working directory that is searched first."""

SHIPPED = "shipped"
"""What listings say of a study that came with the project."""


@dataclass(frozen=True)
class Listed:
    """A study file that was found: its contents, or what is wrong with them."""

    name: str
    place: str
    file: StudyFile | None
    problem: str | None


def find_study(wanted: str) -> StudyFile:
    """Reads the study that a user means.

    Args:
        wanted: A path that ends in `.toml`, or the name of a file in `./studies`, or of a study
            that came with the project.

    Raises:
        StudyError: If there is no such file, or it cannot be read as a study.
    """
    if wanted.endswith(".toml"):
        path = Path(wanted)
        if not path.is_file():
            raise StudyError(f"{wanted}: there is no such file; {_remedy(path.stem)}")
        return read_study(path)
    local = LOCAL / f"{wanted}.toml"
    if local.is_file():
        return read_study(local)
    shipped = _shipped()
    if wanted not in shipped:
        raise StudyError(
            f"{wanted}: no study has this name, neither in ./{LOCAL} nor among those that came "
            f"with the project; {_remedy(wanted)}"
        )
    return parse_study(shipped[wanted], path=f"studies/{wanted}.toml", stem=wanted)


def study_name(wanted: str) -> str:
    """The name of the study that a user means, for commands that ask the database."""
    return Path(wanted).stem if wanted.endswith(".toml") else wanted


def listed_studies() -> tuple[Listed, ...]:
    """The studies of `./studies` and those that came with the project, sorted by name.

    A local file hides a shipped one of the same name.
    """
    found = {path.stem: _listed(path.stem, str(path)) for path in sorted(LOCAL.glob("*.toml"))}
    for name in _shipped():
        found.setdefault(name, _listed(name, SHIPPED))
    return tuple(found[name] for name in sorted(found))


def _listed(name: str, place: str) -> Listed:
    try:
        return Listed(name, place, find_study(name if place == SHIPPED else place), None)
    except StudyError as error:
        return Listed(name, place, None, str(error))


def _shipped() -> dict[str, str]:
    """Name to text of the studies that came with the project."""
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in files("studies").iterdir()
        if entry.name.endswith(".toml")
    }


def _remedy(wanted: str) -> str:
    names = sorted({*_shipped(), *(path.stem for path in LOCAL.glob("*.toml"))})
    return f"{nearest(wanted, names)}. `ablate studies` lists them."
