"""Settings: what a file may say, closed and frozen."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def added_later(default: Any, **constraints: Any) -> Any:
    """A field that came after runs had been recorded.

    Its default must reproduce what the code did before the field existed: at the default it is
    left out of a run's identity, so the old runs stay valid.
    """
    return Field(default, json_schema_extra={"added_later": True}, **constraints)


class Settings(BaseModel):
    """A frozen set of named values that refuses unknown names and wrong types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def determinants(self) -> dict[str, Any]:
        """The values that decide results: all, but for later additions at their defaults."""
        values = self.model_dump()
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            if (
                isinstance(extra, dict)
                and "added_later" in extra
                and values[name] == field.default
            ):
                del values[name]
        return values
