"""Corpora whose clips are named by published lists: a table per split, a row per clip.

    lists       train.csv, val.csv, test.csv, vocabulary -> `Lists`
    inventory   the recordings that they name, and no others; absent ones are rejections
    units       the rows, divided as suits the corpus; a recording is decoded once, however many clips it gives
    clip ids    `train-000012-...`: split and row come first, so that clips sorted by id are in the order of the list

The order matters because the releases draw the support as positions in a class's rows: see
`datasets.benchmark.protocol.draw_support`.
"""

import os
import re
import stat
from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from datasets.audio.recordings import RejectedError, checked_path, read_recording
from datasets.benchmark.listing import Listing, make_listing
from datasets.benchmark.manifest import SPLITS, SplitCounts
from datasets.benchmark.shards import Clip
from datasets.corpora.corpus import Corpus, Options, Plan, Unit
from datasets.corpora.inventory import Inventory, Rejection, SourceFile
from datasets.corpora.list_files import Row, check_once, read_rows, read_vocabulary
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable

THREADS = 16
FILES_PER_TASK = 256  # handing files to threads one by one takes longer than looking at them
SHOWN = 5  # names in a warning


@dataclass(frozen=True)
class ListedClip:
    """A row of a list.

    Attributes:
        clip_id: see `clip_id`.
        split: 'train', 'val' or 'test'.
        label: of its class.
        path: of the recording, as the list names it; POSIX, relative.
        start: first sample, at the corpus's rate.
    """

    clip_id: str
    split: str
    label: int
    path: str
    start: int


@dataclass(frozen=True)
class Lists:
    """What a benchmark's lists say.

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
    """The id of the clip that a row names.

    Args:
        split: whose list it is.
        row: of the list; its number makes the id unique.
        hint: for the reader; characters that are not safe in a file name become '-'.
    """
    return f"{split}-{row.number:06d}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', hint)[:80]}"


def look_up(source: Path, folders: Mapping[str, str], paths: Sequence[str]) -> Inventory:
    """Looks at named files, and at nothing else.

    Args:
        source: folder of the recordings.
        folders: where below `source` each folder of `paths` lies.
        paths: as the lists name them, sorted; the inventory tells of them under these names.
    """
    # Resolving every path would take 5 s for the 77,000 soundscapes of FSC-89; links are few, and looked at one by one.
    root = Path(os.path.realpath(source))
    inside = {name: Path(os.path.realpath(source / folder)).is_relative_to(root) for name, folder in folders.items()}

    def look(path: str) -> SourceFile | Rejection:
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
    # On a network file system the waiting is what takes the time.
    with ThreadPoolExecutor(THREADS) as pool:
        found = [one for part in pool.map(lambda part: [look(path) for path in part], parts) for one in part]
    return Inventory(
        tuple(one for one in found if isinstance(one, SourceFile)),
        tuple(one for one in found if isinstance(one, Rejection)),
        ignored=0,
    )


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False, and no error, where that cannot be found out."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where permission is missing


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _place(folder: str, path: str) -> str:
    """The path with another folder."""
    return f"{folder}/{path.rpartition('/')[2]}"


class NamedFiles(Corpus[Options]):
    """A corpus whose clips are named by published lists."""

    sample_rate: ClassVar[int]
    """Of the clips, in Hz."""
    num_samples: ClassVar[int]
    """Of each clip."""
    novel_classes: ClassVar[int]
    """The last classes; those before them are base classes."""
    columns: ClassVar[tuple[str, ...]]
    """Of each list."""
    once: ClassVar[bool]
    """Whether a recording supplies one clip only, so that the lists name it once."""
    layout: ClassVar[str]
    """What the source folder is expected to hold, in a few words."""

    @property
    @abstractmethod
    def number_of_classes(self) -> int:
        """That the vocabulary must have."""

    @abstractmethod
    def table(self, split: str, options: Options) -> Path:
        """The list of a split."""

    @abstractmethod
    def vocabulary(self, options: Options) -> Path:
        """The vocabulary."""

    @abstractmethod
    def listed(self, row: Row, split: str, labels: Mapping[str, int]) -> ListedClip:
        """What a row names, checked.

        Args:
            row: of the split's list.
            split: 'train', 'val' or 'test'.
            labels: by class name.

        Raises:
            EarshotError: a cell is not what it has to be.
        """

    @abstractmethod
    def groups(self, lists: Lists) -> Iterator[tuple[str, Sequence[ListedClip]]]:
        """Divides the clips into units of work: (name, clips); a recording belongs to one unit."""

    @abstractmethod
    def fitting(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """A decoded recording [samples] at the corpus's rate.

        Raises:
            RejectedError: it is not as the publisher made it, so that no clip of it can be trusted.
        """

    def folder(self, source: Path, name: str) -> str:
        """Where below `source` the recordings lie that the lists say are in the folder `name`."""
        return name

    def read_lists(self, options: Options) -> Lists:
        """Reads vocabulary and lists.

        Raises:
            EarshotError: a file is absent or not in order; a list names a clip twice; a class has no train or no test
                rows.
        """
        classes = read_vocabulary(self.vocabulary(options))
        if len(classes) != self.number_of_classes:
            raise EarshotError(
                f"{printable(str(self.vocabulary(options)))}: expected the {self.number_of_classes} classes of "
                f"{self.name}, found {len(classes)}; give the vocabulary that was published with the lists"
            )
        labels = {name: label for label, name in enumerate(classes)}
        clips: list[ListedClip] = []
        rows: dict[Hashable, Row] = {}
        for split in SPLITS:
            for row in read_rows(self.table(split, options), self.columns):
                clip = self.listed(row, split, labels)
                check_once(row, clip.path if self.once else (clip.path, clip.start, clip.label, split), rows)
                clips.append(clip)
        lists = Lists(classes, tuple(clips))
        for name, count in zip(classes, lists.counts, strict=True):
            if not count.train or not count.test:
                table = self.table("test" if count.train else "train", options)
                raise EarshotError(
                    f"{printable(str(table))}: expected rows of every class, found none of {printable(name)!r}; "
                    "give the vocabulary that was published with the lists"
                )
        return lists

    def inventory(self, source: Path, options: Options) -> Inventory:
        """Size and time of last change of the recordings that the lists name.

        Raises:
            EarshotError: the lists are not in order, or none of the folders that they name is there.
        """
        paths = sorted({clip.path for clip in self.read_lists(options).clips})
        folders = {name: self.folder(source, name) for name in {_folder(path) for path in paths}}
        if not any(is_folder(source / folder) for folder in folders.values()):
            raise EarshotError(f"{printable(str(source))}: expected {self.layout}; found none of it; check --source")
        return look_up(source, folders, paths)

    def plan(self, source: Path, inventory: Inventory, options: Options) -> Plan:
        """Units of the recordings that are there; which clips share a unit does not depend on those that are not."""
        lists = self.read_lists(options)
        present = {file.path for file in inventory.files}
        units = []
        for name, clips in self.groups(lists):
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
        """Decodes each recording once and cuts all clips that the lists name in it."""
        classes = unit.details["classes"]
        for path, cuts in zip(unit.files, unit.details["cuts"], strict=True):
            place = _place(self.folder(source, _folder(path)), path)
            try:
                samples = self.fitting(*read_recording(checked_path(source, place)))
                needed = max(start for *_, start in cuts) + self.num_samples
                if len(samples) < needed:
                    raise RejectedError(f"too short: {len(samples)} samples, the lists need {needed}")
            except RejectedError as error:
                yield Rejection(path, str(error))
                continue
            for name, split, label, start in cuts:
                window = samples[start : start + self.num_samples]
                yield Clip(name, split, label, classes[str(label)], path, start, window)

    def review(self, counts: Sequence[SplitCounts], classes: Sequence[str], options: Options) -> tuple[str, ...]:
        """Every class needs train and test clips; fewer than the lists name give a warning.

        Novel classes have no validation clips in the lists, and need none.
        """
        super().review(counts, classes, options)
        fewer = []
        for name, count, listed in zip(classes, counts, self.read_lists(options).counts, strict=True):
            for split in SPLITS:
                found, wanted = getattr(count, split), getattr(listed, split)
                if found < wanted:
                    fewer.append(f"{printable(name)} ({found} of {wanted} {split})")
        if not fewer:
            return ()
        more = f" and {len(fewer) - SHOWN} more" if len(fewer) > SHOWN else ""
        return (f"fewer clips than the lists name: {', '.join(fewer[:SHOWN])}{more}",)

    def listing(self, options: Options) -> Listing:
        """Every row of the lists; two clips have the same content if they start at the same sample of a recording."""
        lists = self.read_lists(options)
        return make_listing(
            ((clip.clip_id, clip.split, clip.label, clip.path, f"{clip.path}@{clip.start}") for clip in lists.clips),
            lists.classes,
            self.number_of_classes - self.novel_classes,
            self.num_samples / self.sample_rate,
        )
