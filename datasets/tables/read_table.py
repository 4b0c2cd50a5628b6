"""Reads a table: CSV with any separator, TSV, Parquet, or JSON lines.

The file is untrusted: reading it gives complete rows, or an error that names file, line and what was expected. No cell
is interpreted as anything but text.
"""

import csv
import io
import json
import math
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets.tables.table import LIST_SEPARATOR, Table, shorten
from datasets.utils.errors import EarshotError
from datasets.utils.text import first_few, one_line, plural, printable

MAX_BYTES = 1 << 28
"""Maximum size of a table in bytes."""
MAX_ROWS = 5_000_000
"""Maximum number of rows of a Parquet file, which a few bytes can declare."""

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}

_PARQUET = (".parquet", ".pq")
_JSON = (".jsonl", ".ndjson", ".json")


def read_table(path: Path, separator: str | None = None, encoding: str = "utf-8", columns: Sequence[str] = ()) -> Table:
    """Reads a table; its format is that of the suffix, CSV for any unknown one.

    Args:
        path: of the file.
        separator: between the cells of CSV (default: the one that gives the header the most cells).
        encoding: of text; a byte order mark is skipped.
        columns: names of the columns of CSV without a header.

    Raises:
        EarshotError: the file is missing, unreadable, too large, or not in this format; a row has more or fewer cells
            than the header; a column is named twice.
    """
    content = _read_bytes(path)
    suffix, name = path.suffix.lower(), printable(str(path))
    if suffix in _PARQUET:
        return _read_parquet(content, name)
    text = _decode(content, name, encoding)
    if suffix in _JSON:
        return _read_json_lines(text, name)
    if separator is None:
        separator = "\t" if suffix in (".tsv", ".tab") else None
    return _read_csv(text, name, separator, columns)


def _read_bytes(path: Path) -> bytes:
    name = printable(str(path))
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would block
            raise EarshotError(f"{name}: expected a table, found something else than a file; check --csv")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise EarshotError(f"{name}: expected a table, found no file; check --csv") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise EarshotError(f"{name}: cannot be read ({reason}); check its permissions") from None
    if len(content) > MAX_BYTES:
        raise EarshotError(f"{name}: expected at most {MAX_BYTES} bytes, found more; divide the table")
    return content


def _decode(content: bytes, name: str, encoding: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"
    try:
        return content.decode(encoding)
    except LookupError:
        raise EarshotError(
            f"--encoding {printable(encoding)}: expected an encoding that Python knows, such as latin-1"
        ) from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start : error.start + 1].hex() or "00"
        raise EarshotError(
            f"{name}: line {line}: expected text in {error.encoding}, found byte 0x{byte}; "
            "give its encoding, such as --encoding latin-1"
        ) from None
    except ValueError:  # such as a UnicodeError of punycode, or a NUL in the name of the encoding
        raise EarshotError(
            f"{name}: expected text in {printable(encoding)}, found something else; give its encoding, such as "
            "--encoding latin-1"
        ) from None


def _read_csv(text: str, name: str, separator: str | None, columns: Sequence[str]) -> Table:
    separator = separator or _guess_separator(text)
    rows = _records(text, name, separator)
    header = list(columns) or [cell.strip() for cell in next(rows, (0, []))[1]]
    if not any(header):
        raise EarshotError(f"{name}: expected a header and rows, found an empty file; check --csv")
    _check_header(header, name)
    records: list[list[str]] = []
    places = []
    for line, row in rows:
        if len(row) != len(header):
            first = f" (the first is {shorten(row[0])})" if row else ""
            raise EarshotError(
                f"{name}: line {line}: expected {plural(len(header), 'cell')} as in the header "
                f"({first_few([printable(column) for column in header], 8)}), found {len(row)}{first}; fix the table, "
                "or give its separator: --separator"
            )
        records.append(row)
        places.append(f"{name}: line {line}")
    cells = map(list, zip(*records, strict=True)) if records else ([] for _ in header)
    return Table(dict(zip(header, cells, strict=True)), places, name)


def _records(text: str, name: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the first line and the cells of each record that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for row in reader:
            if "".join(row).strip():
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise EarshotError(
            f"{name}: line {line}: expected CSV, found something else ({error}); fix the table"
        ) from None


def _guess_separator(text: str) -> str:
    """The separator that divides the header into the most cells; of equal ones the more common."""
    header = text.lstrip("\r\n").splitlines()[:1]
    counts = {}
    for separator in (",", ";", "\t", "|"):
        try:
            counts[separator] = len(next(csv.reader(header, delimiter=separator), []))
        except csv.Error:
            continue
    return max(counts, key=lambda separator: counts[separator]) if counts else ","


def _check_header(header: Sequence[str], name: str) -> None:
    if repeated := [column for column in header if header.count(column) > 1]:
        raise EarshotError(
            f"{name}: expected every column once, found {shorten(repeated[0])} twice in the header; rename one of them"
        )


def _read_json_lines(text: str, name: str) -> Table:
    columns: dict[str, list[str]] = {}
    places: list[str] = []
    for line, record in enumerate(text.split("\n"), 1):
        if not record.strip():
            continue
        try:
            content = json.loads(record)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise EarshotError(
                f"{name}: line {line}: expected a JSON object (one row in each line), found {shorten(record.strip())}; "
                "fix the table"
            )
        place = f"{name}: line {line}"
        for column in content:
            if column not in columns:
                columns[_cell(column, place, column)] = [""] * len(places)
        for column, cells in columns.items():
            cells.append(_cell(content.get(column), place, column))
        places.append(place)
    if not columns:
        raise EarshotError(f"{name}: expected JSON objects, one in each line, found an empty file; check --csv")
    return Table(columns, places, name)


def _read_parquet(content: bytes, name: str) -> Table:
    import pyarrow as pa  # only this format needs it, and `earshot prepare --help` imports this module
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            if file.metadata.num_rows > MAX_ROWS:
                raise EarshotError(f"{name}: expected at most {MAX_ROWS} rows, found more; divide the table")
            names = file.schema_arrow.names
            _check_header(names, name)
            nested = [field.name for field in file.schema_arrow if pa.types.is_struct(field.type)]
            data = file.read(columns=[column for column in names if column not in nested])
        places = [f"{name}: row {row}" for row in range(1, len(data) + 1)]
        columns = {
            column: [_cell(value, place, column) for value, place in zip(data[column].to_pylist(), places, strict=True)]
            for column in data.column_names
        }
    except (pa.ArrowException, OSError, ValueError, OverflowError, RecursionError) as error:
        raise EarshotError(f"{name}: expected Parquet, found something else ({one_line(error)[:200]})") from None
    return Table(columns, places, name)


def _cell(value: Any, place: str, column: str) -> str:
    """A value as text: missing values are empty, whole numbers have no decimals, items of lists are separated."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, list) and not any(isinstance(item, list) for item in value):
        return LIST_SEPARATOR.join(_cell(item, place, column) for item in value)
    if isinstance(value, Mapping | bytes | list):
        raise EarshotError(f"{place}: column {printable(column)}: expected text or a number, found something else")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = str(value)
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):  # JSON can write half a character
        raise EarshotError(f"{place}: column {printable(column)}: expected text, found {shorten(text)}; fix the table")
    return text
