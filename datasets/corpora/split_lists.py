"""Splits that are given: lists of validation and test files, and what is wrong with given splits."""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.benchmark.manifest import SplitCounts
from datasets.corpora.corpus import MAX_LISTED, without_clips
from datasets.tables.read_table import read_table
from datasets.utils.errors import EarshotError
from datasets.utils.text import first_few, plural, printable


def in_source(source: Path, path: Path) -> Path:
    """A relative path in the source folder if there is such a file, else in the current folder; absolute.

    Raises:
        EarshotError: the file is a link in the source folder that leads out of it, so that messages could show the
            content of any file. A path with `..` may leave it.
    """
    inside = source / path
    found = inside.absolute() if inside.exists() else path.absolute()
    named = os.path.normpath(found)  # without following links
    if not found.exists() or not Path(named).is_relative_to(os.path.normpath(source.absolute())):
        return found
    if not Path(os.path.realpath(found)).is_relative_to(os.path.realpath(source)):
        raise EarshotError(
            f"{printable(str(found))}: expected a file of the source folder, found a link that leaves it; replace it "
            "by a copy, or give the path of the file that it leads to"
        )
    return found


@dataclass(frozen=True)
class GivenSplits:
    """Splits that were not drawn.

    Attributes:
        splits: by class, the split of each file.
        doubts: what is probably not as intended.
        source: the option that gives them, for messages.
    """

    splits: Mapping[str, Mapping[str, str]]
    doubts: tuple[str, ...]
    source: str

    def check(self) -> None:
        """Checks that every class has train and test files.

        Raises:
            EarshotError: names all classes without.
        """
        names = sorted(self.splits)
        counts = [SplitCounts(**Counter(self.splits[name].values())) for name in names]
        found = [f"{count.train} and {count.test} of class {name}" for name, count in without_clips(counts, names)]
        if found:
            raise EarshotError(
                f"{self.source}: expected at least one train and one test recording of every class, found "
                f"{first_few(found, MAX_LISTED)}; give other splits, or leave these classes out"
            )


def listed_splits(
    classes: Mapping[str, Sequence[str]],
    val_list: Path | None,
    test_list: Path | None,
    present: Collection[str] = (),
) -> GivenSplits | None:
    """The splits that lists of files define; None if there are no lists.

    Args:
        classes: the files of each class.
        val_list: names the files of val; None: there are none.
        test_list: names those of test.
        present: files that are there, whether or not they are used: to list them is no mistake.

    Raises:
        EarshotError: a list cannot be read, or names a file that the other one names, too.
    """
    paths = {split: path for split, path in (("val", val_list), ("test", test_list)) if path is not None}
    if not paths:
        return None
    known = {path for files in classes.values() for path in files} | set(present)
    listed: dict[str, str] = {}
    doubts = []
    for split, path in paths.items():
        table = read_table(path, "\t", columns=("path",))
        names = [cell.strip().replace("\\", "/").removeprefix("./") for cell in table.columns["path"]]
        for row, name in enumerate(names):
            if listed.setdefault(name, split) != split:
                raise table.error(row, "path", "every recording in one list", "remove it from one of them")
        missing = [printable(name) for name in names if name not in known]
        if missing:
            found = f"{len(missing)} of {plural(len(names), 'recording')} of {printable(str(path))}"
            doubts.append(f"{found} are not there ({first_few(missing, 3)}): check --source")
    splits = {name: {path: listed.get(path, "train") for path in files} for name, files in classes.items()}
    return GivenSplits(splits, tuple(doubts), " and ".join(f"--{split}-list" for split in paths))
