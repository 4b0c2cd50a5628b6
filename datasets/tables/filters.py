"""Filters of rows: `esc10 == True and fold in [1, 2]`.

A filter is parsed as a Python expression, of which only comparisons of a column with literals, `and`, `or`, `not` and
parentheses are allowed; nothing is evaluated by Python. A column whose name is not an identifier is written between
backticks.
"""

import ast
import operator
import re
from collections.abc import Callable

from datasets.tables.table import Table, shorten
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable

MAX_LENGTH = 1000
"""Characters of a filter."""

_ORDER: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_QUOTED = re.compile(r"`([^`]*)`")

Test = Callable[[int], bool]


def matching_rows(table: Table, text: str) -> list[int]:
    """Numbers of the rows, from 0, that a filter keeps.

    Args:
        table: to filter.
        text: such as `fold < 4 and category in ["dog", "rain"]`. A cell is compared as a number with a number, as a
            truth value (true, yes, 1; false, no, 0) with `True` and `False`, and as text with a text.

    Raises:
        EarshotError: the text is no such expression, a column does not exist, or a cell cannot be ordered as a number.
    """
    test = _Parser(table, text).parse()
    return [row for row in range(len(table)) if test(row)]


class _Parser:
    def __init__(self, table: Table, text: str) -> None:
        self._table, self._text = table, text
        self._names: dict[str, str] = {}

    def parse(self) -> Test:
        if len(self._text) > MAX_LENGTH:
            raise self._error(f"at most {MAX_LENGTH} characters")
        try:
            tree = ast.parse(_QUOTED.sub(self._placeholder, self._text).strip(), mode="eval")
            return self._test(tree.body)
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            raise self._error("comparisons of a column with a value, joined by and, or, not") from None

    def _placeholder(self, match: re.Match[str]) -> str:
        name = f"_quoted_{len(self._names)}"
        self._names[name] = match[1]
        return name

    def _error(self, expected: str) -> EarshotError:
        return EarshotError(
            f'--filter: expected {expected}, found {shorten(self._text)}; write it such as "fold < 4 and '
            "category == 'dog'\""
        )

    def _test(self, node: ast.expr) -> Test:
        if isinstance(node, ast.BoolOp):
            tests = [self._test(value) for value in node.values]
            combine = all if isinstance(node.op, ast.And) else any
            return lambda row: combine(test(row) for test in tests)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self._test(node.operand)
            return lambda row: not inner(row)
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and len(node.ops) == 1:
            return self._comparison(node.left, node.ops[0], node.comparators[0])
        raise self._error("comparisons of a column with a value, joined by and, or, not")

    def _comparison(self, left: ast.Name, comparison: ast.cmpop, right: ast.expr) -> Test:
        name = self._names.get(left.id, left.id)
        cells = self._table.column(name, "--filter: column")
        value = ast.literal_eval(right)  # literals only: a ValueError otherwise
        if isinstance(comparison, ast.Eq | ast.NotEq) and isinstance(value, str | int | float):
            equal = isinstance(comparison, ast.Eq)
            return lambda row: _equals(cells[row], value) == equal
        if isinstance(comparison, ast.In | ast.NotIn) and isinstance(value, list | tuple | set):
            values, inside = list(value), isinstance(comparison, ast.In)
            return lambda row: any(_equals(cells[row], item) for item in values) == inside
        order = _ORDER.get(type(comparison))
        if order is None or isinstance(value, bool) or not isinstance(value, int | float):
            raise self._error(f"column {printable(name)} compared with a text, a number, True, False or a list of them")

        def compare(row: int) -> bool:
            number = _number(cells[row])
            if number is None:
                raise self._table.error(row, name, "a number, as --filter compares it with one", "fix the cell")
            return order(number, value)

        return compare


def _equals(cell: str, value: object) -> bool:
    text = cell.strip()
    if isinstance(value, bool):
        return _TRUTH.get(text.lower()) is value
    if isinstance(value, int | float):
        return _number(text) == value
    return text == value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
