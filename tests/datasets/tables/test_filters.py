"""Filters keep rows, and evaluate nothing."""

import pytest

from datasets.tables.filters import matching_rows
from datasets.tables.table import Table
from datasets.utils.errors import EarshotError

TABLE = Table(
    {"fold": ["1", "2", "3.0", "4"], "esc10": ["True", "False", "true", ""], "my label": ["a", "b", "1", "it's"]},
    [f"t.csv: line {line}" for line in range(2, 6)],
    "t.csv",
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("esc10 == True", [0, 2]),
        ("esc10 == False", [1]),
        ("fold == 3", [2]),
        ("fold != 3 and not fold == 1", [1, 3]),
        ("fold < 2 or fold >= 4", [0, 3]),
        ("(fold < 2 or fold > 2) and esc10 == True", [0, 2]),
        ("fold in [1, 4]", [0, 3]),
        ("fold not in (1, 4)", [1, 2]),
        ("`my label` == 'a'", [0]),
        ("`my label` in [\"it's\", '1']", [2, 3]),
        ("`my label` == 1", [2]),
        ("fold == '3'", []),  # as text it is 3.0
        ("fold > -1.5", [0, 1, 2, 3]),
    ],
)
def test_rows_that_a_filter_keeps(text: str, rows: list[int]) -> None:
    assert matching_rows(TABLE, text) == rows


@pytest.mark.parametrize(
    "text",
    ["", "fold", "fold ==", "fold == fold", "__import__('os').system('true')", "fold == open('x')", "1 < fold < 3",
     "fold == 1; fold", "fold < 'a'", "fold < True", "fold in 'ab'", "fold is 1", "fold == [1]", "lambda: 1",
     "(" * 400 + "fold" + ")" * 400, "fold == 1 or " * 200 + "fold == 1", "fold == 9 ** 9 ** 9 ** 9", "fold + 1 == 2",
     "fold in {[1]}"],
)  # fmt: skip
def test_anything_else_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(EarshotError, match=r"^--filter: expected .* found '") as caught:
        matching_rows(TABLE, text)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_unknown_columns_and_cells_without_a_number_are_named() -> None:
    with pytest.raises(EarshotError, match=r"^--filter: column flod: .* found fold, .* \(did you mean 'fold'\?\)$"):
        matching_rows(TABLE, "flod == 1")
    with pytest.raises(EarshotError, match=r"^t.csv: line 2: column my label: expected a number, .* found 'a'; "):
        matching_rows(TABLE, "`my label` < 2")
