"""Settings of a method: which session reads a setting is part of its name. No PyTorch in here."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Settings of a method.

    A field whose name starts with `base_` is read by the base session only, one that starts with `incremental_` by
    later sessions only, any other by all. Trials that differ only in `incremental_` settings share their base session.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def read_by(self, session: int) -> dict[str, Any]:
        """The settings that session number `session` reads, by name, in JSON types."""
        other = "incremental_" if session == 0 else "base_"
        return {key: value for key, value in self.model_dump(mode="json").items() if not key.startswith(other)}
