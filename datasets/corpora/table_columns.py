"""Guesses which columns of a table are the recording, its class, split, fold, group and labelled part."""

from collections.abc import Sequence
from typing import Any

from datasets.corpora.file_index import AmbiguousError, FileIndex
from datasets.corpora.table_options import NONE, TableOptions
from datasets.tables.table import Table
from datasets.utils.errors import EarshotError
from datasets.utils.text import first_few, printable

# fmt: off
FILE_NAMES = (
    "file", "filename", "file_name", "fname", "path", "filepath", "file_path", "audio", "wav", "recording", "clip",
    "slice_file_name",
)
LABEL_NAMES = (
    "label", "labels", "class", "class_name", "category", "species", "primary_label", "event", "event_label", "sound",
    "instrument", "word", "command", "keyword", "emotion", "genre", "tag", "tags", "target", "classid", "class_id",
    "speaker", "speaker_id",
)
SPLIT_COLUMNS = ("split", "subset", "set", "partition", "usage")
FOLD_COLUMNS = ("fold", "folds", "cv_fold")
GROUP_COLUMNS = (
    "group", "group_id", "speaker", "speaker_id", "subject", "subject_id", "singer", "actor", "site", "site_id",
    "recording_id", "src_file", "source_file", "fsid", "session", "session_id",
)
START_NAMES = ("start", "onset", "begin", "start_time", "begin_time", "start_seconds", "onset_seconds")
END_NAMES = ("end", "offset", "stop", "end_time", "stop_time", "end_seconds", "offset_seconds")
# fmt: on
_TRIED = 200
"""Rows that decide which column names the recordings."""


def guess_columns(table: Table, index: FileIndex, options: TableOptions) -> dict[str, Any]:
    """The columns, and folds, that the options leave open; those for which there is no guess are absent.

    Raises:
        EarshotError: no column names recordings, or none looks like a class.
    """
    found: dict[str, Any] = {}
    file = options.file_column or _file_column(table, index)
    found["file_column"] = file
    if options.label_column is None and options.label_from is None:
        label = _named(table, LABEL_NAMES, {file})
        if label is None:
            columns = first_few([printable(column) for column in table.columns], 20)
            raise EarshotError(
                f"{table.name}: expected a column that is the class, found {columns}; give it with --label-column"
            )
        found["label_column"] = label
    taken = {file, options.label_column or found.get("label_column", "")}
    if options.split_column is None and options.fold_column in (None, NONE):
        split = _named(table, SPLIT_COLUMNS, taken)
        known = {*options.splits_by_value, ""}
        # another meaning of a column called split is unlikely: its values are checked, not ignored
        values = {cell.strip().lower() for cell in table.columns[split]} if split else set()
        if split and (split.strip().lower() == "split" or values <= known):
            found["split_column"] = split
    if options.fold_column is None and (options.split_column or found.get("split_column", NONE)) == NONE:
        fold = _named(table, FOLD_COLUMNS, taken)
        if fold is not None and len(set(table.columns[fold])) > 1:
            found["fold_column"] = fold
    if options.start_column is None:
        start, end = _named(table, START_NAMES, taken), _named(table, END_NAMES, taken)
        if start and end and len(set(table.columns[file])) < len(table):  # else a column may say where it was cut from
            found |= {"start_column": start, "end_column": end}
    if options.group_column is None and options.group_from == "guess":
        group = _named(table, GROUP_COLUMNS, taken)
        if group is not None and len(set(table.columns[group])) > 1:
            found["group_column"] = group
    return found


def single_group(table: Table, options: TableOptions) -> str | None:
    """A column that is not guessed as groups because all recordings have the same one; None if there is none."""
    column = _named(table, GROUP_COLUMNS, {options.file_column or "", options.label_column or ""})
    return column if column is not None and len(set(table.columns[column])) == 1 else None


def _named(table: Table, names: Sequence[str], taken: set[str]) -> str | None:
    """The column with the first of the names, in any case."""
    columns = {column.strip().lower().replace(" ", "_").replace("-", "_"): column for column in table.columns}
    return next((columns[name] for name in names if name in columns and columns[name] not in taken), None)


def _file_column(table: Table, index: FileIndex) -> str:
    """The column of which most cells are recordings; of equal ones that with the most usual name."""
    rows = range(0, len(table), max(1, len(table) // _TRIED))
    usual = _named(table, FILE_NAMES, set())
    found: dict[str, int] = {}
    for column in sorted(table.columns, key=lambda column: column != usual):
        found[column] = sum(_is_recording(table.columns[column][row].strip(), index) for row in rows)
        if column == usual and found[column] == len(rows):
            return column  # no other column can be better, and looking for their cells costs more
    best = max(found, key=lambda column: (found[column], column == usual), default=None)
    if best is None or not found[best]:
        _check_paths(table, index, [usual] if usual else list(table.columns))
        columns = first_few([printable(column) for column in table.columns], 20)
        raise EarshotError(
            f"{table.name}: expected a column that names the recordings, found none of them in {columns}; check "
            "--source, or give --file-column and --audio-extension"
        )
    return best


def _check_paths(table: Table, index: FileIndex, columns: Sequence[str]) -> None:
    """Checks that no column names files outside of the source folder, as one with absolute paths does."""
    for column in columns:
        for row, cell in enumerate(table.columns[column][:_TRIED]):
            if "/" in cell or "\\" in cell:
                try:
                    index.find(cell.strip())
                except (AmbiguousError, ValueError):
                    raise table.error(
                        row, column, "a path inside the source folder (not empty, absolute or with '..')"
                    ) from None


def _is_recording(cell: str, index: FileIndex) -> bool:
    try:
        return bool(cell) and index.find(cell) is not None
    except AmbiguousError:
        return True
    except ValueError:
        return False
