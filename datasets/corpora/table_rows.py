"""The rows of a table as labelled recordings: finds files, checks labels and times, merges rows of one recording."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from datasets.audio.ffmpeg import needs_ffmpeg
from datasets.corpora.file_index import AmbiguousError, FileIndex
from datasets.corpora.file_labels import FileLabels
from datasets.corpora.inventory import Inventory, Rejection
from datasets.corpora.labels import MAX_LABEL, WHOLE, label_doubts, most_specific, overlap_doubts
from datasets.corpora.table_options import NONE, TableOptions
from datasets.corpora.table_splits import given_splits
from datasets.tables.table import LIST_SEPARATOR, Table, present, shorten
from datasets.utils.errors import EarshotError
from datasets.utils.text import first_few, plural, printable

MAX_NAME = 300
"""Characters of a name of a recording in messages and rejected.csv."""


class LabelledRow(NamedTuple):
    """A recording, or a part of one, with one label.

    Attributes:
        row: number in the table, from 0.
        place: such as 'esc50.csv: line 7'.
        path: of the recording.
        label: name of the class.
        split: None if splits are drawn.
        group: None if there are no groups.
        seconds: begin and end of the part; None: the whole recording.
    """

    row: int
    place: str
    path: str
    label: str
    split: str | None
    group: str | None
    seconds: tuple[float, float] | None

    @property
    def key(self) -> str:
        """Names the recording or the part in messages and for the draw of splits."""
        return self.path if self.seconds is None else f"{self.path} from {self.seconds[0]} to {self.seconds[1]} s"


@dataclass(frozen=True)
class LabelledRows:
    """What a table says about the recordings.

    Attributes:
        rows: in the order of the table, each key once.
        rejected: rows that cannot be used.
        warnings: what was changed or left out.
        doubts: what is probably a mistake in the table.
    """

    rows: tuple[LabelledRow, ...]
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...]
    doubts: tuple[str, ...]


def labelled_rows(table: Table, inventory: Inventory, index: FileIndex, options: TableOptions) -> LabelledRows:
    """Reads the rows of a table.

    Args:
        table: filtered.
        inventory: of the source folder.
        index: of its recordings, the unusable ones included.
        options: with the columns resolved.

    Raises:
        EarshotError: a path leads outside of the source, times are reversed, a recording has several labels, splits or
            groups, or no row names a recording.
    """
    return _Reader(table, inventory, index, options).read()


class _Reader:
    def __init__(self, table: Table, inventory: Inventory, index: FileIndex, options: TableOptions) -> None:
        self._table, self._index, self._options = table, index, options
        self._unusable = {rejection.file: rejection.reason for rejection in inventory.rejected}
        self._rejected: list[Rejection] = []
        self._missing: list[int] = []
        self._warnings: list[str] = []

    def read(self) -> LabelledRows:
        """All rows; see `labelled_rows`."""
        table, options = self._table, self._options
        files = table.column(str(options.file_column), "--file-column")
        label_of = FileLabels(options.label_from or "1").label if options.label_column is None else None
        labels = self._labels() if label_of is None else []
        splits = given_splits(table, options)
        groups = self._groups()
        spans = self._spans()
        merged: dict[tuple[str, tuple[float, float] | None], tuple[int, list[str]]] = {}
        recordings: dict[str, int] = {}  # the first row of each
        repeated = 0
        reason = f"no label in column {options.label_column}"
        if options.label_column is None:
            reason = f"--label-from {options.label_from} gives no class"
        for row, cell in enumerate(files):
            path = self._path(row, cell.strip())
            if path is None:
                continue
            found = labels[row] if label_of is None else [label] if (label := label_of(path)) else []
            if not found:
                self._reject(row, path, reason)
                continue
            first, known = merged.setdefault((path, spans[row]), (row, []))
            if first != row:
                self._check_repeated(row, first, splits)
                repeated += set(found) <= set(known)
            if (earlier := recordings.setdefault(path, row)) != row:
                self._check_group(row, earlier, path, groups)
            known += [label for label in dict.fromkeys(found) if label not in known]
        self._check_missing(files)
        if repeated:
            verb = "repeats" if repeated == 1 else "repeat"
            self._warnings.append(f"{plural(repeated, 'row')} {verb} a recording and its label, left out")
        chosen = self._one_label(list(merged.values()))
        rows = []
        for (path, seconds), (row, _) in merged.items():
            if (label := chosen[row]) is not None:
                split = splits[row] if splits else None
                rows.append(LabelledRow(row, self._place(row), path, label, split, groups(row, path), seconds))
        rejected = tuple(sorted(self._rejected, key=lambda rejection: rejection.file))
        column = f"column {printable(options.label_column)}" if options.label_column else "--label-from"
        doubts = list(label_doubts(((row.label, row.place) for row in rows), column))
        if options.start_column not in (None, NONE):
            doubts += overlap_doubts((row.path, row.seconds, row.label, row.place) for row in rows)
        return LabelledRows(tuple(rows), rejected, tuple(self._warnings), tuple(doubts))

    def _check_repeated(self, row: int, first: int, splits: Sequence[str] | None) -> None:
        """Checks that a row of the recording, or part, of an earlier row has its split."""
        if splits and splits[row] != splits[first]:
            options = self._options
            column = options.fold_column if options.split_column in (None, NONE) else options.split_column
            raise self._table.error(row, str(column), self._as_first(first, str(column)))

    def _check_group(self, row: int, first: int, path: str, groups: Callable[[int, str], str | None]) -> None:
        """Checks that a row has the group of the first row of its recording: a recording is in one split."""
        if groups(row, path) != groups(first, path):
            column, advice = str(self._options.group_column), "fix the table"
            if self._options.start_column not in (None, NONE):
                advice += ", or give --group-column none (the parts of each recording are a group)"
            raise self._table.error(row, column, self._as_first(first, column), advice)

    def _as_first(self, first: int, column: str) -> str:
        cell = shorten(self._table.columns[column][first])
        return f"{cell} as in {self._place(first)}, which has this recording, too"

    def _reject(self, row: int, file: str, reason: str, column: str = "") -> None:
        name = printable(file if len(file) <= MAX_NAME else f"{file[:MAX_NAME]}...")
        place = f"{self._place(row)}: column {column}" if column else self._place(row)
        self._rejected.append(Rejection(name, printable(f"{reason} ({place})")))

    def _place(self, row: int) -> str:
        return self._table.places[row].rpartition("/")[2]

    def _path(self, row: int, cell: str) -> str | None:
        """The recording of a row; None if it cannot be used."""
        column = str(self._options.file_column)
        try:
            path = self._index.find(cell)
        except AmbiguousError as error:
            found = first_few([printable(name) for name in error.args[0]], 3)
            raise self._table.error(row, column, f"the name of one recording (this one is {found})") from None
        except ValueError:
            raise self._table.error(
                row, column, "a path inside the source folder (not empty, absolute or with '..')"
            ) from None
        if path is None:
            self._missing.append(row)
            other = needs_ffmpeg(cell + (self._options.audio_extension or "")) and not self._options.ffmpeg
            problem = "not found among the formats that are read without --ffmpeg" if other else "not found"
            self._reject(row, cell, problem, column)
        elif reason := self._unusable.get(printable(path)):
            self._reject(row, path, reason)
            return None
        return path

    def _check_missing(self, files: Sequence[str]) -> None:
        if len(self._missing) == len(files):
            example = f"{shorten(files[0])} ({self._table.places[0]})" if files else "no row"
            raise EarshotError(
                f"--file-column {printable(str(self._options.file_column))}: expected names of recordings in --source, "
                f"found {example}; check --source, --file-column and --audio-extension"
            )

    def _labels(self) -> list[list[str]]:
        """The labels of each row in the label column, without spaces around them; none if they are missing."""
        options = self._options
        cells = self._table.column(str(options.label_column), "--label-column")
        separator = options.label_separator
        divided = [cell.replace(separator, LIST_SEPARATOR) if separator else cell for cell in cells]
        rows = [[label for part in cell.split(LIST_SEPARATOR) if (label := present(part))] for cell in divided]
        for row, labels in enumerate(rows):
            if any(len(label) > MAX_LABEL for label in labels):
                raise self._table.error(row, str(options.label_column), f"a label of at most {MAX_LABEL} characters")
        if all(WHOLE.fullmatch(label) for labels in rows for label in labels):
            rows = [[label.partition(".")[0] for label in labels] for labels in rows]
        spaced = [row for row, cell in enumerate(cells) if cell != cell.strip() and cell.strip()]
        if spaced:
            example = f"{shorten(cells[spaced[0]])} ({self._table.places[spaced[0]]})"
            self._warnings.append(f"spaces around {plural(len(spaced), 'label')} removed, such as {example}")
        if separator is None:
            self._check_separators(rows)
        return rows

    def _check_separators(self, rows: Sequence[Sequence[str]]) -> None:
        """Finds labels that are lists of other labels of the table."""
        known = {label for labels in rows for label in labels}
        for separator in (",", ";", "|"):
            lists = {label for label in known if separator in label}
            found = {label for label in lists if {part.strip() for part in label.split(separator)} <= known - lists}
            for row, labels in enumerate(rows):
                if found & set(labels):
                    advice = f'give --label-separator "{separator}" and --several-labels'
                    raise self._table.error(row, str(self._options.label_column), "one label", advice)

    def _groups(self) -> Callable[[int, str], str | None]:
        """The group of a row with a recording; without a column, parts of one recording are a group."""
        column = self._options.group_column
        if column not in (None, NONE):
            cells = [present(cell) for cell in self._table.column(str(column), "--group-column")]
            if empty := [row for row, cell in enumerate(cells) if not cell]:
                self._warnings.append(
                    f"column {printable(str(column))} has no group in {plural(len(empty), 'row')}, such as "
                    f"{self._place(empty[0])}: each of these recordings is a group by itself"
                )
            return lambda row, path: cells[row] or path
        whole = self._options.start_column in (None, NONE)
        return lambda row, path: None if whole else path

    def _spans(self) -> list[tuple[float, float] | None]:
        options, table = self._options, self._table
        if options.start_column in (None, NONE):
            return [None] * len(table)
        starts = table.column(str(options.start_column), "--start-column")
        ends = table.column(str(options.end_column), "--end-column")
        spans: list[tuple[float, float] | None] = []
        for row in range(len(table)):
            if not starts[row].strip() and not ends[row].strip():
                spans.append(None)
                continue
            start, end = self._seconds(row, str(options.start_column)), self._seconds(row, str(options.end_column))
            if end <= start:
                raise table.error(row, str(options.end_column), f"seconds after the begin, {start:g}")
            spans.append((start, end))
        return spans

    def _seconds(self, row: int, column: str) -> float:
        try:
            value = float(self._table.columns[column][row])
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise self._table.error(row, column, "seconds from 0 on, such as 1.25")
        return value

    def _one_label(self, merged: Sequence[tuple[int, list[str]]]) -> dict[int, str | None]:
        """The label of each recording by row; None if it is left out."""
        rule = self._options.several_labels
        several = [(row, labels) for row, labels in merged if len(labels) > 1]
        if several and rule == "error":
            row, labels = several[0]
            found = first_few([printable(label) for label in labels])
            raise EarshotError(
                f"{self._table.places[row]}: expected one label of every recording, found {len(several)} with several, "
                f"such as {found} of {shorten(self._table.columns[str(self._options.file_column)][row])}; correct the "
                "table, or give --several-labels skip, first, last or specific"
            )
        of_rule: dict[str, Callable[[list[str]], str | None]] = {
            "first": lambda labels: labels[0],
            "last": lambda labels: labels[-1],
            "specific": most_specific([labels for _, labels in merged]) if rule == "specific" else lambda _: None,
        }
        chosen = {row: labels[0] if len(labels) == 1 else None for row, labels in merged}
        chosen |= {row: of_rule.get(rule, lambda _: None)(labels) for row, labels in several}
        if several:
            left_out = sum(label is None for label in chosen.values())
            self._warnings.append(
                f"{plural(len(several), 'recording')} with several labels: {len(several) - left_out} used with one of "
                f"them, {left_out} left out (--several-labels {rule})"
            )
        return chosen
