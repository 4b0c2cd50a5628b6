"""Markdown: escaped text and tables."""

import re
from collections.abc import Sequence

from datasets.utils.text import one_line


def escape(text: object) -> str:
    r"""Escapes text for Markdown: `a|b *c*` -> `a\|b \*c\*`; line breaks become spaces."""
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = re.sub(r"([\\`*\[\]|~$])", r"\\\1", plain)
    # An underscore inside a word is not emphasis, and an escaped A_0 is hard to read in the source.
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", plain)


def table(header: Sequence[str], rows: Sequence[Sequence[object]], bold: Sequence[tuple[int, int]] = ()) -> str:
    """A table; cells are escaped.

    Args:
        header: names of the columns; those that begin with '>' are right-aligned.
        rows: cells.
        bold: (row, column) of cells in bold.
    """
    names = [escape(name.removeprefix(">")) for name in header]
    rule = ["---:" if name.startswith(">") else "---" for name in header]
    cells = [[escape(cell) for cell in row] for row in rows]
    for row, column in bold:
        cells[row][column] = f"**{cells[row][column]}**"
    return "\n".join("| " + " | ".join(line) + " |" for line in [names, rule, *cells])
