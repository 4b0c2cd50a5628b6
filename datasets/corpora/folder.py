"""User-provided recordings: one folder per class, with recordings of any length and format.

    SOURCE/
      bassoon/           a class; labels follow the sorted order of the names
        A3.mp3
        loud/C4.wav      subfolders of a class only organize its files
      cello/ ...

Splits are drawn by *file*, never by clip: all clips of a recording are in the same split. The files of a class are
ordered by SHA-256 of the seed and their path; the first ones are train, then val, then test. Adding a class changes no
other class.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from datasets.audio.loudness import normalising_gain, scaled
from datasets.audio.recordings import FloatScale, RejectedError, checked_path, read_samples
from datasets.audio.segmentation import Choice, cut_recording
from datasets.benchmark.shards import Clip
from datasets.corpora.corpus import Corpus, CorpusOptions, Plan, Unit
from datasets.corpora.inventory import Inventory, Rejection
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable

FILES_PER_UNIT = 32


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


def split_files(paths: Sequence[str], train: float, val: float, seed: int) -> dict[str, str]:
    """Assigns a split to each file of a class.

    With n files ordered by SHA-256 of (seed, path): the first round(train n) are train, the next round(val n) val, the
    others test. At least one file is train and one is test, taken from val first and then from the larger of the two.

    Args:
        paths: at least two, relative to the source folder.
        train: fraction of the files.
        val: fraction of the files.
        seed: of the order.

    Returns:
        The split of each path.
    """
    number = len(paths)
    ordered = sorted(paths, key=lambda path: _order(path, seed))
    for_training = min(max(1, int(train * number + 0.5)), number - 1)
    for_validation = min(int(val * number + 0.5), number - 1 - for_training)
    splits = ["train"] * for_training + ["val"] * for_validation
    splits += ["test"] * (number - len(splits))
    return dict(zip(ordered, splits, strict=True))


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

    def plan(self, source: Path, inventory: Inventory, options: FolderOptions) -> Plan:
        """Numbers the classes by sorted name and splits them by file; reads no recording."""
        classes: dict[str, list[str]] = {}
        for file in inventory.files:
            name, _, rest = file.path.partition("/")
            if rest:
                classes.setdefault(name, []).append(file.path)
        rejected = tuple(rejection for rejection in inventory.rejected if "/" in rejection.file)
        known = {printable(name) for name in classes}
        for name in sorted(classes):
            if len(classes[name]) < 2:
                raise EarshotError(_too_few(name, len(classes[name])))
        for rejection in rejected:  # a class without usable files is an error; it must not be left out silently
            if classes and (name := rejection.file.split("/")[0]) not in known:
                raise EarshotError(f"{_too_few(name, 0)} ({rejection.file}: {rejection.reason})")
        if not classes:
            raise EarshotError(
                f"{source}: expected one folder per class with recordings inside, found none; check --source"
            )
        units: list[Unit] = []
        for label, name in enumerate(sorted(classes)):
            splits = split_files(classes[name], options.train, options.val, options.split_seed)
            paths = sorted(splits)
            for start in range(0, len(paths), FILES_PER_UNIT):
                part = tuple(paths[start : start + FILES_PER_UNIT])
                details = {"label": label, "class_name": name, "splits": [splits[path] for path in part]}
                units.append(Unit(f"{name} {start // FILES_PER_UNIT}", part, details))
        used = sum(len(unit.files) for unit in units)
        return Plan(
            units=tuple(units),
            classes=tuple(sorted(classes)),
            sample_rate=options.sample_rate,
            num_samples=options.num_samples,
            rejected=rejected,
            files=used + len(rejected),
            ignored=inventory.ignored + len(inventory.files) - used + len(inventory.rejected) - len(rejected),
        )

    def cut(self, source: Path, unit: Unit, options: FolderOptions) -> Iterator[Clip | Rejection]:
        """Yields clips in order of file and time."""
        label, class_name = unit.details["label"], unit.details["class_name"]
        for path, split in zip(unit.files, unit.details["splits"], strict=True):
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
                random = np.random.default_rng(int(_order(path, options.split_seed).hex(), 16))
                windows = cut_recording(samples, options.num_samples, options.max_clips_per_file, options.clips, random)
                for number, window in windows:
                    start, clip = number * options.num_samples, scaled(window, gain)
                    yield Clip(f"{stem}-{number:04d}", split, label, class_name, path, start, clip)


def _samples_needed(options: FolderOptions) -> int | None:
    """How much of a recording the first clips need; None: all of it."""
    if options.clips != "first" or options.max_clips_per_file is None or options.loudness:
        return None
    return options.max_clips_per_file * options.num_samples


def _order(path: str, seed: int) -> bytes:
    """The digest by which the files of a class are ordered."""
    return hashlib.sha256(f"{seed}\0{path}".encode()).digest()


def _too_few(name: str, count: int) -> str:
    return (
        f"class {printable(name)!r}: expected at least two usable recordings (one to train, one to test), "
        f"found {count}; add recordings or remove the folder"
    )
