"""CSV tables: numbers, NaN, and untrusted text."""

import csv
import io

import pytest

from datasets.utils.csv_table import csv_bytes


def test_numbers_have_six_decimals_and_nan_is_empty() -> None:
    content = csv_bytes(["name", "count", "value"], [["a", 3, 0.5], ["b", True, float("nan")], ["c", -1, -0.25]])
    assert content == b"name,count,value\na,3,0.500000\nb,True,\nc,-1,-0.250000\n"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_text_that_would_be_a_formula_is_escaped(text: str) -> None:
    assert csv_bytes(["x"], [[text]]).decode().splitlines()[1] == f"'{text}"


def test_any_text_stays_one_cell() -> None:
    texts = ['say "hello", twice', "two\nlines", "naïve \x1b[31m", "caf\udce9"]
    rows = list(csv.reader(io.StringIO(csv_bytes(["x", "y"], [[text, 1] for text in texts]).decode())))
    assert rows[1:] == [['say "hello", twice', "1"], ["two lines", "1"], ["naïve \\x1b[31m", "1"], ["caf\\xe9", "1"]]
