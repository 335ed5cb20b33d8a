"""Modification: one mechanism that edits the parts of an agent before it exists."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as declared
from typing import ClassVar

from agents.config import AgentConfig, Budget
from agents.parts import Parts
from agents.settings import Settings


@dataclass(frozen=True)
class Example:
    """Settings under which a modification acts within a few updates, and one field that matters.

    Attributes:
        settings: Values that together make a valid modification.
        field: The field whose effect the contract suite checks in this context.
        other: Another value of that field, which must give another agent.
        base: Settings of the base agent that make the context, besides what is required.
    """

    settings: Mapping[str, object]
    field: str
    other: object
    base: Mapping[str, object] = declared(default_factory=dict)


@dataclass(frozen=True)
class Proof:
    """What shows that a modification acted in a run.

    Attributes:
        metric: A curve that is recorded with the run.
        idle: The value that it has all along if the modification does nothing.
    """

    metric: str
    idle: float = 0.0


class Modification(Settings):
    """A toggle's mechanism; its fields are its settings, its file bears its name.

    Class Attributes:
        name: File, registry key, TOML table and database value alike.
        summary: One line for listings.
        paper: Where it comes from.
        family: One of the six that the catalogue has, as the README spells them.
        seam: The letter and name of the seam that it edits.
        requires: Settings of the base that must be at these values.
        requires_image: Whether it makes sense only where the observations are images.
        requires_validation: Whether it needs episodes that are kept from training.
        excludes: Names of modifications that cannot be in the same arm.
        examples: At least one for every field.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    family: ClassVar[str]
    seam: ClassVar[str]
    requires: ClassVar[Mapping[str, object]] = {}
    requires_image: ClassVar[bool] = False
    requires_validation: ClassVar[bool] = False
    excludes: ClassVar[frozenset[str]] = frozenset()
    examples: ClassVar[tuple[Example, ...]]

    @classmethod
    @abstractmethod
    def null(cls, config: AgentConfig) -> "Modification | None":
        """Settings at which a run is bitwise the base with `config`, or None if there are none."""

    @abstractmethod
    def first_action(self, config: AgentConfig, budget: Budget) -> float:
        """The env_frames at which it first changes what the agent does; infinity if never."""

    @abstractmethod
    def install(self, parts: Parts) -> Parts:
        """Returns an edited copy of `parts`; draws no random numbers and changes nothing else."""

    @abstractmethod
    def proof(self, config: AgentConfig) -> Proof:
        """What shows that it acted, in a run whose base is `config`."""
