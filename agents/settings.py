"""Settings: what a file may say, closed and frozen."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen set of named values that refuses unknown names and wrong types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
