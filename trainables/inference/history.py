"""What an exported model has learned and forgotten since its export; imports no PyTorch."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LearnedFile(_Frozen):
    """A recording that a class was learned from.

    Attributes:
        name: of the file, without its folder; untrusted text.
        sha256: of its content.
    """

    name: str
    sha256: Digest


class HistoryClass(_Frozen):
    """A class that was taught or forgotten.

    Attributes:
        name: untrusted text.
        clips: number of clips that it was learned from; 0 where it was forgotten.
        files: they were cut from.
    """

    label: int = Field(ge=0)
    name: str
    clips: int = Field(0, ge=0)
    files: tuple[LearnedFile, ...] = ()


class HistoryEntry(_Frozen):
    """One session of a model after its export.

    Attributes:
        action: what was done.
        session: its number; those of the chain come before.
        time: UTC.
        classes: that were taught or forgotten.
    """

    action: Literal["taught", "forgotten"]
    session: int = Field(ge=0)
    time: datetime
    classes: tuple[HistoryClass, ...] = Field(min_length=1)


def now() -> datetime:
    """The time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
