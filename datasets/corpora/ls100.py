"""LS-100, the benchmark of 100 LibriSpeech speakers: as intended, and as released.

`ls100` is the `librispeech` corpus with the settings of the release (https://github.com/vinceasvp/meta-sc): the 100
longest speakers of train-clean-100, each with 500 train, 150 val and 100 test clips of 2 s at 16 kHz.

`ls100-published` reproduces the released lists row by row, with their defect. The release selected the segments of a
speaker by the prefix of their names, `{owner}_{i}.wav`:

    label    speaker    segments in order of their names           train and val and test
    12       19         1926_*  1963_*  196_*  1970_*  19_*        the first 750: all of 1926
    13       1926       1926_*                                     the first 750: all of 1926

"2" sorts before "_", and 1926 alone has more than 750 segments: class "19" contains no clip of speaker 19, and all its
clips are also clips of class "1926". The same holds for 196 and 1963, 200 and 2007, 426 and 4267, 831 and 8312.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any, TypeVar

from datasets.audio.samples import Samples
from datasets.audio.segmentation import cut_stream
from datasets.benchmark.clips import Clip
from datasets.benchmark.listing import Listing, make_listing
from datasets.benchmark.manifest import SPLITS, SplitCounts
from datasets.corpora.corpus import Corpus, CorpusOptions, Plan, Unit
from datasets.corpora.inventory import Inventory, Rejection
from datasets.corpora.librispeech import LibriSpeech, LibriSpeechOptions, Sizes, read_utterances, split_pattern
from datasets.corpora.list_files import digest, read_rows
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable

SPEAKERS = 100
BASE_CLASSES = 60
COLUMNS = ("filename", "speaker_id", "label")

Segment = tuple[str, int]  # the speaker it was cut from, and its number within that speaker
Row = tuple[str, str, str]  # a row of a published list: file name, speaker, label


class LS100Options(CorpusOptions):
    """Options of the `ls100` corpus."""

    loudness: bool = True
    """normalize each utterance to -23 LUFS, true peak at most -2 dB"""

    @property
    def speech(self) -> LibriSpeechOptions:
        """Options with which the `librispeech` corpus cuts it."""
        return LibriSpeechOptions(
            speakers=SPEAKERS,
            clip_seconds=2,
            sample_rate=16000,
            train=500,
            val=150,
            test=100,
            split="block",
            loudness=self.loudness,
        )


Options = TypeVar("Options", bound=LS100Options)


class LS100(Corpus[Options]):
    """The 100 longest speakers of train-clean-100; a class is a speaker, and contains only clips of that speaker."""

    name = "ls100"
    summary = "LS-100: the 100 longest speakers of LibriSpeech train-clean-100, 60 of them base classes"
    options_type = LS100Options
    version = LibriSpeech.version  # the corpus that cuts the clips

    def inventory(self, source: Path, options: Options) -> Inventory:
        """Same as for the `librispeech` corpus."""
        return LibriSpeech().inventory(source, options.speech)

    def plan(self, source: Path, inventory: Inventory, options: Options) -> Plan:
        """Creates one unit per speaker."""
        return replace(LibriSpeech().plan(source, inventory, options.speech), base_classes=BASE_CLASSES)

    def cut(self, source: Path, unit: Unit, options: Options) -> Iterator[Clip | Rejection]:
        """Yields the clips of the speaker in time order."""
        return LibriSpeech().cut(source, unit, options.speech)

    def review(self, counts: Sequence[SplitCounts], classes: Sequence[str], options: Options) -> tuple[str, ...]:
        """Same as for the `librispeech` corpus."""
        return LibriSpeech().review(counts, classes, options.speech)


class LS100PublishedOptions(LS100Options):
    """Options of the `ls100-published` corpus."""

    meta: Path | None = None
    """folder of the released librispeech_fscil_{train,val,test}.csv, compared row by row (default: no comparison)"""


def segment_name(segment: Segment) -> str:
    """The released file name, without the suffix."""
    return f"{segment[0]}_{segment[1]}"


def released_segments(speaker: str, counts: Mapping[str, int]) -> list[Segment]:
    """The segments that the release assigns to a speaker, in the order of its lists.

    Args:
        speaker: name of the speaker.
        counts: number of segments of each of the 100 speakers.
    """
    segments = [(owner, i) for owner in counts if owner.startswith(speaker) for i in range(counts[owner])]
    return sorted(segments, key=segment_name)


def published_rows(counts: Mapping[str, int], sizes: Sizes) -> dict[str, list[Row]]:
    """Reproduces the released lists, by split.

    Args:
        counts: number of segments by speaker.
        sizes: train, val and test clips per speaker.
    """
    rows: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for label, speaker in enumerate(sorted(counts)):
        for segment, split in zip(released_segments(speaker, counts), split_pattern(sizes), strict=False):
            rows[split].append((f"{segment_name(segment)}.wav", speaker, str(label)))
    return rows


def clip_id(speaker: str, segment: str) -> str:
    """A clip id from class and segment: a segment may be in two classes, and the ids sort like the lists."""
    return f"{speaker}:{segment}"


class LS100Published(LS100[LS100PublishedOptions]):
    """The released lists; a unit is a label with the utterances of all speakers that its clips are cut from."""

    name = "ls100-published"
    summary = "LS-100 as released, row by row, with its defect: five pairs of classes contain the same clips"
    options_type = LS100PublishedOptions

    def identity(self, options: LS100PublishedOptions) -> dict[str, Any]:
        """`meta` is replaced by the SHA-256 of the lists."""
        lists = None if options.meta is None else digest([_list_path(options.meta, split) for split in SPLITS])
        return {**super().identity(options), "meta": lists}

    def plan(self, source: Path, inventory: Inventory, options: LS100PublishedOptions) -> Plan:
        """Creates one unit per label.

        Raises:
            EarshotError: an utterance cannot be read, or the recordings do not reproduce the lists in `meta`.
        """
        plan = super().plan(source, inventory, options)
        if plan.rejected:
            raise _missing_utterance(plan.rejected[0])
        utterances = {unit.name: unit.files for unit in plan.units}
        counts = {unit.name: int(unit.details["clips"]) for unit in plan.units}
        if options.meta is not None:
            _compare(published_rows(counts, options.speech.sizes), options.meta)
        units = []
        for label, speaker in enumerate(plan.classes):
            used = released_segments(speaker, counts)[: sum(options.speech.sizes)]
            owners = sorted({owner for owner, _ in used})
            files = tuple(path for owner in owners for path in utterances[owner])
            units.append(Unit(speaker, files, {"label": label, "class_name": speaker}))
        used_files = {path for unit in units for path in unit.files}
        return replace(plan, units=tuple(units), files=len(used_files) + len(plan.rejected))

    def cut(self, source: Path, unit: Unit, options: LS100PublishedOptions) -> Iterator[Clip | Rejection]:
        """Yields clips in the order of the lists; `start` is the position in the speaker that the clip comes from."""
        speaker, label = unit.details["class_name"], unit.details["label"]
        with ExitStack() as speakers:
            speeches: dict[str, Samples] = {}
            places: dict[str, list[tuple[str, int]]] = {}
            for owner, paths in groupby(unit.files, lambda path: path.split("/")[0]):
                speech = speakers.enter_context(Samples())
                utterances, rejected = read_utterances(source, tuple(paths), options.speech, speech)
                if rejected:
                    raise _missing_utterance(rejected[0])
                speeches[owner] = speech
                cut = cut_stream(utterances, options.speech.num_samples)
                places[owner] = [(window.source, window.start) for window in cut]
            segments = released_segments(speaker, {owner: len(starts) for owner, starts in places.items()})
            for segment, split in zip(segments, split_pattern(options.speech.sizes), strict=False):
                file, start = places[segment[0]][segment[1]]
                samples = speeches[segment[0]][start : start + options.speech.num_samples]
                yield Clip(clip_id(speaker, segment_name(segment)), split, label, speaker, file, start, samples)

    def listing(self, options: LS100PublishedOptions) -> Listing:
        """The rows of the lists in `meta`; their recordings are unknown, so each segment counts as one recording.

        Raises:
            EarshotError: `meta` is not given, or a list differs from the release.
        """
        if options.meta is None:
            raise EarshotError(f"--meta: expected the folder of the lists released for {self.name}, found none")
        names: dict[int, str] = {}
        rows = []
        for split in SPLITS:
            for row in read_rows(_list_path(options.meta, split), COLUMNS):
                file, speaker, label = row.cells["filename"], row.cells["speaker_id"], row.label("label", SPEAKERS)
                if names.setdefault(label, speaker) != speaker:
                    raise row.error(f"{names[label]!r}, the speaker of label {label} before", "speaker_id")
                rows.append((clip_id(speaker, file.removesuffix(".wav")), split, label, file, file))
        missing = set(range(len(names))) - set(names)
        if missing:
            folder = printable(str(options.meta))
            raise EarshotError(f"{folder}: expected the labels 0 to {max(names)}, found no {min(missing)}; {_HINT}")
        classes = [names[label] for label in sorted(names)]
        return make_listing(rows, classes, BASE_CLASSES, options.speech.clip_seconds)


def _missing_utterance(rejection: Rejection) -> EarshotError:
    """A missing utterance shifts all later segments: the released names would then refer to different audio."""
    return EarshotError(
        f"{rejection.file}: expected every utterance of the {SPEAKERS} speakers, because the released segments are "
        f"numbered across all of them, found an unusable one ({rejection.reason}); download it again"
    )


_HINT = "--meta must contain the released lists"


def _list_path(meta: Path, split: str) -> Path:
    return meta / f"librispeech_fscil_{split}.csv"


def _compare(expected: Mapping[str, Sequence[Row]], meta: Path) -> None:
    for split in SPLITS:
        path = _list_path(meta, split)
        for ours, row in zip_longest(expected[split], read_rows(path, COLUMNS)):
            theirs = None if row is None else tuple(row.cells[column] for column in COLUMNS)
            if ours != theirs:
                position = "end" if row is None else f"line {row.line}"
                raise EarshotError(
                    f"{printable(str(path))}: {position}: expected {_format_row(ours)} according to the recordings in "
                    f"--source, found {_format_row(theirs)}; --source must contain all of train-clean-100, and {_HINT}"
                )


def _format_row(row: Sequence[str] | None) -> str:
    return "no more rows" if row is None else printable(",".join(row))
