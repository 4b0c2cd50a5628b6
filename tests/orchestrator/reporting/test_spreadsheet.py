"""The workbook, read back with openpyxl."""

import io
import zipfile

import openpyxl
import pytest

from orchestrator.reporting.spreadsheet import READ_ME, xlsx
from orchestrator.reporting.tables import Grid

GRID = Grid(
    ("method", "n", "aa_mean", "seconds_mean", "parameters_used_mean"),
    (
        ("=1+1", 3, 0.8276, 12.5, 1e6),
        ("http://x.org", 0, float("nan"), 1.0, 7.0),
        ("@\n\x07" + "x" * 40_000, 1, 1.0, 0.0, 0.0),
    ),
)


def test_cells_have_their_values_and_formats() -> None:
    book = openpyxl.load_workbook(io.BytesIO(xlsx({"methods": GRID, "empty": Grid(("a",), ())}, [("run", "=2+2")])))
    assert book.sheetnames == [READ_ME, "methods", "empty"]
    assert [cell.value for cell in book[READ_ME][1]] == ["run", "=2+2"]
    sheet = book["methods"]
    assert [cell.value for cell in sheet[1]] == list(GRID.header)
    assert [cell.value for cell in sheet[2]] == ["=1+1", 3, 0.8276, 12.5, 1e6]
    assert [cell.number_format for cell in sheet[2]][1:] == ["0", "0.0%", "#,##0.0", "#,##0"]
    assert sheet["C3"].value is None
    assert sheet.freeze_panes == "A2" and sheet["A1"].font.bold


def test_formulas_and_links_are_stored_as_text() -> None:
    content = xlsx({"methods": GRID}, [("run", "=2+2")])
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert {cell.data_type for row in book["methods"].iter_rows(max_col=1) for cell in row} == {"s"}
    assert book["methods"]["A3"].hyperlink is None
    assert len(str(book["methods"]["A4"].value)) == 32_000
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheets = [archive.read(name) for name in archive.namelist() if name.startswith("xl/worksheets/")]
    assert not any(b"<f>" in sheet or b"<hyperlink" in sheet for sheet in sheets)


def test_the_same_tables_give_the_same_bytes() -> None:
    assert xlsx({"methods": GRID}, []) == xlsx({"methods": GRID}, [])


def test_only_selects_rows_by_value() -> None:
    assert GRID.only("n", {3, 1}).rows == (GRID.rows[0], GRID.rows[2])
    with pytest.raises(ValueError, match="tuple"):
        GRID.only("nothing", {1})
