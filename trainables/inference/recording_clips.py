"""Cuts recordings into clips as those of the benchmark were cut that a model has learned from.

The recordings of a class are cut by the rule of the benchmark's corpus, with its settings, as `model.json` has them:

    folder, table and named corpora   as `prepare` cut them: all complete clips of a recording, or as many as
                                      `max_clips_per_file` allows, chosen by `clips`; a shorter recording is padded
                                      with zeros, repeated or rejected (`short`); silence at the ends as they say
    other corpora                     all complete clips; a shorter recording is padded with zeros at its end

A recording that is as long as a clip gives exactly the clip that the benchmark would have.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from datasets.benchmark.clips import Clip
from datasets.corpora.file_clips import FileClipOptions, LabelledPart, cut_file
from datasets.utils.errors import EarshotError
from datasets.utils.files import file_digest
from datasets.utils.text import plural, printable
from datasets.utils.validation import validated
from trainables.inference.description import Description
from trainables.inference.history import LearnedFile
from trainables.inference.recording_files import recording_files
from trainables.inference.windows import stored_samples

RULE = ("min_seconds", "max_clips_per_file", "clips", "float_scale", "split_seed", "short", "trim_silence", "ffmpeg")
"""What decides which clips of a recording a corpus takes."""
LIMIT = "max_clips_per_file"


@dataclass(frozen=True)
class ClassRecordings:
    """The recordings of one class, cut.

    Attributes:
        name: of the class.
        clips: `[clips, num_samples]`, 16 bits as float32 in [-1, 1).
        files: they were cut from.
        rates: sample rates of recordings that were resampled, Hz, ascending.
    """

    name: str
    clips: np.ndarray
    files: tuple[LearnedFile, ...]
    rates: tuple[int, ...]

    def joined(self, more: "ClassRecordings") -> "ClassRecordings":
        """With more recordings of the same class."""
        clips = np.concatenate([self.clips, more.clips])
        return ClassRecordings(self.name, clips, (*self.files, *more.files), (*self.rates, *more.rates))


def cut_classes(options: FileClipOptions, paths_by_class: Iterable[tuple[str, Sequence[str]]]) -> list[ClassRecordings]:
    """Reads and cuts the recordings of classes.

    Args:
        options: of the cutting; for a model from `clip_options`.
        paths_by_class: names of classes, and their recordings or folders of them (`recording_files`).

    Raises:
        EarshotError: recordings cannot be read, or one is there twice; names all of them.
    """
    problems: list[str] = []
    first: dict[str, str] = {}  # path by digest
    classes = [_cut_class(name, paths, options, first, problems) for name, paths in paths_by_class]
    if problems:
        raise EarshotError(
            f"{plural(len(problems), 'recording')} cannot be used, so nothing was learned: {'; '.join(problems)}"
        )
    return classes


def clip_options(description: Description) -> FileClipOptions:
    """How the corpus of a model's benchmark cuts a recording."""
    settings = description.benchmark.settings
    rule = {key: settings[key] for key in RULE if key in settings} if LIMIT in settings else {"min_seconds": 0.0}
    options = validated(FileClipOptions, rule, "model.json: benchmark.settings")
    changes = {
        "sample_rate": description.sample_rate,
        "clip_seconds": description.num_samples / description.sample_rate,
        "loudness": description.loudness,
    }
    return options.model_copy(update=changes)


def _cut_class(
    name: str, paths: Sequence[str], options: FileClipOptions, first: dict[str, str], problems: list[str]
) -> ClassRecordings:
    """The recordings of one class; adds to the digests that came before, and to the problems."""
    clips: list[np.ndarray] = []
    files: list[LearnedFile] = []
    rates: set[int] = set()
    for file in recording_files(paths):
        shown = printable(file.path)
        if file.error:
            problems.append(f"{shown} ({file.error})")
            continue
        try:
            path = Path(file.path).resolve(strict=True)
            cut = (
                []
                if path.is_dir()
                else list(cut_file(path.parent, [LabelledPart(path.name, "train", 0, name)], options))
            )
            digest = file_digest(path)
        except (OSError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(f"{shown} (cannot be opened: {printable(reason or type(error).__name__)})")
            continue
        rejected = [one.reason for one in cut if not isinstance(one, Clip)]
        if rejected:
            problems.append(f"{shown} ({printable(rejected[0])})")
            continue
        if digest in first:
            problems.append(f"{shown} (the same recording as {printable(first[digest])})")
            continue
        first[digest] = file.path
        clips += [stored_samples(one.samples) for one in cut if isinstance(one, Clip)]
        files.append(LearnedFile(name=printable(path.name), sha256=digest))
        rates |= {rate} if (rate := _sample_rate(path)) not in (None, options.sample_rate) else set()
    waves: np.ndarray = np.stack(clips) if clips else np.empty((0, options.num_samples), np.float32)
    return ClassRecordings(name, waves, tuple(files), tuple(sorted(rates)))


def _sample_rate(path: Path) -> int | None:
    """According to the header, Hz; None where libsndfile does not read it."""
    try:
        return int(soundfile.info(path).samplerate)
    except (soundfile.SoundFileError, OSError, RuntimeError):
        return None
