"""CSV files that are safe to open in a spreadsheet."""

import csv
import io
import math
from collections.abc import Iterable, Sequence

from datasets.utils.text import one_line, printable


def csv_bytes(header: Sequence[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Encodes a table as CSV: floats with six decimals, NaN as an empty cell.

    A cell that a spreadsheet would evaluate as a formula gets a leading apostrophe.

    Args:
        header: names of the columns.
        rows: cells; text may be untrusted.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return buffer.getvalue().encode()


def _cell(cell: object) -> str:
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:.6f}"
    if isinstance(cell, int):
        return str(cell)
    text = printable(one_line(cell))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
