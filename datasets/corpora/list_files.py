"""Reads untrusted tables and vocabularies.

A table is CSV in UTF-8 with a header, one record per line. Reading any file either yields complete rows or raises an
error that names file, line and column; the content of a file cannot cause unbounded memory use.
"""

import csv
import hashlib
import io
import json
import math
import re
import stat
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable

MAX_BYTES = 1 << 25
"""Maximum size of a file in bytes; the largest published list has 12 MB."""
MAX_ROWS = 1_000_000
"""Maximum number of rows of a table, so that six digits are enough to number them."""
MAX_LINE = 1 << 16
"""Maximum length of a line of a table, in characters; less than the cell limit of the `csv` module."""
MAX_SECONDS = 86_400.0
"""Maximum position in a recording: one day."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # without the tab, which is reported as a wrong separator
_COMPONENT = r"(?!\.\.?(?:/|\Z))(?![A-Za-z]:)[^/\\\x00-\x1f\x7f\ud800-\udfff]+"
_RELATIVE = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_NUMBER = re.compile(r"[0-9.eE+-]+")
_INTEGER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        path: of the table.
        line: line number in the file, from 1; the header is line 1.
        number: row number, from 0; empty lines are not counted.
        cells: by column; those of required columns are not empty.
    """

    path: Path
    line: int
    number: int
    cells: Mapping[str, str]

    def error(self, expected: str, column: str) -> EarshotError:
        """The error for an invalid cell in `column`."""
        value = _shorten(self.cells[column])
        return _error(self.path, f"line {self.line}: {column}: expected {expected}, found {value}")

    def label(self, column: str, classes: int) -> int:
        """Parses the cell as one of the labels 0 to `classes` - 1.

        Raises:
            EarshotError: it is not such a label.
        """
        text = self.cells[column]
        if not _INTEGER.fullmatch(text) or int(text) >= classes:
            raise self.error(f"a label from 0 to {classes - 1} as in the vocabulary", column)
        return int(text)

    def seconds(self, column: str) -> float:
        """Parses the cell as a position in a recording.

        Raises:
            EarshotError: it is not a number from 0 to `MAX_SECONDS`.
        """
        text = self.cells[column]
        try:
            value = float(text) if _NUMBER.fullmatch(text) else math.nan
        except ValueError:
            value = math.nan
        if not 0 <= value <= MAX_SECONDS:
            raise self.error(f"seconds from 0 to {MAX_SECONDS:g}", column)
        return value


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Reads the rows of a table, in file order.

    Args:
        path: CSV file.
        columns: required columns; others are allowed.

    Raises:
        EarshotError: the file is missing, unreadable, too large, not UTF-8 or not CSV; a column is missing or
            duplicated; the number of cells in a row differs from the header; a required cell is empty; a line has a
            control character.
    """
    header: list[str] | None = None
    number = 0
    for line, text in enumerate(io.StringIO(_read_text(path), newline=None), 1):
        cells = _split(path, line, text)
        if header is None:
            header = _checked_header(path, cells, columns)
        elif cells:
            if len(cells) != len(header):
                raise _error(path, f"line {line}: expected {len(header)} cells, found {len(cells)}")
            row = Row(path, line, number, dict(zip(header, cells, strict=True)))
            for column in columns:
                if not row.cells[column].strip():
                    raise row.error("a value", column)
            if number == MAX_ROWS:
                raise _error(path, f"line {line}: expected at most {MAX_ROWS} rows, found more")
            yield row
            number += 1
    if header is None:
        raise _error(path, f"expected the columns {', '.join(columns)}, found an empty file")


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """Reads class names by label, from a JSON list of names or a JSON object that maps names to labels 0 to n - 1.

    Raises:
        EarshotError: the file is missing, unreadable, too large, not UTF-8 or not JSON; there are no names, or a name
            is empty, has control characters or is duplicated; the labels are not 0 to n - 1, each once.
    """
    try:
        content = json.loads(_read_text(path), object_pairs_hook=tuple)  # a dictionary would hide duplicate names
    except (ValueError, RecursionError) as error:
        raise _error(path, f"expected JSON, found something else ({printable(str(error))})") from None
    pairs = list(content) if isinstance(content, tuple) else []
    if isinstance(content, list):
        pairs = [(name, label) for label, name in enumerate(content)]
    if not pairs:
        raise _error(path, "expected a list of class names, or an object of labels by name, found neither")
    names: dict[int, str] = {}
    known: set[str] = set()
    for name, label in pairs:
        if not isinstance(name, str) or not name.strip() or _CONTROL.search(name) or not _is_text(name):
            raise _error(path, f"expected a class name, found {_shorten(name)}")
        if name in known:
            raise _error(path, f"expected every class once, found {_shorten(name)} twice")
        if type(label) is not int or not 0 <= label < len(pairs) or label in names:
            raise _error(
                path,
                f"label of {_shorten(name)}: expected the labels 0 to {len(pairs) - 1}, each once, found "
                f"{_shorten(label)}",
            )
        known.add(name)
        names[label] = name
    return tuple(names[label] for label in range(len(names)))


def relative_path(text: str, row: Row) -> str:
    """Checks that `text` is a POSIX path that cannot leave the folder it is relative to.

    Args:
        text: built from cells of `row`.
        row: for the error message.

    Returns:
        `text`, unchanged.

    Raises:
        EarshotError: a component is empty, '.', '..', starts with a drive letter, or contains a backslash, a control
            character or half a surrogate pair.
    """
    if not _RELATIVE.fullmatch(text):
        raise _error(
            row.path,
            f"line {row.line}: expected a path inside the source folder (no '..', no '\\', not absolute), "
            f"found {_shorten(text)}",
        )
    return text


def check_unique(row: Row, key: Hashable, rows: dict[Hashable, Row]) -> None:
    """Checks that no earlier row has the same key, and adds the row to `rows`.

    Args:
        row: the row.
        key: identifies its clip.
        rows: the earlier rows by key, of this table and of others.

    Raises:
        EarshotError: an earlier row has the same key; the message names both lines.
    """
    first = rows.setdefault(key, row)
    if first is not row:
        earlier = f"line {first.line}" + (f" of {printable(first.path.name)}" if first.path != row.path else "")
        raise _error(row.path, f"line {row.line}: expected every clip once, found that of {earlier} again")


def digest(paths: Sequence[Path]) -> str:
    """SHA-256 (hex) of the concatenated files: `cat PATHS | sha256sum`.

    Raises:
        EarshotError: a file is missing, unreadable or too large.
    """
    total = hashlib.sha256()
    for path in paths:
        total.update(_read_bytes(path))
    return total.hexdigest()


def _read_text(path: Path) -> str:
    try:
        content = _read_bytes(path)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _error(path, f"line {line}: expected UTF-8, found something else (byte {error.start})") from None


def _read_bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would block
            raise _error(path, "expected a file, found something else")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise EarshotError(f"{printable(str(path))}: expected a file, found none; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise EarshotError(f"{printable(str(path))}: cannot be read ({reason}); check its permissions") from None
    if len(content) > MAX_BYTES:
        raise _error(path, f"expected at most {MAX_BYTES} bytes, found more")
    return content


def _split(path: Path, line: int, text: str) -> list[str]:
    """The cells of a line; an empty line has none."""
    text = text.rstrip("\n")
    if len(text) > MAX_LINE:
        raise _error(path, f"line {line}: expected at most {MAX_LINE} characters, found {len(text)}")
    control = _CONTROL.search(text)
    if control:
        raise _error(path, f"line {line}: expected text, found the control character {_shorten(control[0])}")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise _error(path, f"line {line}: expected CSV, found something else ({error})") from None


def _checked_header(path: Path, cells: list[str], columns: Sequence[str]) -> list[str]:
    missing = [column for column in columns if column not in cells]
    if missing:
        raise _error(path, f"expected the columns {', '.join(columns)}, found {_shorten(','.join(cells))}")
    if len(set(cells)) != len(cells):
        raise _error(path, f"expected every column once, found {_shorten(','.join(cells))}")
    return cells


def _error(path: Path, problem: str) -> EarshotError:
    return EarshotError(f"{printable(str(path))}: {problem}; fix the file or download it again")


def _shorten(value: object) -> str:
    text = str(value) if isinstance(value, str | int | float) else type(value).__name__  # structures may be deep
    return f"'{printable(text[:80])}{'...' if len(text) > 80 else ''}'"


def _is_text(name: str) -> bool:
    """Whether it can be encoded as UTF-8: JSON strings may contain half a surrogate pair."""
    return not any("\ud800" <= char <= "\udfff" for char in name)
