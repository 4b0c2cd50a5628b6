"""Options of reports; imports nothing heavy, so that command lines can offer them without loading what computes."""

from typing import Any, Literal, get_args

from datasets.utils.humanize import parse_size

Format = Literal["png", "svg", "pdf"]
FORMATS: tuple[Format, ...] = get_args(Format)
DEFAULT_FORMATS: tuple[Format, ...] = ("png", "svg")
"""Formats of the figures; without PDF, which takes as long as everything else together, to subset its fonts."""

SUMMARY_WIDTH = 110
"""Columns of the summary table if the output is not a terminal."""

AUDIO = 2_000_000
"""Bytes that clips may take in the page that `earshot report` writes, unless another number is given."""


def parse_budget(value: Any) -> Any:
    """A size in bytes, or 0; see `parse_size`."""
    return 0 if isinstance(value, str) and value.strip() in ("0", "0B") else parse_size(value)
