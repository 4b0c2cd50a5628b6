"""Recordings that a table labels: one row for each recording, or for each labelled part of one.

    filename,fold,category,src_file           file,start,end,call
    1-100032-A-0.wav,1,dog,100032             site1/a.flac,12.5,14.0,wren

Any CSV, TSV, Parquet or JSON lines will do. Columns that are not given are guessed, and the summary says which. Splits
come from a column, from folds, or are drawn as `folder` draws them: the same recordings with the same classes then give
the same clips. Groups (`--group-column`) are in one split as a whole.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from datasets.benchmark.clips import Clip
from datasets.corpora.corpus import Corpus, Plan, Unit
from datasets.corpora.file_clips import FILES_PER_UNIT, GUESS, NO_GROUPS, LabelledPart, cut_file
from datasets.corpora.file_formats import format_warnings, list_recordings, same_names
from datasets.corpora.file_groups import check_groups, crossing_groups, describe_groups, groups_of, resolved_group_rule
from datasets.corpora.file_index import FileIndex
from datasets.corpora.inventory import Inventory, Rejection
from datasets.corpora.short_recordings import short_recordings
from datasets.corpora.split_lists import GivenSplits, in_source
from datasets.corpora.splits import split_files, split_groups
from datasets.corpora.table_columns import guess_columns, single_group
from datasets.corpora.table_files import file_stamps, only_table, read_rows, table_names
from datasets.corpora.table_options import COLUMN_FIELDS, NONE, TableOptions
from datasets.corpora.table_rows import LabelledRow, LabelledRows, labelled_rows
from datasets.corpora.table_splits import chosen_folds
from datasets.utils.errors import EarshotError
from datasets.utils.files import file_digest
from datasets.utils.text import first_few, plural, printable

_LONGEST_NUMBER = 4000
"""Digits of a label that is sorted as a number; Python converts at most 4300."""


@dataclass(frozen=True)
class _Classes:
    """The rows of each class by their keys, and what becomes of them."""

    rows: dict[str, dict[str, LabelledRow]]
    groups: dict[str, dict[str, str]]
    given: GivenSplits | None
    options: TableOptions

    @cached_property
    def split_groups(self) -> dict[str, dict[str, str]]:
        """By class, the split of each row that has a group, as it is drawn."""
        return split_groups(self.groups, self.options.train, self.options.val, self.options.split_seed)


class TableCorpus(Corpus[TableOptions]):
    """Recordings that a table labels; a unit of work is up to 32 recordings."""

    name = "table"
    summary = "recordings that a table labels (CSV, TSV, Parquet, JSON lines): whole ones, or parts with start and end"
    options_type = TableOptions

    def identity(self, options: TableOptions) -> dict[str, Any]:
        """The tables are replaced by the SHA-256 of their content."""
        try:
            return options.model_dump(mode="json") | {"csv": [file_digest(path) for path in options.csv]}
        except OSError as error:
            raise EarshotError(f"{table_names(options)}: cannot be read ({error.strerror}); check --csv") from None

    def inventory(self, source: Path, options: TableOptions) -> Inventory:
        """Lists the recordings in formats that libsndfile reads, with --ffmpeg also in those that ffmpeg reads."""
        return list_recordings(source, options.ffmpeg)

    def resolve(self, source: Path, inventory: Inventory, options: TableOptions) -> TableOptions:
        """Finds the table and the columns that the options leave open; the paths of tables become absolute."""
        found: dict[str, Any] = {"csv": tuple(in_source(source, path) for path in options.csv)}
        found["csv"] = found["csv"] or (only_table(source, inventory),)
        table = read_rows(_updated(options, found))
        if not len(table):
            raise EarshotError(f"{table.name}: expected rows below the header, found none; check --csv")
        found |= guess_columns(table, _index(inventory, options.audio_extension), options)
        options = _updated(options, found)
        if options.fold_column not in (None, NONE):
            test, val = chosen_folds(table, options)
            options = _updated(options, {"test_folds": test, "val_folds": val or (NONE,)})
        classes = self._classes(inventory, options)
        if "group_column" in found and not _usable(classes):
            options = _updated(options, {"group_column": NONE})
            classes = self._classes(inventory, options)
        paths = {name: list(rows) for name, rows in classes.rows.items()}
        drawn = classes.given is None and not classes.groups
        return _updated(options, {"group_from": resolved_group_rule(paths, options, drawn)})

    def doubts(self, source: Path, inventory: Inventory, options: TableOptions) -> tuple[str, ...]:
        """Labels that look like two spellings of one, and groups in several of the given splits."""
        options = self.resolve(source, inventory, options)
        doubts = [*super().doubts(source, inventory, options), *self._rows(inventory, options).doubts]
        classes = self._classes(inventory, options)
        if classes.given and (crossing := crossing_groups(classes.groups, classes.given.splits)):
            doubts.append(f"{crossing}, which makes their test clips easier: give other splits or groups")
        if options.ffmpeg:
            together = classes.given.splits if classes.given else classes.groups
            rows = [(name, key, row.path) for name, of_class in classes.rows.items() for key, row in of_class.items()]
            shared = {path: together.get(name, {}).get(key, path) for name, key, path in rows}
            doubts += same_names(shared, lambda: shared)
        return tuple(doubts)

    def plan(self, source: Path, inventory: Inventory, options: TableOptions) -> Plan:
        """Numbers the classes by name, or by number if all are numbers; reads no recording."""
        given = options.model_fields_set
        options = self.resolve(source, inventory, options)
        read = self._rows(inventory, options)
        classes = self._classes(inventory, options)
        self._check_sizes(read, classes, options)
        splits = _splits(classes, options)
        names = _ordered(classes.rows)
        parts = [
            LabelledPart(
                row.path,
                splits[name][key],
                label,
                name,
                classes.groups.get(name, {}).get(key),
                row.seconds,
                "" if row.seconds is None else row.place,
            )
            for label, name in enumerate(names)
            for key, row in sorted(classes.rows[name].items())
        ]
        left_out = {row.label for row in read.rows} - set(names)
        warnings = list(read.warnings)
        if "group_column" not in given and (unused := _unused_groups(inventory, options)):
            warnings.append(unused)
        if left_out:
            counts = Counter(row.label for row in read.rows)
            found = [f"{printable(name)} ({counts[name]})" for name in _ordered(left_out)]
            warnings.append(f"classes left out by --min-files {options.min_files}: {first_few(found, 100)}")
        if unnamed := {file.path for file in inventory.files} - {row.path for row in read.rows}:
            warnings.append(f"{plural(len(unnamed), 'recording')} without a row that is used, left out")
        used = {part.path for part in parts}
        listed = replace(inventory, files=tuple(file for file in inventory.files if file.path in used))
        return Plan(
            units=tuple(_units(parts)),
            classes=tuple(names),
            sample_rate=options.sample_rate,
            num_samples=options.num_samples,
            rejected=read.rejected,
            warnings=(*warnings, *format_warnings(source, listed, options.sample_rate)),
            notes=(
                ("columns", _describe_columns(options, given)),
                ("groups", _describe_groups(classes, options)),
            ),
            files=len(parts) + len(read.rejected),
            ignored=inventory.ignored + len(unnamed),
        )

    def cut(self, source: Path, unit: Unit, options: TableOptions) -> Iterator[Clip | Rejection]:
        """Decodes each recording once and yields the clips of its parts, in the order of the plan."""
        names = unit.details["classes"]
        for path, rows in zip(unit.files, unit.details["parts"], strict=True):
            parts = [
                LabelledPart(path, split, label, names[str(label)], group, seconds and tuple(seconds), place)
                for label, split, group, seconds, place in rows
            ]
            yield from cut_file(source, parts, options)

    def advise(self, rejected: Sequence[Rejection], options: TableOptions) -> str:
        """How many of the recordings that are too short a smaller `--min-seconds` would keep."""
        return short_recordings(rejected, options.min_seconds)

    def _rows(self, inventory: Inventory, options: TableOptions) -> LabelledRows:
        return _labelled_rows(_before_groups(options), file_stamps(options), inventory)

    def _classes(self, inventory: Inventory, options: TableOptions) -> _Classes:
        if options.group_from in (GUESS, NO_GROUPS):  # no difference in the classes
            options = _before_groups(options)
        return _classes(options, file_stamps(options), inventory)

    def _check_sizes(self, read: LabelledRows, classes: _Classes, options: TableOptions) -> None:
        if not classes.rows:
            problem = f"; {read.rejected[0].file}: {read.rejected[0].reason}" if read.rejected else ""
            raise EarshotError(
                f"{table_names(options)}: expected rows with a label and a recording, found none{problem}"
            )
        small = [name for name in _ordered(classes.rows) if len(classes.rows[name]) < 2]
        if small:
            found = [f"{printable(name)!r}" for name in small]
            raise EarshotError(
                f"{table_names(options)}: expected at least two usable rows of every class (one to train, one to "
                f"test), found one of {first_few(found, 100)}; add recordings, or leave these classes out with "
                "--min-files 2"
            )


def _updated(options: TableOptions, changes: Mapping[str, Any]) -> TableOptions:
    """The options with changes that do not count as given by the user."""
    return TableOptions.model_construct(_fields_set=options.model_fields_set, **{**dict(options), **changes})


def _before_groups(options: TableOptions) -> TableOptions:
    """Without the rule of groups, which does not change the rows of the table."""
    return _updated(options, {"group_from": GUESS})


# `resolve`, `doubts` and `plan` need the same rows; for 100,000 of them each reading takes about a second.
@lru_cache(maxsize=2)
def _labelled_rows(options: TableOptions, stamps: tuple[tuple[int, int], ...], inventory: Inventory) -> LabelledRows:
    return labelled_rows(read_rows(options), inventory, _index(inventory, options.audio_extension), options)


# As `_labelled_rows`; the groups of 300,000 recordings may take ten seconds to divide.
@lru_cache(maxsize=2)
def _classes(options: TableOptions, stamps: tuple[tuple[int, int], ...], inventory: Inventory) -> _Classes:
    read = _labelled_rows(_before_groups(options), stamps, inventory)
    counts = Counter(row.label for row in read.rows)
    rows: dict[str, dict[str, LabelledRow]] = {}
    for row in read.rows:
        if counts[row.label] >= (options.min_files or 0):
            rows.setdefault(row.label, {})[row.key] = row
    named = {
        name: {key: row.group for key, row in of_class.items() if row.group is not None}
        for name, of_class in rows.items()
    }
    groups = {name: of_class for name, of_class in named.items() if of_class}
    if options.group_column in (None, NONE) and options.group_from not in (GUESS, NO_GROUPS):
        paths = {name: list(dict.fromkeys(row.path for row in of_class.values())) for name, of_class in rows.items()}
        groups = groups_of(paths, options)
        if options.start_column not in (None, NONE):
            groups = _groups_of_parts(rows, groups)
    if not read.rows or read.rows[0].split is None:
        return _Classes(rows, groups, None, options)
    splits = {name: {key: str(row.split) for key, row in of_class.items()} for name, of_class in rows.items()}
    option = f"--test-folds and --val-folds ({_place(options, options.fold_column)})"
    if options.split_column not in (None, NONE):
        option = f"--split-column ({_place(options, options.split_column)})"
    return _Classes(rows, groups, GivenSplits(splits, (), option), options)


def _place(options: TableOptions, column: str | None) -> str:
    """Names a column of the tables in a message about several of its rows."""
    return f"column {printable(str(column))} of {table_names(options)}"


@lru_cache(maxsize=2)
def _index(inventory: Inventory, extension: str | None) -> FileIndex:
    paths = [*(file.path for file in inventory.files), *(rejection.file for rejection in inventory.rejected)]
    return FileIndex(paths, extension or "")


def _ordered(names: Sequence[str] | set[str] | Mapping[str, Any]) -> list[str]:
    """By number if all are whole numbers, else by name."""
    if all(name.removeprefix("-").isdecimal() and len(name) < _LONGEST_NUMBER for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _usable(classes: _Classes) -> bool:
    """Whether guessed groups leave train and test rows in every class; given splits that divide them are a doubt."""
    if classes.given:
        return True
    return all({"train", "test"} <= set(of_class.values()) for of_class in classes.split_groups.values())


def _unused_groups(inventory: Inventory, options: TableOptions) -> str | None:
    """A warning about a column that `resolve` would have guessed as groups if they could be divided into splits."""
    if "group_from" in options.model_fields_set and options.group_from != GUESS:
        return None
    table, index = read_rows(options), _index(inventory, options.audio_extension)
    if options.group_column is None:
        column = single_group(table, options)
        return column and f"column {printable(column)} looks like groups, but has only one: not used"
    found = guess_columns(table, index, _updated(options, {"group_column": None, "group_from": GUESS}))
    if options.group_column != NONE or (column := found.get("group_column")) is None:
        return None
    return (
        f"column {printable(column)} looks like groups, but leaves classes without train or test recordings: not used"
    )


def _groups_of_parts(
    rows: Mapping[str, Mapping[str, LabelledRow]], groups: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """By class, the group of each part: that of its recording in any class, else the recording itself.

    Args:
        rows: by class and key.
        groups: by class, the group of each recording; classes may be absent. A recording with several of them, which
            are stems of different lengths, is in the largest group.
    """
    by_path: dict[str, str] = {}
    for of_class in groups.values():
        for path, group in of_class.items():
            by_path[path] = min(by_path.get(path, group), group, key=len)
    return {
        name: {key: by_path.get(row.path, row.path) for key, row in of_class.items()} for name, of_class in rows.items()
    }


def _splits(classes: _Classes, options: TableOptions) -> dict[str, dict[str, str]]:
    """By class, the split of each row.

    Raises:
        EarshotError: a class would have no train or no test rows.
    """
    if classes.given:
        classes.given.check()
        return {name: dict(of_class) for name, of_class in classes.given.splits.items()}
    splits = dict(classes.split_groups)
    for name in classes.rows.keys() - classes.groups.keys():
        splits[name] = split_files(list(classes.rows[name]), options.train, options.val, options.split_seed)
    rule, change = f"--group-from {printable(options.group_from)}", "give another pattern (none: split by file)"
    if options.group_column not in (None, NONE):
        rule = f"--group-column {printable(str(options.group_column))} of {table_names(options)}"
        change = "give another column (none: split by file)"
    elif options.start_column not in (None, NONE) and options.group_from == NO_GROUPS:
        rule = f"recordings with several labelled parts ({table_names(options)})"
        change = "correct the table"
    check_groups(classes.groups, splits, options, rule, f"leave these classes out with --filter, or {change}")
    return splits


def _units(parts: Sequence[LabelledPart]) -> Iterator[Unit]:
    """Whole recordings class by class; recordings with labelled parts by path, as they are decoded once for all."""
    by_class: dict[int, dict[str, list[LabelledPart]]] = {}
    for part in parts:
        of_class = by_class.setdefault(part.label if part.seconds is None else -1, {})
        of_class.setdefault(part.path, []).append(part)
    for label in sorted(by_class):
        paths = sorted(by_class[label])
        for start in range(0, len(paths), FILES_PER_UNIT):
            chosen = [by_class[label][path] for path in paths[start : start + FILES_PER_UNIT]]
            rows = [
                [
                    [part.label, part.split, part.group, part.seconds and list(part.seconds), part.place]
                    for part in sorted(of_path, key=lambda part: (part.seconds or (0.0, 0.0), part.label))
                ]
                for of_path in chosen
            ]
            names = {str(part.label): part.class_name for of_path in chosen for part in of_path}
            name = f"{chosen[0][0].class_name if label >= 0 else 'recordings'} {start // FILES_PER_UNIT}"
            yield Unit(name, tuple(paths[start : start + FILES_PER_UNIT]), {"classes": names, "parts": rows})


def _describe_columns(options: TableOptions, given: set[str]) -> str:
    """The columns in use, which of them were guessed, and how to change that."""
    texts, guessed = [], []
    for field in COLUMN_FIELDS:
        value = getattr(options, field)
        if value in (None, NONE):
            continue
        text = f"{field.removesuffix('_column')} {printable(value)}"
        if field == "fold_column":
            test, val = (first_few(options.test_folds, 20), first_few(options.val_folds, 20))
            text += f" (test {test}, val {val})"
        texts.append(text)
        if field not in given:
            guessed.append(f"--{field.replace('_', '-')}")
    change = f"; guessed, to be changed with {', '.join(guessed)}" if guessed else ""
    return ", ".join(texts) + change


def _describe_groups(classes: _Classes, options: TableOptions) -> str:
    if options.group_column in (None, NONE) and options.start_column in (None, NONE):
        paths = {name: list(rows) for name, rows in classes.rows.items()}
        return describe_groups(classes.groups, paths, options)
    number = len({group for of_class in classes.groups.values() for group in of_class.values()})
    source = f"column {printable(str(options.group_column))}"
    if options.group_column in (None, NONE):
        source = "recording, as it has several labelled parts"
        if options.group_from != NO_GROUPS:
            source = f"--group-from {printable(options.group_from)}, or by {source}"
    if classes.given and crossing_groups(classes.groups, classes.given.splits):
        return f"{number} by {source}; the given splits divide some"
    return f"{number} by {source}, each in one split"
