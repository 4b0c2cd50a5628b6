"""The tables of the corpus `table`: finds them, reads them once, and filters their rows."""

from functools import lru_cache
from pathlib import Path

from datasets.corpora.inventory import Inventory
from datasets.corpora.split_lists import in_source
from datasets.corpora.table_options import TableOptions
from datasets.tables.filters import matching_rows
from datasets.tables.read_table import SEPARATORS, read_table
from datasets.tables.table import Table, joined
from datasets.utils.errors import EarshotError
from datasets.utils.posix_path import suffix
from datasets.utils.text import first_few, printable

_TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")


def only_table(source: Path, inventory: Inventory) -> Path:
    """The table in the source folder.

    Raises:
        EarshotError: there is none, or several.
    """
    found = [path for path in inventory.others if suffix(path).lower() in _TABLES]
    if len(found) == 1:
        return in_source(source, Path(found[0]))
    named = first_few([printable(path) for path in found]) or "none"
    raise EarshotError(f"{printable(str(source))}: expected one table in it, found {named}; give it with --csv")


def file_stamps(options: TableOptions) -> tuple[tuple[int, int], ...]:
    """Size and modification time of the tables: a table that changes is read again."""
    found = [path.stat() if path.is_file() else None for path in options.csv]
    return tuple((status.st_size, status.st_mtime_ns) if status else (0, 0) for status in found)


def read_rows(options: TableOptions) -> Table:
    """The rows that the filter keeps.

    Raises:
        EarshotError: a table cannot be read, or no row matches the filter.
    """
    separator = options.separator and SEPARATORS.get(options.separator, options.separator)
    header = tuple(name.strip() for name in options.header.split(",")) if options.header else ()
    table = _read_all(options.csv, file_stamps(options), separator, options.encoding, header)
    if options.filter is None:
        return table
    rows = matching_rows(table, options.filter)
    if not rows:
        raise EarshotError(
            f"--filter: expected rows of {table.name} that match, found none of {len(table)}; check the values"
        )
    return table.select(rows)


@lru_cache(maxsize=2)
def _read_all(
    paths: tuple[Path, ...],
    stamps: tuple[tuple[int, int], ...],
    separator: str | None,
    encoding: str,
    header: tuple[str, ...],
) -> Table:
    return joined([read_table(path, separator, encoding, header) for path in paths])


def table_names(options: TableOptions) -> str:
    """The paths of the tables, for messages."""
    return ", ".join(printable(str(path)) for path in options.csv)
