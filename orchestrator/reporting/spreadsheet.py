"""The tables of a report as one XLSX workbook: one sheet per table, and one that explains them."""

import io
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from datasets.utils.text import one_line, printable
from orchestrator.reporting.tables import Grid

READ_ME = "read-me"
_COUNTS = ("seconds", "parameters")
"""Prefixes of columns that contain counts, not fractions."""
_LONGEST = 32_000  # characters of a cell; the limit of Excel is 32,767
_WIDEST = 40  # width of a column, in characters


def xlsx(sheets: Mapping[str, Grid], read_me: Sequence[tuple[str, str]]) -> bytes:
    """A workbook; the same tables give the same bytes.

    Fractions are stored as fractions and displayed in percent. Text is stored as text: '=1+1' is no formula.

    Args:
        sheets: name of the sheet -> its table.
        read_me: rows of the first sheet: (name, explanation).
    """
    buffer = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": False,
    }
    with xlsxwriter.Workbook(buffer, options) as book:
        book.set_properties({"title": "Earshot", "created": datetime(2000, 1, 1)})
        bold = book.add_format({"bold": True})
        wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        formats = {form: book.add_format({"num_format": form}) for form in ("0.0%", "0", "#,##0", "#,##0.0")}
        sheet = book.add_worksheet(READ_ME)
        sheet.set_column(0, 0, 24, bold)
        sheet.set_column(1, 1, 100, wrapped)
        for row, pair in enumerate(read_me):
            for column, text in enumerate(pair):
                sheet.write_string(row, column, _text(text))
        for name, grid in sheets.items():
            _write(book.add_worksheet(name), grid, bold, formats)
    return buffer.getvalue()


def _write(sheet: Worksheet, grid: Grid, bold: Format, formats: Mapping[str, Format]) -> None:
    for column, name in enumerate(grid.header):
        sheet.write_string(0, column, name, bold)
        texts = [_text(row[column]) if isinstance(row[column], str) else "00.00%" for row in grid.rows]
        sheet.set_column(column, column, min(_WIDEST, 2 + max(map(len, [name, *texts]))))
    for number, row in enumerate(grid.rows, 1):
        for column, cell in enumerate(row):
            if isinstance(cell, str):
                sheet.write_string(number, column, _text(cell))
            elif isinstance(cell, int | float) and not np.isnan(cell):
                sheet.write_number(number, column, cell, formats[_format(grid.header[column], cell)])
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, len(grid.rows), len(grid.header) - 1)


def _format(column: str, value: float) -> str:
    if isinstance(value, int):
        return "0"
    if column.startswith(_COUNTS) and not column.endswith("_n"):
        return "#,##0.0" if column.startswith("seconds") else "#,##0"
    return "0.0%"


def _text(value: object) -> str:
    return printable(one_line(value))[:_LONGEST]
