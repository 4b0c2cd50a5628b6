"""CSV that a spreadsheet opens safely."""

import csv
import io
import math
from collections.abc import Iterable, Sequence

from datasets.utils.text import one_line, printable


def csv_bytes(header: Sequence[str], rows: Iterable[Iterable[object]]) -> bytes:
    """A table as CSV: numbers with six decimals, NaN empty; text that would be a formula gets an apostrophe.

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
