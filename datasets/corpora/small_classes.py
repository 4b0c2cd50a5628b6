"""Classes with too few recordings for a train and a test split, and why they have so few."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets.corpora.corpus import MAX_LISTED
from datasets.corpora.inventory import Inventory, Rejection
from datasets.corpora.layout import empty_folders
from datasets.utils.text import first_few, plural, printable


@dataclass(frozen=True)
class SmallClass:
    """A class with few recordings.

    Attributes:
        files: number of usable recordings.
        rejected: its first unusable one; None if there is none.
    """

    files: int
    rejected: Rejection | None

    @property
    def usable(self) -> str:
        """'1 file', or '0 files; a/1.wav: zero bytes'."""
        return plural(self.files, "file") + (f"; {_format(self.rejected)}" if self.rejected else "")


def small_classes(inventory: Inventory, least: int, class_of: Callable[[str], str | None]) -> dict[str, SmallClass]:
    """The classes with recordings, but fewer than `least` that can be used; by printable name, sorted.

    Args:
        inventory: of the source folder.
        least: number of usable recordings that a class needs.
        class_of: the class of a path; None if it belongs to none.
    """
    counts: dict[str, int] = {}
    for file in inventory.files:
        name = class_of(printable(file.path))
        if name is not None:
            counts[name] = counts.get(name, 0) + 1
    rejected: dict[str, Rejection] = {}
    for rejection in inventory.rejected:
        name = class_of(rejection.file)
        if name is not None:
            rejected.setdefault(name, rejection)
            counts.setdefault(name, 0)
    return {name: SmallClass(counts[name], rejected.get(name)) for name in sorted(counts) if counts[name] < least}


def too_few_recordings(small: Mapping[str, SmallClass]) -> str:
    """The error for classes with fewer than two recordings: names all of them."""
    rejected = [_format(entry.rejected) for entry in small.values() if entry.rejected]
    reasons = f" ({first_few(rejected)})" if rejected else ""
    if len(small) == 1:
        name, entry = next(iter(small.items()))
        return (
            f"class {name!r}: expected at least two usable recordings (one to train, one to test), found "
            f"{entry.files}; add recordings, remove the folder, or leave it out with --min-files 2{reasons}"
        )
    found = first_few([f"{entry.files} in {name!r}" for name, entry in small.items()], MAX_LISTED)
    return (
        f"{len(small)} classes: expected at least two usable recordings of each (one to train, one to test), found "
        f"{found}; add recordings, remove the folders, or leave them out with --min-files 2{reasons}"
    )


def nothing_found(source: Path, inventory: Inventory, small: Mapping[str, SmallClass], min_files: int | None) -> str:
    """The error for a source folder without any class: says what is there instead."""
    reasons: list[str] = []
    if any(entry.files for entry in small.values()) and min_files is not None:
        reasons.append(f"only classes with fewer than --min-files {min_files}")
    reasons += inventory.unusable
    left_out, _ = empty_folders(inventory, {file.path.split("/")[0] for file in inventory.files})
    if left_out:
        reasons.append(f"folders without recordings: {first_few(left_out)}")
    at_the_top = sum("/" not in file.path for file in inventory.files)
    if at_the_top:
        reasons.append(f"{plural(at_the_top, 'recording')} in no folder")
    found = "; ".join(["none", *reasons])
    return (
        f"{printable(str(source))}: expected one folder per class with recordings inside, found {found}; check --source"
    )


def _format(rejection: Rejection) -> str:
    return f"{rejection.file}: {rejection.reason}"
