"""User-provided recordings: one folder per class, with recordings of any length and format.

    SOURCE/
      bassoon/           a class; labels follow the sorted order of the names
        A3.mp3
        loud/C4.wav      subfolders of a class only organize its files
      cello/ ...

Splits are drawn by *file*, never by clip: all clips of a recording are in the same split. The files of a class are
ordered by SHA-256 of the seed and their path; the first ones are train, then val, then test. Adding a class changes no
other class.

Files that belong together, such as those of one speaker or of one longer recording, are a group (`--group-from`), which
is in one split as a whole. Without the option, files of a class whose names share a stem are taken for a group where
the splits can still have about the sizes asked for.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator, model_validator

from datasets.audio.loudness import normalising_gain, scaled
from datasets.audio.recordings import FloatScale, RejectedError, checked_path, read_samples
from datasets.audio.segmentation import Choice, cut_recording
from datasets.benchmark.groups import STEM, group_by, shared_stems
from datasets.benchmark.manifest import SPLITS
from datasets.benchmark.shards import Clip
from datasets.corpora.corpus import MAX_LISTED, Corpus, CorpusOptions, Plan, Unit
from datasets.corpora.inventory import Inventory, Rejection
from datasets.corpora.layout import empty_folders, layout_doubts, unreadable_recordings
from datasets.corpora.short_recordings import short_recordings
from datasets.corpora.small_classes import SmallClass, nothing_found, small_classes, too_few_recordings
from datasets.corpora.splits import split_files, split_groups
from datasets.utils.errors import EarshotError
from datasets.utils.options import Option
from datasets.utils.text import first_few, plural, printable

FILES_PER_UNIT = 32
GUESS, NO_GROUPS = "guess", "none"
TOLERANCE = 0.15
"""Guessed groups are used in a class if no split gets a larger or smaller part of the files by more than this."""


class FolderOptions(CorpusOptions):
    """Options of the `folder` corpus."""

    sample_rate: int = Field(16000, ge=4000, le=192000)
    """of the clips, in Hz; recordings at another rate are resampled"""
    clip_seconds: float = Field(2.0, ge=0.1, le=60)
    """length of a clip; a longer recording is cut into as many full clips as fit, a shorter one is padded with zeros"""
    min_seconds: float = Field(0.1, ge=0)
    """recordings shorter than this are rejected"""
    max_clips_per_file: int | None = Field(None, gt=0)
    """maximum number of clips per recording, chosen by --clips (default: no limit)"""
    clips: Choice = Field("first", exclude_if=lambda value: value == "first")
    """which clips of a longer recording --max-clips-per-file takes: the first, some spread evenly, the loudest, or
    random ones (which depend on --split-seed and the path of the file)"""
    float_scale: FloatScale = Field("reject", exclude_if=lambda value: value == "reject")
    """floating-point files on the scale of integers (peak far above 1): reject leaves them out, auto divides them by
    the likely full scale"""
    train: float = Field(0.6, gt=0, lt=1)
    """fraction of the files of a class used for training"""
    val: float = Field(0.2, ge=0, lt=1)
    """fraction of the files of a class used for validation"""
    test: float = Field(0.2, gt=0, lt=1)
    """fraction of the files of a class used for testing; the three fractions must add up to 1"""
    split_seed: int = 0
    """random seed of the split"""
    loudness: bool = False
    """normalize each recording to -23 LUFS, true peak at most -2 dB"""
    group_from: Annotated[str, Option(metavar="PATTERN")] = Field(
        GUESS, exclude_if=lambda value: value in (GUESS, NO_GROUPS)
    )
    """files that must be in one split: a pattern of their names such as {speaker}_{take}, in which {take} and * are not
    part of the group; a level of their path (1: the class, 2: the folder in it); stem: names that differ in a take
    letter or number only; none: split by file (default: guess whether names share a stem)"""
    min_files: int | None = Field(None, ge=2, exclude_if=lambda value: value is None)
    """leave out classes with fewer recordings, and say which (default: they are an error)"""

    @field_validator("group_from")
    @classmethod
    def _check_group_from(cls, value: str) -> str:
        if value not in (GUESS, NO_GROUPS, STEM):
            group_by(value)
        return value

    @model_validator(mode="after")
    def _check_sum_of_fractions(self) -> "FolderOptions":
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"--train, --val and --test: expected fractions that add up to 1, found {total:g}")
        return self

    @property
    def num_samples(self) -> int:
        """Samples per clip."""
        return round(self.clip_seconds * self.sample_rate)


def clip_stem(label: int, class_name: str, path: str) -> str:
    """The part of a clip id that depends on the file only; valid in any file system, for arbitrary names."""
    plain = unicodedata.normalize("NFKD", class_name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:24].strip("-") or "class"
    return f"{label:04d}-{slug}-{hashlib.sha256(path.encode()).hexdigest()[:12]}"


class Folder(Corpus[FolderOptions]):
    """One folder per class; a unit of work consists of up to 32 files of one class."""

    name = "folder"
    summary = "one folder per class, recordings of any length in any format that libsndfile reads"
    version = 2
    options_type = FolderOptions

    def resolve(self, inventory: Inventory, options: FolderOptions) -> FolderOptions:
        """Decides the guess: `stem` if it finds groups in any class, else `none`."""
        if options.group_from != GUESS:
            return options
        classes = _classes(inventory, options)
        found = any(_guess(paths, options) for paths in classes.values())
        return options.model_copy(update={"group_from": STEM if found else NO_GROUPS})

    def doubts(self, source: Path, inventory: Inventory, options: FolderOptions) -> tuple[str, ...]:
        """Signs that the source is not laid out as one folder per class, and folders that would be left out."""
        classes = _classes(inventory)
        if not classes:
            return ()  # `plan` raises the error, which --yes cannot pass
        doubts = [*super().doubts(source, inventory, options), *layout_doubts(source, inventory, classes)]
        left_out, _ = empty_folders(inventory, classes)
        if left_out and options.min_files is None:
            advice = "convert or add recordings, or leave these folders out with --min-files 2"
            doubts.append(f"no recording was found in {first_few(left_out)}: {advice}")
        return tuple(doubts)

    def plan(self, source: Path, inventory: Inventory, options: FolderOptions) -> Plan:
        """Numbers the classes by sorted name and splits them by group or file; reads no recording."""
        options = self.resolve(inventory, options)
        classes = _classes(inventory, options)
        small = small_classes(inventory, options.min_files or 2)
        if not classes:
            raise EarshotError(nothing_found(source, inventory, small, options.min_files))
        if small and options.min_files is None:
            raise EarshotError(too_few_recordings(small))
        rejected = tuple(
            rejection
            for rejection in inventory.rejected
            if "/" in rejection.file and rejection.file.split("/")[0] not in small
        )
        groups = _groups(classes, options)
        groups = _groups(classes, options)
        splits = split_groups(groups, options.train, options.val, options.split_seed)
        for name in classes.keys() - groups.keys():
            splits[name] = split_files(classes[name], options.train, options.val, options.split_seed)
        _check_groups(groups, splits, options)
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
            warnings=tuple(_warnings(inventory, classes, small, splits, options)),
            notes=(("groups", _describe(groups, classes, options)),),
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
            try:
                samples, rate = read_samples(
                    checked_path(source, path),
                    options.sample_rate,
                    min_seconds=options.min_seconds,
                    limit=_samples_needed(options),
                    float_scale=options.float_scale,
                )
            except RejectedError as error:
                yield Rejection(path, str(error))
                continue
            with samples:
                gain = normalising_gain(samples, rate) if options.loudness else 1.0
                stem = clip_stem(label, class_name, path)
                random = _generator(path, options.split_seed)
                windows = cut_recording(samples, options.num_samples, options.max_clips_per_file, options.clips, random)
                for number, window in windows:
                    start, clip = number * options.num_samples, scaled(window, gain)
                    yield Clip(f"{stem}-{number:04d}", split, label, class_name, path, start, clip, group)


def _samples_needed(options: FolderOptions) -> int | None:
    """How much of a recording the first clips need; None: all of it."""
    if options.clips != "first" or options.max_clips_per_file is None or options.loudness:
        return None
    return options.max_clips_per_file * options.num_samples


def _generator(path: str, seed: int) -> np.random.Generator:
    """Draws clips of a recording: the same ones for the same path and seed."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}\0{path}".encode()).digest()))


def _classes(inventory: Inventory, options: FolderOptions | None = None) -> dict[str, list[str]]:
    """The files of each class; without those that `--min-files` leaves out, if there are options."""
    classes: dict[str, list[str]] = {}
    for file in inventory.files:
        name, _, rest = file.path.partition("/")
        if rest:
            classes.setdefault(name, []).append(file.path)
    least = options.min_files if options else None
    return {name: paths for name, paths in classes.items() if least is None or len(paths) >= least}


def _guess(paths: Sequence[str], options: FolderOptions) -> dict[str, str] | None:
    """Groups of a class whose names share a stem, if its splits stay about as large as by file; else None."""
    if len(paths) < 2:
        return None
    by_file = Counter(split_files(paths, options.train, options.val, options.split_seed).values())

    def accept(groups: Mapping[str, str]) -> bool:
        splits = split_groups({"": groups}, options.train, options.val, options.split_seed)[""]
        by_group = Counter(splits.values())
        return all(
            by_group[split] > 0 and abs(by_group[split] - count) <= TOLERANCE * len(paths)
            for split, count in by_file.items()
        )

    return shared_stems(paths, accept)


def _groups(classes: Mapping[str, Sequence[str]], options: FolderOptions) -> dict[str, dict[str, str]]:
    """By class, the group of each file; classes that are split by file are absent.

    Raises:
        EarshotError: files do not match the pattern, or no names share a stem although `stem` was asked for.
    """
    if options.group_from == NO_GROUPS:
        return {}
    if options.group_from == STEM:
        found = {name: groups for name, paths in classes.items() if (groups := _guess(paths, options))}
        if not found:
            raise EarshotError(
                "--group-from stem: expected files whose names differ in a take letter or number only, in at least "
                "three groups of a class, found none; give a pattern such as {speaker}_{take}, or none"
            )
        return found
    group_of = group_by(options.group_from)
    named = {name: {path: group_of(path) for path in paths} for name, paths in classes.items()}
    others = [printable(path) for groups in named.values() for path, group in groups.items() if group is None]
    if others:
        raise EarshotError(
            f"--group-from {printable(options.group_from)}: expected a pattern or level that every file has, found "
            f"{plural(len(others), 'file')} without ({first_few(others)}); change it, or move these files away"
        )
    return {name: {path: str(group) for path, group in groups.items()} for name, groups in named.items()}


def _check_groups(
    groups: Mapping[str, Mapping[str, str]], splits: Mapping[str, Mapping[str, str]], options: FolderOptions
) -> None:
    """Checks that every class has a group in train and one in test.

    Raises:
        EarshotError: names all classes without.
    """
    failed = [name for name in groups if not {"train", "test"} <= set(splits[name].values())]
    if not failed:
        return
    rule = f"--group-from {printable(options.group_from)}"
    single = [name for name in failed if len(set(groups[name].values())) == 1]
    if single:
        found = [f"{printable(name)} ({printable(next(iter(groups[name].values())))})" for name in sorted(single)]
        problem = f"only one in {first_few(found, MAX_LISTED)}"
    else:
        names = first_few([printable(name) for name in sorted(failed)], MAX_LISTED)
        problem = f"groups shared with other classes such that {names} get only one of the two"
    raise EarshotError(
        f"{rule}: expected at least one group to train and one to test in every class, found {problem}; add "
        "recordings, remove these folders, or give another pattern (none: split by file)"
    )


def _warnings(
    inventory: Inventory,
    classes: Mapping[str, Sequence[str]],
    small: Mapping[str, SmallClass],
    splits: Mapping[str, Mapping[str, str]],
    options: FolderOptions,
) -> Iterator[str]:
    """What was left out, and classes whose splits differ from the fractions asked for."""
    left_out, others = empty_folders(inventory, _classes(inventory))
    left_out = [*(f"{name} ({entry.usable})" for name, entry in small.items()), *left_out]
    if left_out and options.min_files is not None:
        yield f"classes left out by --min-files {options.min_files}: {first_few(left_out, MAX_LISTED)}"
    if others:
        yield f"folders without recordings are no classes: {first_few(others)}"
    if unreadable := unreadable_recordings(inventory, classes):
        yield unreadable
    at_the_top = sum("/" not in file.path for file in inventory.files)
    if at_the_top:
        verbs = "belongs to no class and is" if at_the_top == 1 else "belong to no class and are"
        yield f"{plural(at_the_top, 'recording')} directly in the source folder {verbs} left out"
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


def _describe(
    groups: Mapping[str, Mapping[str, str]], classes: Mapping[str, Sequence[str]], options: FolderOptions
) -> str:
    """How the files were grouped, and how to change it."""
    if not groups:
        return "none, every file by itself (--group-from PATTERN keeps files of a speaker or recording together)"
    members: dict[str, list[str]] = {}
    for of_class in groups.values():
        for path, group in sorted(of_class.items()):
            members.setdefault(group, []).append(path)
    example = max(members.values(), key=len)
    text = f"{len(members)} by {printable(options.group_from)}"
    if options.group_from == STEM:
        text = f"{len(members)} guessed from names that share a stem"
    text += f", such as {first_few([printable(path) for path in example], 2)}, each in one split"
    if by_file := sorted(printable(name) for name in classes.keys() - groups.keys()):
        text += f"; split by file, as its names give too few groups: {first_few(by_file)}"
    return text + (" (--group-from none: split by file)" if options.group_from == STEM else "")
