"""The catalogue of modifications, as listings show it."""

from collections.abc import Mapping
from dataclasses import dataclass

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
        settings=tuple(_setting(name, field) for name, field in kind.model_fields.items()),
    )


def _setting(name: str, field: FieldInfo) -> Setting:
    kind = field.annotation
    words = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
    return Setting(name, words, "required" if field.is_required() else repr(field.default))
