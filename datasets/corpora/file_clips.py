"""Clips of single recordings: the options and the cutting that `folder` and `table` share.

A recording, or a labelled part of it, is cut into clips by itself; nothing is concatenated.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from datasets.audio.loudness import normalising_gain, scaled
from datasets.audio.recordings import FloatScale, RejectedError, checked_path, read_samples
from datasets.audio.samples import Signal
from datasets.audio.segmentation import Choice, cut_recording
from datasets.audio.trimming import sounding_part
from datasets.benchmark.clips import Clip
from datasets.benchmark.groups import STEM, group_by
from datasets.corpora.corpus import CorpusOptions
from datasets.corpora.file_formats import check_ffmpeg
from datasets.corpora.file_labels import FileLabels
from datasets.corpora.inventory import Rejection
from datasets.utils.options import Option

FILES_PER_UNIT = 32
GUESS, NO_GROUPS, FIELDS = "guess", "none", "fields"
TOLERANCE = 0.1
"""Seconds by which a labelled part may end after the recording: its times may be rounded."""


class FileClipOptions(CorpusOptions):
    """How recordings are cut, and into which splits they are drawn."""

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
    letter or number only; fields: what --label-from calls speaker, singer, subject, actor, site, session, recording or
    group; none: split by file (default: these fields, else guess whether names share a stem)"""
    label_from: Annotated[str | None, Option(metavar="PATTERN")] = Field(None, exclude_if=lambda value: value is None)
    """what of a path is the class: a level (1: the first folder, 2: the folder in it, last: the folder that has the
    file), or a pattern of the names such as {speaker}_{digit}_{take}, whose class is the field called label, or the
    only one that is neither take nor a group (default: the first folder; in a table: the label column)"""
    short: Literal["pad", "repeat", "reject"] = Field("pad", exclude_if=lambda value: value == "pad")
    """recordings shorter than a clip are padded with zeros at their end, repeated until they fill it, or rejected"""
    trim_silence: Annotated[float | None, Option(metavar="DB")] = Field(
        None, gt=0, le=120, exclude_if=lambda value: value is None
    )
    """leave out the start and the end of a recording that are more than DB below its loudest 20 ms, such as 40
    (default: keep them)"""
    ffmpeg: bool = Field(False, exclude_if=lambda value: not value)
    """also read M4A, AAC, WebM, MP4 and other formats, and the sound of videos, with the program ffmpeg (installed, or
    by the extra [ffmpeg])"""
    min_files: int | None = Field(None, ge=2, exclude_if=lambda value: value is None)
    """leave out classes with fewer recordings, and say which (default: they are an error)"""

    @field_validator("group_from")
    @classmethod
    def _check_group_from(cls, value: str) -> str:
        if value not in (GUESS, NO_GROUPS, STEM, FIELDS):
            group_by(value)
        return value

    @field_validator("label_from")
    @classmethod
    def _check_label_from(cls, value: str | None) -> str | None:
        if value is not None:
            FileLabels(value)
        return value

    @model_validator(mode="after")
    def _check_sum_of_fractions(self) -> "FileClipOptions":
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"--train, --val and --test: expected fractions that add up to 1, found {total:g}")
        return self

    @property
    def num_samples(self) -> int:
        """Samples per clip."""
        return round(self.clip_seconds * self.sample_rate)


@dataclass(frozen=True)
class LabelledPart:
    """What is cut into clips of one class.

    Attributes:
        path: of the recording, relative to the source folder.
        split: 'train', 'val' or 'test'.
        label: of the class.
        class_name: of the class.
        group: see `Clip.group`.
        seconds: begin and end of the part; None: the whole recording.
        place: of the row of a table that labels the part, for messages.
    """

    path: str
    split: str
    label: int
    class_name: str
    group: str | None = None
    seconds: tuple[float, float] | None = None
    place: str = ""


def clip_stem(label: int, class_name: str, path: str) -> str:
    """The part of a clip id that depends on the file only; valid in any file system, for arbitrary names."""
    plain = unicodedata.normalize("NFKD", class_name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:24].strip("-") or "class"
    return f"{label:04d}-{slug}-{hashlib.sha256(path.encode()).hexdigest()[:12]}"


def cut_file(source: Path, parts: list[LabelledPart], options: FileClipOptions) -> Iterator[Clip | Rejection]:
    """Decodes a recording once and yields the clips of all its labelled parts, in their order.

    Args:
        source: folder of the corpus.
        parts: of one recording, at least one.
        options: of the corpus.
    """
    path = parts[0].path
    check_ffmpeg(source, path)
    whole = all(part.seconds is None for part in parts)
    try:
        samples, rate = read_samples(
            checked_path(source, path),
            options.sample_rate,
            min_seconds=options.min_seconds,
            limit=_samples_needed(options) if whole else None,
            float_scale=options.float_scale,
        )
    except RejectedError as error:
        yield Rejection(path, str(error))
        return
    with samples:
        gain = normalising_gain(samples, rate) if options.loudness else 1.0
        for part in parts:
            first, last = 0, len(samples)
            if part.seconds is not None:
                if problem := _problem(part, len(samples) / rate, options.min_seconds):
                    yield Rejection(path, f"{problem} ({part.place})")
                    continue
                first, last = (min(round(second * rate), len(samples)) for second in part.seconds)
            name = path if part.seconds is None else f"{path}@{part.seconds[0]}-{part.seconds[1]}"
            signal: Signal = samples if part.seconds is None else samples[first:last]
            if options.trim_silence is not None:
                begin, end = sounding_part(signal, rate, options.trim_silence)
                first, signal = first + begin, signal[begin:end] if part.seconds else samples.part(begin, end)
            if problem := _too_short(len(signal) / rate, options):
                yield Rejection(path, problem if part.seconds is None else f"{problem} ({part.place})")
                continue
            stem, random = clip_stem(part.label, part.class_name, name), _generator(name, options.split_seed)
            chosen = (options.max_clips_per_file, options.clips, random, options.short == "repeat")
            for number, window in cut_recording(signal, options.num_samples, *chosen):
                start, clip = first + number * options.num_samples, scaled(window, gain)
                clip_id = f"{stem}-{number:04d}"
                yield Clip(clip_id, part.split, part.label, part.class_name, path, start, clip, part.group)


def _problem(part: LabelledPart, length: float, min_seconds: float) -> str:
    """Why a labelled part cannot be cut from a recording of this length in seconds; "" if it can."""
    assert part.seconds is not None
    start, end = part.seconds
    if end > length + TOLERANCE:
        return f"the labelled part ends at {end:g} s, but the recording at {length:.3f} s"
    seconds = min(end, length) - start
    if seconds <= 0 or seconds < min_seconds:
        return f"too short: {max(seconds, 0):.3f} s, at least {min_seconds:g} s needed"
    return ""


def _too_short(seconds: float, options: FileClipOptions) -> str:
    """Why a recording or a part of it is too short after silence was trimmed, or for a clip; "" if it is not."""
    if options.trim_silence is not None and seconds < options.min_seconds:
        return f"too short: {seconds:.3f} s, at least {options.min_seconds:g} s needed after --trim-silence"
    if options.short == "reject" and round(seconds * options.sample_rate) < options.num_samples:
        return f"shorter than a clip: {seconds:.3f} s, at least {options.clip_seconds:g} s needed for --short reject"
    return ""


def _samples_needed(options: FileClipOptions) -> int | None:
    """How much of a recording the first clips need; None: all of it."""
    all_of_it = options.loudness or options.trim_silence is not None
    if options.clips != "first" or options.max_clips_per_file is None or all_of_it:
        return None
    return options.max_clips_per_file * options.num_samples


def _generator(path: str, seed: int) -> "np.random.Generator":
    """Draws clips of a recording: the same ones for the same path and seed."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}\0{path}".encode()).digest()))
