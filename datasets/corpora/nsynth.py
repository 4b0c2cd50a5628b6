"""NSynth-100, -200, -300 and -400: single notes of musical instruments; a class is an instrument.

NSynth (Engel et al. 2017, "Neural Audio Synthesis of Musical Notes with WaveNet Autoencoders", CC BY 4.0,
https://magenta.tensorflow.org/datasets/nsynth) has 305,979 notes of 1,006 instruments: 4 s at 16 kHz, sustained for
3 s. `--source` is the folder with its three unpacked archives:

    SOURCE/nsynth-train/audio/guitar_electronic_017-108-025.wav      instrument-pitch-velocity
    SOURCE/nsynth-valid/audio/...
    SOURCE/nsynth-test/audio/...

NSynth-N (Xie et al. 2023, https://github.com/chester-w-xie/FCAC_datasets) is a selection of N instruments and their
notes, published as lists; `--meta` is the folder of the lists:

    META/nsynth-N-fs_train.csv, ..._val.csv, ..._test.csv            filename, instrument, audio_source
    META/nsynth-N-fs_vocab.json                                      instrument -> label

The last 45 classes are novel, all others are base classes. A base class has 200 train, 100 val and 100 test notes, a
novel class 100, none and 100. No note is in two lists.

Notes at another rate are resampled to 16 kHz. Notes that are not 4 s long after that are rejected: every published note
has this length, so the file is damaged or was replaced.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets.benchmark.manifest import SPLITS
from datasets.corpora.corpus import CorpusOptions
from datasets.corpora.list_files import Row, digest, relative_path
from datasets.corpora.listed_clips import ListedClip, ListedCorpus, Lists, clip_id

SOURCES = ("nsynth-train", "nsynth-valid", "nsynth-test")


class NSynthOptions(CorpusOptions):
    """Options of the `nsynth` corpora."""

    meta: Path
    """folder of the published lists: nsynth-N-fs_train.csv, _val.csv, _test.csv and _vocab.json"""


class NSynth(ListedCorpus[NSynthOptions]):
    """Single notes; a class is an instrument, a unit of work is an instrument."""

    options_type = NSynthOptions
    sample_rate = 16_000
    num_samples = 64_000
    novel_classes = 45
    resampled = True
    columns = ("filename", "instrument", "audio_source")
    one_clip_per_file = True
    layout = "the folders nsynth-train, nsynth-valid and nsynth-test containing audio/NOTE.wav"

    def identity(self, options: NSynthOptions) -> dict[str, Any]:
        """`meta` is the SHA-256 of the concatenated train, val and test lists and the vocabulary."""
        paths = [*(self.list_path(split, options) for split in SPLITS), self.vocabulary_path(options)]
        return {"meta": digest(paths)}

    def list_path(self, split: str, options: NSynthOptions) -> Path:
        """`META/nsynth-N-fs_{split}.csv`."""
        return options.meta / f"nsynth-{self.number_of_classes}-fs_{split}.csv"

    def vocabulary_path(self, options: NSynthOptions) -> Path:
        """`META/nsynth-N-fs_vocab.json`."""
        return options.meta / f"nsynth-{self.number_of_classes}-fs_vocab.json"

    def parse_row(self, row: Row, split: str, labels: Mapping[str, int]) -> ListedClip:
        """The clip is the complete note."""
        name, instrument, folder = (row.cells[column] for column in self.columns)
        if instrument not in labels:
            raise row.error("a class of the vocabulary", "instrument")
        if folder not in SOURCES:
            raise row.error(f"one of {', '.join(SOURCES)}", "audio_source")
        path = relative_path(f"{folder}/audio/{name}.wav", row)
        return ListedClip(clip_id(split, row, name), split, labels[instrument], path, 0)

    def group_clips(self, lists: Lists) -> Iterator[tuple[str, Sequence[ListedClip]]]:
        """Groups the clips by class, in the order of the lists."""
        notes: list[list[ListedClip]] = [[] for _ in lists.classes]
        for clip in lists.clips:
            notes[clip.label].append(clip)
        yield from zip(lists.classes, notes, strict=True)

    def check(self, length: int, rate: int) -> str | None:
        """Rejects a note unless it is exactly 4 s long."""
        return None if length == self.num_samples else f"expected a note of 4 s, found {length / rate:.5g} s"


class NSynth100(NSynth):
    """55 base and 45 novel instruments."""

    name = "nsynth100"
    summary = "NSynth-100: notes of 100 instruments (55 base, 45 novel), 4 s at 16 kHz, from the published lists"
    number_of_classes = 100


class NSynth200(NSynth):
    """155 base and 45 novel instruments."""

    name = "nsynth200"
    summary = "NSynth-200: notes of 200 instruments (155 base, 45 novel), 4 s at 16 kHz, from the published lists"
    number_of_classes = 200


class NSynth300(NSynth):
    """255 base and 45 novel instruments."""

    name = "nsynth300"
    summary = "NSynth-300: notes of 300 instruments (255 base, 45 novel), 4 s at 16 kHz, from the published lists"
    number_of_classes = 300


class NSynth400(NSynth):
    """355 base and 45 novel instruments."""

    name = "nsynth400"
    summary = "NSynth-400: notes of 400 instruments (355 base, 45 novel), 4 s at 16 kHz, from the published lists"
    number_of_classes = 400
