"""Corpora whose clips are defined by published lists: one table per split, one row per clip.

    lists       train.csv, val.csv, test.csv, vocabulary -> `Lists`
    inventory   only the recordings that the lists name; missing ones are rejected
    units       the rows, grouped by the corpus; a recording is decoded once, even if it contains several clips
    clip ids    `train-000012-...`: split and row come first, so clips sorted by id are in the order of the list

The order matters because the releases draw the support as positions among the rows of a class: see
`datasets.benchmark.protocol.draw_support`.
"""

import os
import re
import stat
from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

from datasets.audio.recordings import RejectedError, checked_path, read_samples
from datasets.benchmark.clips import Clip
from datasets.benchmark.listing import Listing, make_listing
from datasets.benchmark.manifest import SPLITS, SplitCounts
from datasets.corpora.corpus import Corpus, Options, Plan, Unit
from datasets.corpora.inventory import Inventory, Rejection, SourceFile
from datasets.corpora.list_files import Row, check_unique, read_rows, read_vocabulary
from datasets.utils.errors import EarshotError
from datasets.utils.text import first_few, printable

THREADS = 16
FILES_PER_TASK = 256  # submitting files to threads one by one takes longer than `lstat`


@dataclass(frozen=True)
class ListedClip:
    """A row of a list.

    Attributes:
        clip_id: see `clip_id`.
        split: 'train', 'val' or 'test'.
        label: of the class.
        path: relative POSIX path of the recording, as given in the list.
        start: first sample, at the rate of the corpus.
    """

    clip_id: str
    split: str
    label: int
    path: str
    start: int


@dataclass(frozen=True)
class Lists:
    """The content of the lists of a benchmark.

    Attributes:
        classes: names by label.
        clips: train, val, test, each in the order of its list.
    """

    classes: tuple[str, ...]
    clips: tuple[ListedClip, ...]

    @property
    def counts(self) -> list[SplitCounts]:
        """Clips per class, by label."""
        numbers = {split: [0] * len(self.classes) for split in SPLITS}
        for clip in self.clips:
            numbers[clip.split][clip.label] += 1
        return [SplitCounts(**{split: numbers[split][label] for split in SPLITS}) for label in range(len(self.classes))]


def clip_id(split: str, row: Row, hint: str) -> str:
    """The id of the clip in a row.

    Args:
        split: of the list.
        row: of the list; its number makes the id unique.
        hint: makes the id readable; characters that are not safe in a file name are replaced by '-'.
    """
    return f"{split}-{row.number:06d}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', hint)[:80]}"


def stat_files(source: Path, folders: Mapping[str, str], paths: Sequence[str]) -> Inventory:
    """Builds the inventory of the given files without listing any folder.

    Args:
        source: folder of the recordings.
        folders: for each folder in `paths`, the folder below `source` that contains its files.
        paths: sorted paths, as given in the lists; the inventory contains them under these names.
    """
    # Resolving every path would take 5 s for the 77,000 soundscapes of FSC-89; only links need it, and there are few.
    root = Path(os.path.realpath(source))
    inside = {name: Path(os.path.realpath(source / folder)).is_relative_to(root) for name, folder in folders.items()}

    def stat_file(path: str) -> SourceFile | Rejection:
        folder = _folder(path)
        place = _place(folders[folder], path)
        try:
            status = os.lstat(f"{source}/{place}")
            if not (inside[folder] and stat.S_ISREG(status.st_mode) and status.st_size):
                status = checked_path(source, place).stat()
        except (FileNotFoundError, NotADirectoryError):
            return Rejection(printable(path), "not found")
        except OSError as error:
            return Rejection(printable(path), f"cannot be opened ({error.strerror})")
        except RejectedError as error:
            return Rejection(printable(path), str(error))
        return SourceFile(path, status.st_size, status.st_mtime_ns)

    parts = [paths[first : first + FILES_PER_TASK] for first in range(0, len(paths), FILES_PER_TASK)]
    # Threads, because latency dominates on a network file system.
    with ThreadPoolExecutor(THREADS) as pool:
        results = list(chain.from_iterable(pool.map(lambda part: [stat_file(path) for path in part], parts)))
    return Inventory(
        tuple(result for result in results if isinstance(result, SourceFile)),
        tuple(result for result in results if isinstance(result, Rejection)),
        ignored=0,
    )


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False instead of an error if this cannot be determined."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where permission is missing


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _place(folder: str, path: str) -> str:
    """The same file name in another folder."""
    return f"{folder}/{path.rpartition('/')[2]}"


class ListedCorpus(Corpus[Options]):
    """A corpus whose clips are defined by published lists."""

    sample_rate: ClassVar[int]
    """Of the clips, in Hz."""
    num_samples: ClassVar[int]
    """Per clip."""
    novel_classes: ClassVar[int]
    """Number of novel classes; they come last, after the base classes."""
    columns: ClassVar[tuple[str, ...]]
    """Required columns of each list."""
    one_clip_per_file: ClassVar[bool]
    """Whether each recording is one clip, so that the lists name it only once."""
    resampled: ClassVar[bool]
    """Whether recordings at another rate are resampled."""
    layout: ClassVar[str]
    """Short description of the expected content of the source folder."""

    @property
    @abstractmethod
    def number_of_classes(self) -> int:
        """Required size of the vocabulary."""

    @abstractmethod
    def list_path(self, split: str, options: Options) -> Path:
        """The list of a split."""

    @abstractmethod
    def vocabulary_path(self, options: Options) -> Path:
        """The vocabulary."""

    @abstractmethod
    def parse_row(self, row: Row, split: str, labels: Mapping[str, int]) -> ListedClip:
        """Validates a row and returns its clip.

        Args:
            row: of the list of `split`.
            split: 'train', 'val' or 'test'.
            labels: by class name.

        Raises:
            EarshotError: a cell is invalid.
        """

    @abstractmethod
    def group_clips(self, lists: Lists) -> Iterator[tuple[str, Sequence[ListedClip]]]:
        """Divides the clips into units of work: (name, clips); all clips of a recording are in the same unit."""

    @abstractmethod
    def check(self, length: int, rate: int) -> str | None:
        """Why a recording differs from the published one, so that none of its clips can be used; None if it does not.

        Args:
            length: number of samples, resampled if the corpus does so.
            rate: of these, in Hz.
        """

    def folder(self, source: Path, name: str) -> str:
        """The folder below `source` that contains the recordings of the folder called `name` in the lists."""
        return name

    def read_lists(self, options: Options) -> Lists:
        """Reads vocabulary and lists.

        Raises:
            EarshotError: a file is missing or invalid; a list contains a clip twice; a class has no train or no test
                rows.
        """
        vocabulary = self.vocabulary_path(options)
        classes = read_vocabulary(vocabulary)
        if len(classes) != self.number_of_classes:
            raise EarshotError(
                f"{printable(str(vocabulary))}: expected the {self.number_of_classes} classes of {self.name}, found "
                f"{len(classes)}; use the vocabulary published with the lists"
            )
        labels = {name: label for label, name in enumerate(classes)}
        clips: list[ListedClip] = []
        rows: dict[Hashable, Row] = {}
        for split in SPLITS:
            for row in read_rows(self.list_path(split, options), self.columns):
                clip = self.parse_row(row, split, labels)
                key = clip.path if self.one_clip_per_file else (clip.path, clip.start, clip.label, split)
                check_unique(row, key, rows)
                clips.append(clip)
        lists = Lists(classes, tuple(clips))
        rowless = {
            split: [name for name, count in zip(classes, lists.counts, strict=True) if not getattr(count, split)]
            for split in ("train", "test")
        }
        if any(rowless.values()):
            found = "; ".join(
                f"{printable(str(self.list_path(split, options)))}: expected rows of every class, found none of "
                + ", ".join(repr(printable(name)) for name in names)
                for split, names in rowless.items()
                if names
            )
            raise EarshotError(f"{found}; use the vocabulary published with the lists")
        return lists

    def check_source(self, source: Path) -> None:
        """Nothing: `inventory` looks for the folders that the lists name, and the lists are read before."""

    def inventory(self, source: Path, options: Options) -> Inventory:
        """Lists size and modification time of the recordings that the lists name.

        Raises:
            EarshotError: the lists are invalid, or none of the folders that they name exists.
        """
        paths = sorted({clip.path for clip in self.read_lists(options).clips})
        folders = {name: self.folder(source, name) for name in {_folder(path) for path in paths}}
        if not any(is_folder(source / folder) for folder in folders.values()):
            raise EarshotError(f"{printable(str(source))}: expected {self.layout}; found none of them; check --source")
        return stat_files(source, folders, paths)

    def plan(self, source: Path, inventory: Inventory, options: Options) -> Plan:
        """Creates units from the recordings that exist; missing recordings do not change the grouping of the others."""
        lists = self.read_lists(options)
        present = {file.path for file in inventory.files}
        units = []
        for name, clips in self.group_clips(lists):
            cuts: dict[str, list[list[str | int]]] = {}
            for clip in clips:
                if clip.path in present:
                    cuts.setdefault(clip.path, []).append([clip.clip_id, clip.split, clip.label, clip.start])
            classes = {str(clip.label): lists.classes[clip.label] for clip in clips}
            units.append(Unit(name, tuple(cuts), {"classes": classes, "cuts": list(cuts.values())}))
        return Plan(
            units=tuple(units),
            classes=lists.classes,
            sample_rate=self.sample_rate,
            num_samples=self.num_samples,
            rejected=inventory.rejected,
            base_classes=self.number_of_classes - self.novel_classes,
            files=len(inventory.files) + len(inventory.rejected),
            ignored=inventory.ignored,
        )

    def cut(self, source: Path, unit: Unit, options: Options) -> Iterator[Clip | Rejection]:
        """Decodes each recording once and cuts all its clips."""
        classes = unit.details["classes"]
        for path, cuts in zip(unit.files, unit.details["cuts"], strict=True):
            place = _place(self.folder(source, _folder(path)), path)
            try:
                samples, rate = read_samples(checked_path(source, place), self.sample_rate if self.resampled else None)
            except RejectedError as error:
                yield Rejection(path, str(error))
                continue
            with samples:
                needed = max(start for *_, start in cuts) + self.num_samples
                problem = self.check(len(samples), rate)
                if problem is None and len(samples) < needed:
                    problem = f"too short: {len(samples)} samples, the lists need {needed}"
                if problem is not None:
                    yield Rejection(path, problem)
                    continue
                for name, split, label, start in cuts:
                    window = samples[start : start + self.num_samples]
                    yield Clip(name, split, label, classes[str(label)], path, start, window)

    def review(self, counts: Sequence[SplitCounts], classes: Sequence[str], options: Options) -> tuple[str, ...]:
        """Requires train and test clips of every class; warns about classes with fewer clips than in the lists.

        Novel classes have no validation clips in the lists, and need none.
        """
        super().review(counts, classes, options)
        fewer = []
        for name, count, listed in zip(classes, counts, self.read_lists(options).counts, strict=True):
            for split in SPLITS:
                actual, expected = getattr(count, split), getattr(listed, split)
                if actual < expected:
                    fewer.append(f"{printable(name)} ({actual} of {expected} {split})")
        return (f"fewer clips than in the lists: {first_few(fewer)}",) if fewer else ()

    def listing(self, options: Options) -> Listing:
        """All rows of the lists; two clips have equal content if they start at the same sample of a recording."""
        lists = self.read_lists(options)
        return make_listing(
            ((clip.clip_id, clip.split, clip.label, clip.path, f"{clip.path}@{clip.start}") for clip in lists.clips),
            lists.classes,
            self.number_of_classes - self.novel_classes,
            self.num_samples / self.sample_rate,
        )
