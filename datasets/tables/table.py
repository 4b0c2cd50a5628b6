"""A table of text cells, whatever its format, that knows where each row is for error messages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.text import first_few, printable

LIST_SEPARATOR = "\x1f"
"""Between the items of a cell that is a list in its file (JSON lines, Parquet)."""


@dataclass(frozen=True)
class Table:
    """Rows of text; a missing value is an empty text.

    Attributes:
        columns: cells by name of the column, in the order of the file.
        places: where each row is, such as 'meta.csv: line 7'.
        name: of the file or files, for messages.
    """

    columns: Mapping[str, Sequence[str]]
    places: Sequence[str]
    name: str

    def __len__(self) -> int:
        return len(self.places)

    def column(self, name: str, option: str) -> Sequence[str]:
        """The cells of a column.

        Args:
            name: of the column.
            option: that named it, for the message.

        Raises:
            EarshotError: there is no such column.
        """
        if name not in self.columns:
            found = first_few([printable(column) for column in self.columns], 20)
            advice = suggestion(name, self.columns)
            advice = f" ({advice})" if advice.startswith("did") else ""
            raise EarshotError(
                f"{option} {printable(name)}: expected a column of {self.name}, found {found}; give one of them{advice}"
            )
        return self.columns[name]

    def select(self, rows: Sequence[int]) -> "Table":
        """Some of the rows, by number from 0."""
        columns = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        return Table(columns, [self.places[row] for row in rows], self.name)

    def error(self, row: int, column: str, expected: str, advice: str = "fix the table") -> EarshotError:
        """The error for a cell that is not as expected."""
        found = shorten(self.columns[column][row])
        return EarshotError(
            f"{self.places[row]}: column {printable(column)}: expected {expected}, found {found}; {advice}"
        )


def joined(tables: Sequence[Table]) -> Table:
    """The rows of several tables; a column that a table does not have is empty in its rows."""
    if len(tables) == 1:
        return tables[0]
    names = dict.fromkeys(name for table in tables for name in table.columns)
    columns = {name: _concatenated(table.columns.get(name, [""] * len(table)) for table in tables) for name in names}
    return Table(columns, _concatenated(table.places for table in tables), ", ".join(table.name for table in tables))


def _concatenated(parts: Iterable[Sequence[str]]) -> list[str]:
    return [cell for part in parts for cell in part]


def present(cell: str) -> str:
    """The cell without spaces around it; "" if it is NaN, as some programs write a missing value into CSV."""
    text = cell.strip()
    return "" if text.lower() == "nan" else text


def shorten(text: str) -> str:
    """A quoted cell of any length for a message."""
    text = text.replace(LIST_SEPARATOR, ", ")
    return f"'{printable(text[:80])}{'...' if len(text) > 80 else ''}'"
