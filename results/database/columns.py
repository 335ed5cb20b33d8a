"""The types of columns, and what all tables share."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from sqlalchemy import (
    Boolean,
    DateTime,
    Dialect,
    Double,
    Enum,
    ForeignKey,
    MetaData,
    Text,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, mapped_column

from results.database.records import AttemptState, LookPurpose, RunState


class EventKind(StrEnum):
    """What happened to a run."""

    SUBMITTED = "submitted"
    RETRIED = "retried"
    CLAIMED = "claimed"
    FINISHED = "finished"
    FAILED = "failed"
    LOST = "lost"
    RELEASED = "released"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    RESUMED = "resumed"
    PRIORITIZED = "prioritized"


class Utc(TypeDecorator[datetime]):
    """A moment with its time zone, stored as UTC text that sorts by time."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turns a moment into UTC; refuses one that does not name its time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} names no time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Gives the moment its time zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


def _values(members: type[StrEnum], name: str) -> Enum:
    """The type of a column that holds one of the values (not the names) of an enum."""
    return Enum(
        members,
        name=name,
        native_enum=False,
        create_constraint=True,
        values_callable=lambda enum: [member.value for member in enum],
    )


def flag(name: str) -> Boolean:
    """The type of a column that holds true or false, and nothing else."""
    return Boolean(name=name, create_constraint=True)


PrimaryKey = Annotated[int, mapped_column(primary_key=True)]
StudyKey = Annotated[int, mapped_column(ForeignKey("study.id"), primary_key=True)]


class Base(DeclarativeBase):
    """What all tables share: names of constraints, and types of columns."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        float: Double(),
        datetime: Utc(),
        RunState: _values(RunState, "state"),
        AttemptState: _values(AttemptState, "state"),
        EventKind: _values(EventKind, "kind"),
        LookPurpose: _values(LookPurpose, "purpose"),
    }
