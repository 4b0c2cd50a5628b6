"""Signs that a folder of classes is not laid out as one folder per class.

A folder of another layout mostly gives a benchmark nevertheless, with the folds or the splits as its classes.
"""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from datasets.corpora.inventory import Inventory
from datasets.corpora.list_files import MAX_BYTES
from datasets.utils.posix_path import suffix
from datasets.utils.text import first_few, plural, printable

# fmt: off
AUDIO_SUFFIXES = frozenset({
    ".3gp", ".aa", ".aac", ".aax", ".ac3", ".alac", ".amr", ".ape", ".awb", ".dsf", ".dts", ".m4a", ".m4b", ".mka",
    ".mkv", ".mov", ".mp4", ".mpc", ".mpga", ".qcp", ".ra", ".rm", ".spx", ".tak", ".tta", ".webm", ".wma", ".wv",
})
# fmt: on
"""Of formats with sound that libsndfile does not read."""

_FOLD = re.compile(r"(?:fold|split|part|partition|subset|cv|batch)[-_ ]*\d+", re.I)
_TRAIN = re.compile(r"train(?:ing)?(?:[-_ ]?(?:set|data|audio))?", re.I)
_OTHER_SPLIT = re.compile(
    r"(?:val|valid|validation|dev|eval|evaluation|test|testing)(?:[-_ ]?(?:set|data|audio))?", re.I
)
_TABLES = {".csv", ".tsv"}
_MAX_TABLES = 20
_AGREES = 0.9  # share of the rows in which a column has to be the folder, to be the classes


def layout_doubts(source: Path, inventory: Inventory, classes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yields a sentence for each sign of another layout.

    Args:
        source: folder of the corpus.
        inventory: its files.
        classes: the files by name of the class: of the folder.
    """
    names = sorted(classes)
    folds = [name for name in names if _FOLD.fullmatch(name)]
    splits = [name for name in names if _TRAIN.fullmatch(name) or _OTHER_SPLIT.fullmatch(name)]
    if len(folds) > 1:
        yield (
            f"the folders {first_few([printable(name) for name in folds])} look like folds, not like classes: sort "
            "their files into one folder per class"
        )
    elif len(splits) > 1 and any(_TRAIN.fullmatch(name) for name in splits):
        yield (
            f"the folders {first_few([printable(name) for name in splits])} look like splits, not like classes: "
            "`folder` draws the splits itself, so sort the files of both into one folder per class"
        )
    elif len(names) == 1:
        yield _single_class(source, names[0], classes[names[0]])
    yield from _tables(source, inventory, classes)


def empty_folders(inventory: Inventory, classes: Collection[str]) -> tuple[list[str], list[str]]:
    """The folders without a file that could be a recording, each with what is in it.

    Returns:
        Those that were probably meant as classes (nothing in them, or sound in unreadable formats), and the others.
    """
    rejected = {rejection.file.split("/")[0] for rejection in inventory.rejected}
    contents: dict[str, Counter[str]] = {}
    for path in inventory.others:
        name, slash, _ = path.partition("/")
        if slash:
            contents.setdefault(name, Counter())[suffix(path).lower()] += 1
    classes_left_out, others = [], []
    for name in inventory.folders:
        if name in classes or name in inventory.links or printable(name) in rejected:
            continue
        found = contents.get(name, Counter())
        unreadable = {suffix: count for suffix, count in found.items() if suffix in AUDIO_SUFFIXES}
        if unreadable:
            classes_left_out.append(f"{printable(name)} ({_format_suffixes(unreadable)}, which libsndfile cannot read)")
        elif not found:
            classes_left_out.append(f"{printable(name)} (empty)")
        else:
            others.append(f"{printable(name)} ({plural(found.total(), 'other file')})")
    return classes_left_out, others


def unreadable_recordings(inventory: Inventory, classes: Collection[str]) -> str | None:
    """A warning about files in the folders of classes that hold sound in formats that libsndfile cannot read."""
    suffixes: Counter[str] = Counter()
    in_classes: set[str] = set()
    for path in inventory.others:
        found = suffix(path).lower()
        name = path.split("/")[0]
        if name in classes and found in AUDIO_SUFFIXES:
            suffixes[found] += 1
            in_classes.add(printable(name))
    if not suffixes:
        return None
    where = first_few(sorted(in_classes))
    return f"{_format_suffixes(suffixes)} in {where} left out: libsndfile cannot read this format; convert them to FLAC"


def _single_class(source: Path, name: str, paths: Sequence[str]) -> str:
    text = f"{printable(name)!r} is the only class"
    inside = Counter(path.split("/")[1] for path in paths if path.count("/") > 1)
    if sum(count > 1 for count in inside.values()) > 1:
        folders = first_few([printable(folder) for folder in sorted(inside)])
        return f"{text}, and its folders {folders} look like classes: give --source {printable(str(source / name))}"
    return f"{text}: expected one folder per class"


def _tables(source: Path, inventory: Inventory, classes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yields a sentence for each table that names at least half of the recordings, and not their folders as classes."""
    tables = [path for path in inventory.others if suffix(path).lower() in _TABLES]
    class_of: dict[str, str] = {}
    for name, paths in classes.items() if tables else ():
        for path in paths:
            for key in _names(path):
                class_of[key] = name if class_of.get(key, name) == name else ""  # "": in several classes
    total = sum(map(len, classes.values()))
    for table in sorted(tables, key=len)[:_MAX_TABLES]:
        header, rows = _read_table(source / table)
        for index, column in enumerate(header):
            cells = {row[index] for row in rows if index < len(row)}
            named = {cell: class_of[cell] for cell in cells if cell in class_of}
            if not named or 2 * len(named) < total:
                continue
            if not _is_folder_in_any_column(rows, index, named):
                yield (
                    f"{printable(table)} names {len(named)} of {plural(total, 'recording')} (column "
                    f"{printable(column)}), and no column of it is the folder: their classes are probably in another "
                    f"column, so use `prepare table --csv {printable(table)}`, or sort the recordings into one folder "
                    "per class"
                )
            break


def _names(path: str) -> set[str]:
    """How a table may name a recording."""
    name = path.rpartition("/")[2]
    names = {path, name, name.removesuffix(suffix(name))}
    return {name for name in names if len(name) > 3}  # shorter ones are numbers that a table has for other reasons


def _is_folder_in_any_column(rows: Sequence[Sequence[str]], index: int, named: Mapping[str, str]) -> bool:
    """Whether a column of a table is the class of the recordings, or names them together with it.

    Args:
        rows: of the table.
        index: of the column that names recordings.
        named: the class of each cell of this column that is a recording.
    """
    known = [row for row in rows if index < len(row) and row[index] in named]
    agreeing: Counter[int] = Counter()
    for row in known:
        name = named[row[index]]
        agreeing.update(other for other, cell in enumerate(row) if cell == name or cell.startswith(f"{name}/"))
    return len(set(named.values())) > 1 and max(agreeing.values(), default=0) >= _AGREES * len(known)


def _read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table; empty if it cannot be read as one, which is no defect of the recordings."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return [], []
    lines = text.splitlines()
    first = lines[0] if lines else ""
    separator = max(",;\t|", key=first.count)
    try:
        rows = list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return [], []
    return (rows[0], rows[1:]) if rows else ([], [])


def _format_suffixes(counts: Mapping[str, int]) -> str:
    """'5 files in .m4a' or '5 files in .m4a, 2 in .wma'."""
    (first, count), *rest = sorted(counts.items())
    return ", ".join([f"{plural(count, 'file')} in {first}", *(f"{number} in {suffix}" for suffix, number in rest)])
