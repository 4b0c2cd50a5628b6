"""LibriSpeech, and any read speech in its layout: `speaker/chapter/speaker-chapter-utterance.flac` (or .wav).

LibriSpeech (Panayotov et al. 2015, https://www.openslr.org/12, CC BY 4.0) is 16 kHz English speech read for LibriVox;
train-clean-100 has 251 speakers with about 25 minutes each. A class is a speaker. The benchmark is built like LS-100:

1. each utterance is normalized to -23 LUFS (EBU R128) by a linear gain, limited to a true peak of -2 dB;
2. the speakers with the longest total duration are selected; labels follow the lexicographic order of their names;
3. the utterances of a speaker are concatenated in sorted path order and cut into clips `{speaker}_{i}`; the remainder
   is dropped;
4. the clip names of a speaker are sorted lexicographically: first train, then val, then test, the rest unused.

Unlike in the released LS-100, the clips of a speaker come from that speaker only: "19" does not also match "1926_...".
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from datasets.audio.loudness import normalising_gain, scaled
from datasets.audio.recordings import FloatScale, RejectedError, checked_path, duration, read_samples
from datasets.audio.samples import Samples, Signal
from datasets.audio.segmentation import cut_stream
from datasets.benchmark.clips import Clip
from datasets.benchmark.manifest import SplitCounts
from datasets.corpora.corpus import MAX_LISTED, Corpus, CorpusOptions, Plan, Unit, without_clips
from datasets.corpora.inventory import Inventory, Rejection, scan
from datasets.utils.errors import EarshotError
from datasets.utils.text import first_few, printable

DEFAULT_SPEAKERS = 100

SplitRule = Literal["block", "cyclic"]
Sizes = tuple[int, int, int]


class LibriSpeechOptions(CorpusOptions):
    """Options of the `librispeech` corpus."""

    speakers: int | None = Field(None, gt=0)
    """use the N speakers with the longest total duration (default: 100, or all if there are fewer)"""
    clip_seconds: float = Field(2.0, ge=0.1, le=60)
    """length of a clip"""
    sample_rate: int = Field(16000, ge=4000, le=192000)
    """of the clips, in Hz; recordings at another rate are resampled"""
    train: int = Field(500, gt=0)
    """train clips per speaker"""
    val: int = Field(150, ge=0)
    """validation clips per speaker"""
    test: int = Field(100, gt=0)
    """test clips per speaker"""
    split: SplitRule = "block"
    """block (as published): clip names sorted lexicographically, first train, next val, next test, the rest
    unused; cyclic: the sizes are a pattern that repeats along the clips of a speaker, and every clip is used"""
    loudness: bool = True
    """normalize each utterance to -23 LUFS, true peak at most -2 dB"""
    float_scale: FloatScale = Field("reject", exclude_if=lambda value: value == "reject")
    """floating-point files on the scale of integers (peak far above 1): reject leaves them out, auto divides them by
    the likely full scale"""

    @property
    def num_samples(self) -> int:
        """Samples per clip."""
        return round(self.clip_seconds * self.sample_rate)

    @property
    def sizes(self) -> Sizes:
        """Train, validation and test clips per speaker."""
        return self.train, self.val, self.test


def longest_speakers(durations: Mapping[str, float], number: int) -> list[str]:
    """Returns the speakers with the longest total duration, longest first; ties are broken by name."""
    return sorted(durations, key=lambda name: (-durations[name], name))[:number]


def label_speakers(speakers: Sequence[str]) -> dict[str, int]:
    """Assigns labels in lexicographic order of the names: "1069" is 0, "19" comes before "2"."""
    return {name: label for label, name in enumerate(sorted(speakers))}


def split_pattern(sizes: Sizes) -> list[str]:
    """The splits of the clips of a speaker in order: all train clips, then val, then test."""
    return ["train"] * sizes[0] + ["val"] * sizes[1] + ["test"] * sizes[2]


def assign_splits(number: int, sizes: Sizes, rule: SplitRule) -> dict[int, str]:
    """Assigns a split to each clip of a speaker.

    block: the numbers in lexicographic order (0, 1, 10, 100, 101, ...) fill train, then val, then test.
    cyclic: clip i is train if i mod (a + b + c) < a, val if < a + b, else test, for sizes (a, b, c).

    Args:
        number: number of clips of the speaker.
        sizes: train, val, test.
        rule: 'block' or 'cyclic'.

    Returns:
        The split by clip number, without clips that are not used.
    """
    pattern = split_pattern(sizes)
    if rule == "cyclic":
        return {i: pattern[i % len(pattern)] for i in range(number)}
    return dict(zip(sorted(range(number), key=str), pattern, strict=False))


def count_splits(splits: Mapping[int, str]) -> SplitCounts:
    """Counts the clips in each split."""
    names = list(splits.values())
    return SplitCounts(train=names.count("train"), val=names.count("val"), test=names.count("test"))


def read_utterances(
    source: Path, paths: Sequence[str], options: LibriSpeechOptions, speech: Samples
) -> tuple[list[tuple[str, Samples]], list[Rejection]]:
    """Reads the utterances of a speaker at the sample rate of the benchmark, normalized if the options ask for it.

    Args:
        source: folder of the recordings.
        paths: of the utterances.
        options: of the corpus.
        speech: the utterances are appended to it; the longest speaker of LibriSpeech has 96 MB.

    Returns:
        Pairs of path and samples in the order of `paths`, views of `speech`, and the files that cannot be used.
    """
    places: list[tuple[str, int, int]] = []
    rejected: list[Rejection] = []
    for path in paths:
        try:
            utterance, rate = read_samples(
                checked_path(source, path), options.sample_rate, float_scale=options.float_scale
            )
        except RejectedError as error:
            rejected.append(Rejection(path, str(error)))
            continue
        first = len(speech)
        with utterance:
            gain = normalising_gain(utterance, rate) if options.loudness else 1.0
            for block in utterance.blocks():
                speech.append(scaled(block, gain))
        places.append((path, first, len(speech)))
    return [(path, speech.part(first, last)) for path, first, last in places], rejected


def count_clips(utterances: Sequence[tuple[str, Signal]], options: LibriSpeechOptions) -> int:
    """Number of clips in the concatenated utterances."""
    return sum(len(samples) for _, samples in utterances) // options.num_samples


class LibriSpeech(Corpus[LibriSpeechOptions]):
    """Read speech; a class is a speaker, a unit of work is a speaker with all their utterances."""

    name = "librispeech"
    summary = "read speech, laid out as speaker/chapter/speaker-chapter-utterance.flac; a class is a speaker"
    version = 2
    options_type = LibriSpeechOptions

    def inventory(self, source: Path, options: LibriSpeechOptions) -> Inventory:
        """Lists FLAC and WAV files; transcripts are ignored."""
        return scan(source, frozenset({".flac", ".wav"}))

    def plan(self, source: Path, inventory: Inventory, options: LibriSpeechOptions) -> Plan:
        """Creates one unit per speaker; reads the header of every file to find the longest speakers."""
        paths = [file.path for file in inventory.files if _in_layout(file.path)]
        if not paths:
            found = "no such file" + "".join(f"; {problem}" for problem in inventory.unusable)
            raise EarshotError(
                f"{source}: expected speaker/chapter/speaker-chapter-utterance.flac (or .wav), found {found}; "
                "check --source"
            )
        # Headers are read in threads: on a network file system, latency dominates.
        with ThreadPoolExecutor(8) as pool:
            seconds = dict(zip(paths, pool.map(lambda path: _seconds(source, path), paths), strict=True))
        unreadable = [Rejection(printable(path), value) for path, value in seconds.items() if isinstance(value, str)]
        utterances: dict[str, list[str]] = {}
        durations: dict[str, float] = {}
        for path, value in seconds.items():
            if isinstance(value, float):
                speaker = path.split("/")[0]
                utterances.setdefault(speaker, []).append(path)
                durations[speaker] = durations.get(speaker, 0.0) + value
        if options.speakers is not None and len(durations) < options.speakers:
            raise EarshotError(
                f"{source}: expected at least {options.speakers} speakers, found {len(durations)}; "
                "check --source, or request fewer: librispeech --speakers N"
            )
        labels = label_speakers(longest_speakers(durations, options.speakers or DEFAULT_SPEAKERS))
        # due to rounding, a sum of seconds may be slightly less than a whole number of clips
        clips = {name: int(durations[name] / options.clip_seconds + 1e-6) for name in labels}
        self.review(
            [count_splits(assign_splits(clips[name], options.sizes, options.split)) for name in labels],
            list(labels),
            options,
        )
        units = tuple(
            Unit(name, tuple(sorted(utterances[name])), {"label": label, "class_name": name, "clips": clips[name]})
            for name, label in labels.items()
        )
        rejected = [
            rejection
            for rejection in (*inventory.rejected, *unreadable)
            if rejection.file.split("/")[0] in labels or rejection.file.split("/")[0] not in durations
        ]
        return Plan(
            units=units,
            classes=tuple(labels),
            sample_rate=options.sample_rate,
            num_samples=options.num_samples,
            rejected=tuple(sorted(rejected, key=lambda rejection: rejection.file)),
            files=sum(len(unit.files) for unit in units) + len(rejected),
            ignored=inventory.ignored + len(inventory.files) - len(paths),
        )

    def cut(self, source: Path, unit: Unit, options: LibriSpeechOptions) -> Iterator[Clip | Rejection]:
        """Concatenates the utterances of the speaker and cuts them; yields the clips in time order."""
        speaker, label = unit.details["class_name"], unit.details["label"]
        with Samples() as speech:
            # The block rule needs the total number of clips to assign the split of the first one.
            utterances, rejected = read_utterances(source, unit.files, options, speech)
            yield from rejected
            splits = assign_splits(count_clips(utterances, options), options.sizes, options.split)
            for number, window in enumerate(cut_stream(utterances, options.num_samples)):
                if number in splits:
                    clip_id = f"{speaker}_{number}"
                    yield Clip(clip_id, splits[number], label, speaker, window.source, window.start, window.samples)

    def review(
        self, counts: Sequence[SplitCounts], classes: Sequence[str], options: LibriSpeechOptions
    ) -> tuple[str, ...]:
        """Requires train and test clips of every speaker; warns about speakers with fewer test clips than requested."""
        train, val, test = options.sizes
        short = [f"{count.total} of speaker {name}" for name, count in without_clips(counts, classes)]
        if short:
            raise EarshotError(
                f"expected more than {train + val} clips of {options.clip_seconds:g} s (train {train}, val {val}, test "
                f"{test}) of every speaker, found {first_few(short, MAX_LISTED)}; request fewer: librispeech --train N "
                "--val N --speakers N"
            )
        fewer = []
        for name, count in zip(classes, counts, strict=True):
            if options.split == "block" and count.test < test:
                fewer.append(f"{printable(name)} ({count.test})")
        return (f"fewer than {test} test clips: speaker {first_few(fewer)}",) if fewer else ()


def _in_layout(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return len(parts) == 3 and PurePosixPath(parts[2]).stem.startswith(f"{parts[0]}-{parts[1]}-")


def _seconds(source: Path, path: str) -> float | str:
    try:
        return duration(source / path)  # the path was already checked for the inventory
    except RejectedError as error:
        return str(error)
