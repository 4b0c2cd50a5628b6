"""Text as Markdown: one line, escaped, in tables."""

import re
from collections.abc import Sequence

from datasets.utils.text import one_line


def escape(text: object) -> str:
    r"""Text that Markdown shows as it is: `a|b *c*` -> `a\|b \*c\*`; line breaks become spaces."""
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = re.sub(r"([\\`*\[\]|~$])", r"\\\1", plain)
    # An underscore inside a word is no emphasis; escaped, A_0 would be hard to read in the source.
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", plain)


def table(header: Sequence[str], rows: Sequence[Sequence[object]], bold: Sequence[tuple[int, int]] = ()) -> str:
    """A table; cells are escaped.

    Args:
        header: names of the columns; one that begins with '>' is set to the right.
        rows: cells.
        bold: (row, column) of the cells to show in bold.
    """
    names = [escape(name.removeprefix(">")) for name in header]
    rule = ["---:" if name.startswith(">") else "---" for name in header]
    cells = [[escape(cell) for cell in row] for row in rows]
    for row, column in bold:
        cells[row][column] = f"**{cells[row][column]}**"
    return "\n".join("| " + " | ".join(line) + " |" for line in [names, rule, *cells])
