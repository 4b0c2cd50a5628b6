"""Options of reports; imports nothing heavy, so that command lines can offer them without loading what computes."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from datasets.utils.humanize import parse_size
from datasets.utils.options import Option

Format = Literal["png", "svg", "pdf"]
FORMATS: tuple[Format, ...] = get_args(Format)
DEFAULT_FORMATS: tuple[Format, ...] = ("png", "svg")
"""Formats of the figures; without PDF, which takes as long as everything else together, to subset its fonts."""

SUMMARY_WIDTH = 110
"""Columns of the summary table if the output is not a terminal."""

AUDIO = 2_000_000
"""Bytes that clips may take in the page that `earshot report` writes, unless another number is given."""


def _parse_budget(value: Any) -> Any:
    """A size in bytes, or 0."""
    return 0 if isinstance(value, str) and value.strip() in ("0", "0B") else parse_size(value)


class PageOptions(BaseModel):
    """Options of the page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    audio: Annotated[int, BeforeValidator(_parse_budget), Option(metavar="SIZE")] = Field(
        AUDIO,
        ge=0,
        description="bytes of clips of the benchmark in report.html, to listen to mistakes; 0 leaves them out "
        "(default: 2MB)",
    )
