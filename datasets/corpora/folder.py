"""User-provided recordings: one folder per class, with recordings of any length and format.

    SOURCE/
      bassoon/           a class; labels follow the sorted order of the names
        A3.mp3
        loud/C4.wav      subfolders of a class only organize its files
      cello/ ...

The class may also be another level of the path, or a field of the file names (`--label-from`).

Splits are drawn by *file*, never by clip: all clips of a recording are in the same split. The files of a class are
ordered by SHA-256 of the seed and their path; the first ones are train, then val, then test. Adding a class changes no
other class.

Files that belong together, such as those of one speaker or of one longer recording, are a group (`--group-from`), which
is in one split as a whole. Without the option, files of a class whose names share a stem are taken for a group where
the splits can still have about the sizes asked for. Lists of files (`--val-list`, `--test-list`) replace the draw.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from datasets.benchmark.clips import Clip
from datasets.benchmark.manifest import SPLITS
from datasets.corpora.corpus import MAX_LISTED, Corpus, Plan, Unit
from datasets.corpora.file_clips import (
    FILES_PER_UNIT,
    FileClipOptions,
    LabelledPart,
    clip_stem,
    cut_file,
)
from datasets.corpora.file_formats import ffmpeg_hint, format_warnings, list_recordings, same_names
from datasets.corpora.file_groups import (
    TOLERANCE,
    check_groups,
    crossing_groups,
    describe_groups,
    groups_of,
    resolved_group_rule,
)
from datasets.corpora.file_labels import FileLabels
from datasets.corpora.inventory import Inventory, Rejection
from datasets.corpora.labels import spelling_doubts
from datasets.corpora.layout import empty_folders, layout_doubts, unreadable_recordings
from datasets.corpora.list_files import digest
from datasets.corpora.short_recordings import short_recordings
from datasets.corpora.small_classes import SmallClass, nothing_found, small_classes, too_few_recordings
from datasets.corpora.split_lists import in_source, listed_splits
from datasets.corpora.splits import split_files, split_groups
from datasets.utils.errors import EarshotError
from datasets.utils.text import first_few, plural, printable

__all__ = ["Folder", "FolderOptions", "clip_stem"]


class FolderOptions(FileClipOptions):
    """Options of the `folder` corpus."""

    val_list: Path | None = Field(None, exclude_if=lambda value: value is None)
    """text file with the path of a validation recording in each line, in the source folder or the current one; files
    that are in no list are for training"""
    test_list: Path | None = Field(None, exclude_if=lambda value: value is None)
    """text file with the path of a test recording in each line"""
    exclude_class: tuple[str, ...] = Field((), exclude_if=lambda value: not value)
    """leave out this class; may be repeated"""


class Folder(Corpus[FolderOptions]):
    """One folder per class; a unit of work consists of up to 32 files of one class."""

    name = "folder"
    summary = "one folder per class, recordings of any length in any format that libsndfile reads"
    version = 2
    options_type = FolderOptions

    def identity(self, options: FolderOptions) -> dict[str, Any]:
        """The lists of files are replaced by the SHA-256 of their content."""
        lists = {name: path for name in ("val_list", "test_list") if (path := getattr(options, name)) is not None}
        return options.model_dump(mode="json") | {name: digest([path]) for name, path in lists.items()}

    def inventory(self, source: Path, options: FolderOptions) -> Inventory:
        """Lists the recordings in formats that libsndfile reads, with --ffmpeg also in those that ffmpeg reads."""
        return list_recordings(source, options.ffmpeg)

    def resolve(self, source: Path, inventory: Inventory, options: FolderOptions) -> FolderOptions:
        """Decides the guess of groups: `fields` of the pattern, `stem` if it finds groups in any class, else `none`.

        The paths of the lists of files become absolute.
        """
        lists = {name: path for name in ("val_list", "test_list") if (path := getattr(options, name)) is not None}
        options = options.model_copy(update={name: in_source(source, path) for name, path in lists.items()})
        rule = resolved_group_rule(_classes(inventory, options), options, drawn=not lists)
        return options.model_copy(update={"group_from": rule})

    def doubts(self, source: Path, inventory: Inventory, options: FolderOptions) -> tuple[str, ...]:
        """Signs that the source is not laid out as one folder per class, and folders that would be left out."""
        options = self.resolve(source, inventory, options)
        classes = _classes(inventory, options, small=True)
        if not classes:
            return ()  # `plan` raises the error, which --yes cannot pass
        doubts = [*super().doubts(source, inventory, options), *spelling_doubts(classes)]
        if _by_folder(options):
            doubts += layout_doubts(source, inventory, classes)
            left_out, _ = empty_folders(inventory, classes.keys() | set(options.exclude_class))
            if left_out and options.min_files is None:
                advice = "convert or add recordings, or leave these folders out with --min-files 2"
                if hint := ffmpeg_hint(inventory):
                    advice = f"{advice}; {hint}"
                doubts.append(f"no recording was found in {first_few(left_out)}: {advice}")
        if given := listed_splits(classes, options.val_list, options.test_list, _paths(inventory)):
            doubts += given.doubts
            if crossing := crossing_groups(groups_of(classes, options), given.splits):
                doubts.append(f"{crossing}, which makes their test clips easier: give other lists, or none")
        if options.ffmpeg:

            def together() -> dict[str, str]:
                found = given.splits if given else groups_of(classes, options)
                return {path: name for of_class in found.values() for path, name in of_class.items()}

            doubts += same_names((path for paths in classes.values() for path in paths), together)
        return tuple(doubts)

    def plan(self, source: Path, inventory: Inventory, options: FolderOptions) -> Plan:
        """Numbers the classes by sorted name and splits them by list, group or file; reads no recording."""
        options = self.resolve(source, inventory, options)
        classes = _classes(inventory, options)
        class_of = _class_of(options)
        small = small_classes(inventory, options.min_files or 2, class_of)
        if not classes:
            if options.label_from is not None and inventory.files:
                raise EarshotError(_nothing_matches(inventory, small, options))
            hint = ffmpeg_hint(inventory)
            raise EarshotError(nothing_found(source, inventory, small, options.min_files) + (hint and f"; {hint}"))
        if small and options.min_files is None:
            raise EarshotError(too_few_recordings(small))
        rejected = tuple(
            rejection
            for rejection in inventory.rejected
            if (name := class_of(rejection.file)) is not None and name not in small
        )
        groups, splits = _groups_and_splits(classes, options)
        units: list[Unit] = []
        for label, name in enumerate(sorted(classes)):
            paths = sorted(classes[name])
            for start in range(0, len(paths), FILES_PER_UNIT):
                part = tuple(paths[start : start + FILES_PER_UNIT])
                details = {"label": label, "class_name": name, "splits": [splits[name][path] for path in part]}
                if name in groups:
                    details["groups"] = [groups[name][path] for path in part]
                units.append(Unit(f"{name} {start // FILES_PER_UNIT}", part, details))
        used = sum(len(unit.files) for unit in units)
        return Plan(
            units=tuple(units),
            classes=tuple(sorted(classes)),
            sample_rate=options.sample_rate,
            num_samples=options.num_samples,
            rejected=rejected,
            warnings=(
                *_warnings(inventory, classes, small, splits, options),
                *format_warnings(source, inventory, options.sample_rate),
            ),
            notes=(("groups", describe_groups(groups, classes, options)),),
            files=used + len(rejected),
            ignored=inventory.ignored + len(inventory.files) - used + len(inventory.rejected) - len(rejected),
        )

    def advise(self, rejected: Sequence[Rejection], options: FolderOptions) -> str:
        """How many of the recordings that are too short a smaller `--min-seconds` would keep."""
        return short_recordings(rejected, options.min_seconds)

    def cut(self, source: Path, unit: Unit, options: FolderOptions) -> Iterator[Clip | Rejection]:
        """Yields clips in order of file and time."""
        label, class_name = unit.details["label"], unit.details["class_name"]
        groups = unit.details.get("groups", [None] * len(unit.files))
        for path, split, group in zip(unit.files, unit.details["splits"], groups, strict=True):
            yield from cut_file(source, [LabelledPart(path, split, label, class_name, group)], options)


Assignment = Mapping[str, Mapping[str, str]]
"""By class, something of each file."""


def _groups_and_splits(classes: Mapping[str, Sequence[str]], options: FolderOptions) -> tuple[Assignment, Assignment]:
    """The groups, without the classes that have none, and the splits.

    Raises:
        EarshotError: a class would have no train or no test files.
    """
    groups = groups_of(classes, options)
    if given := listed_splits(classes, options.val_list, options.test_list):
        given.check()
        return groups, given.splits
    splits = split_groups(groups, options.train, options.val, options.split_seed)
    for name in classes.keys() - groups.keys():
        splits[name] = split_files(classes[name], options.train, options.val, options.split_seed)
    check_groups(groups, splits, options)
    return groups, splits


def _by_folder(options: FolderOptions) -> bool:
    """Whether the classes are the folders directly in the source folder."""
    return options.label_from in (None, "1")


def _class_of(options: FolderOptions) -> Callable[[str], str | None]:
    """The class of a path; None if it has none, or one that is left out."""
    labels, excluded = FileLabels(options.label_from or "1"), set(options.exclude_class)

    def class_of(path: str) -> str | None:
        name = labels.label(path)
        return None if name in excluded else name

    return class_of


def _classes(inventory: Inventory, options: FolderOptions, small: bool = False) -> dict[str, list[str]]:
    """The files of each class.

    Args:
        inventory: of the source folder.
        options: of the corpus.
        small: whether classes that `--min-files` leaves out are included.
    """
    classes: dict[str, list[str]] = {}
    class_of = _class_of(options)
    for file in inventory.files:
        name = class_of(file.path)
        if name is not None:
            classes.setdefault(name, []).append(file.path)
    least = None if small else options.min_files
    return {name: paths for name, paths in classes.items() if least is None or len(paths) >= least}


def _paths(inventory: Inventory) -> set[str]:
    """Of all recordings, those that are unusable or of no class included."""
    return {file.path for file in inventory.files} | {rejection.file for rejection in inventory.rejected}


def _nothing_matches(inventory: Inventory, small: Mapping[str, SmallClass], options: FolderOptions) -> str:
    text = printable(options.label_from or "")
    if small:
        least = f"--min-files {options.min_files}"
        return f"--label-from {text}: expected classes with at least {least} recordings, found none"
    example = printable(inventory.files[0].path)
    return (
        f"--label-from {text}: expected a pattern or level that the recordings have, found none of "
        f"{plural(len(inventory.files), 'recording')} with it, such as {example}; change it"
    )


def _warnings(
    inventory: Inventory,
    classes: Mapping[str, Sequence[str]],
    small: Mapping[str, SmallClass],
    splits: Assignment,
    options: FolderOptions,
) -> Iterator[str]:
    """What was left out, and classes whose splits differ from the fractions asked for."""
    known = _classes(inventory, options, small=True).keys() | set(options.exclude_class)
    left_out, others = empty_folders(inventory, known)
    if not _by_folder(options):  # folders are no classes
        left_out, others = [], []
    left_out = [*(f"{name} ({entry.usable})" for name, entry in small.items()), *left_out]
    if left_out and options.min_files is not None:
        yield f"classes left out by --min-files {options.min_files}: {first_few(left_out, MAX_LISTED)}"
    if others:
        yield f"folders without recordings are no classes: {first_few(others)}"
    if unreadable := unreadable_recordings(inventory, classes):
        yield unreadable
    class_of = FileLabels(options.label_from or "1").label
    without = [file.path for file in inventory.files if class_of(file.path) is None]
    if without and not _by_folder(options):
        found = f"{plural(len(without), 'recording')} ({first_few([printable(path) for path in without])})"
        yield f"left out, as --label-from {printable(str(options.label_from))} gives no class: {found}"
    elif without:
        verbs = "belongs to no class and is" if len(without) == 1 else "belong to no class and are"
        yield f"{plural(len(without), 'recording')} directly in the source folder {verbs} left out"
    if options.val_list or options.test_list:
        return
    uneven = []
    for name in sorted(classes):
        counts = Counter(splits[name].values())
        wanted = Counter(split_files(classes[name], options.train, options.val, options.split_seed).values())
        if any(abs(counts[split] - wanted[split]) > TOLERANCE * len(classes[name]) for split in SPLITS):
            uneven.append(f"{printable(name)} ({', '.join(str(counts[split]) for split in SPLITS)} files)")
    if uneven:
        yield (
            f"groups are not divided, so train, val and test differ from the fractions asked for in {first_few(uneven)}"
        )
