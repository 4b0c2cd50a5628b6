"""Options of reports; imports nothing, so that command lines can offer them without loading what computes."""

from typing import Literal, get_args

Format = Literal["png", "svg", "pdf"]
FORMATS: tuple[Format, ...] = get_args(Format)
DEFAULT_FORMATS: tuple[Format, ...] = ("png", "svg")
"""Formats of the figures; without PDF, which takes as long as everything else together, to subset its fonts."""

SUMMARY_WIDTH = 110
"""Columns of the summary table if the output is not a terminal."""
