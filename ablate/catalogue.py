"""The catalogue of modifications, as listings show it.

`python -m ablate.catalogue README.md` writes the table of the README anew.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic.fields import FieldInfo

from ablate.study import StudyError, nearest
from agents.modification import Modification
from agents.modifications import REGISTRY


@dataclass(frozen=True)
class Setting:
    """A setting of a modification: its name, its type, and what it is unless given."""

    name: str
    kind: str
    default: str


@dataclass(frozen=True)
class Described:
    """A modification in words."""

    name: str
    family: str
    seam: str
    summary: str
    paper: str
    excludes: tuple[str, ...]
    requires: Mapping[str, object]
    requires_image: bool
    requires_validation: bool
    settings: tuple[Setting, ...]


def described() -> tuple[Described, ...]:
    """Every modification, in the order in which they are installed."""
    return tuple(_described(kind) for kind in REGISTRY.values())


def find_modification(name: str) -> Described:
    """One modification.

    Raises:
        StudyError: If there is none of this name; the nearest is given.
    """
    if name not in REGISTRY:
        raise StudyError(f"There is no modification {name!r}; {nearest(name, REGISTRY)}.")
    return _described(REGISTRY[name])


HEADING = "| name | family | seam | what it does | source |"


def markdown() -> str:
    """The catalogue as a table in Markdown."""
    rows = (
        f"| `{one.name}` | {one.family} | {one.seam} | {one.summary} | {one.paper} |"
        for one in described()
    )
    return "\n".join([HEADING, "|---|---|---|---|---|", *rows])


def with_catalogue(text: str) -> str:
    """A text whose table of modifications is written anew.

    Raises:
        ValueError: If it has no such table.
    """
    before, heading, rest = text.partition(HEADING)
    if not heading:
        raise ValueError(f"there is no table with the head {HEADING}")
    _, end, after = rest.partition("\n\n")
    return f"{before}{markdown()}{end}{after}"


def _described(kind: type[Modification]) -> Described:
    return Described(
        name=kind.name,
        family=kind.family,
        seam=kind.seam,
        summary=kind.summary,
        paper=kind.paper,
        excludes=tuple(sorted(kind.excludes)),
        requires=dict(kind.requires),
        requires_image=kind.requires_image,
        requires_validation=kind.requires_validation,
        settings=tuple(_setting(name, field) for name, field in kind.model_fields.items()),
    )


def _setting(name: str, field: FieldInfo) -> Setting:
    kind = field.annotation
    words = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
    return Setting(name, words, "required" if field.is_required() else repr(field.default))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(with_catalogue(path.read_text(encoding="utf-8")), encoding="utf-8")
