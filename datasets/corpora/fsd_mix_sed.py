"""FSC-89: one-second excerpts of mixed soundscapes; a class is a type of sound event.

FSD-MIX-SED (Wang, Bryan, Salamon, Cartwright, Bello: "Who calls the shots? Rethinking few-shot learning for audio",
WASPAA 2021, https://zenodo.org/record/5574135) consists of 281,039 soundscapes of 10 s at 44.1 kHz, each with 1 to 5
events from FSD50K mixed with Brownian noise. They are published as JAMS annotations and source material, and rendered
with `scaper` (https://github.com/wangyu/rethink-audio-fsl). One second around each event is a clip of FSD-MIX-CLIPS.

FSC-89 (Xie et al. 2023, https://github.com/chester-w-xie/FCAC_datasets) is a selection of clips with one label each,
published as lists; `--meta` is the folder of the lists:

    META/Fsc89-setup1-fsci_train.csv, ..._val.csv, ..._test.csv   data_folder, FSD_MIX_SED_filename, start_time, label
    SOURCE/{data_folder}/{FSD_MIX_SED_filename}                   SOURCE/base/train/soundscape_66976.wav, ...

A clip consists of the 44100 samples of the soundscape from `int(start_time * 44100)`, computed in float64 like in the
release, so only the soundscapes are needed. The rendering script writes the folders that the lists call `novel_val` and
`novel_test` as `val` and `test`; both names are accepted.

Labels 0 to 58 are base classes, 59 to 88 novel ones. A base class has 800 train, 200 val and 200 test clips (setup 2:
5000, 800, 200), a novel class 500, none and 200.

The lists of setup 1 leak: no row is duplicated, but 2,643 of the 15,511 test soundscapes, all of novel classes, also
provide train clips: other seconds of the same mixture. The benchmark is defined this way, so this is not changed;
`listing` returns the soundscape of every clip.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from datasets.benchmark.manifest import SPLITS
from datasets.corpora.corpus import CorpusOptions
from datasets.corpora.list_files import Row, digest, relative_path
from datasets.corpora.listed_clips import ListedClip, ListedCorpus, Lists, clip_id, is_folder

SOUNDSCAPES_PER_UNIT = 1000
RENDERED = {"novel_val": "val", "novel_test": "test"}
"""Folder name in the lists: folder name in the output of the rendering script."""


class FSC89Options(CorpusOptions):
    """Options of the `fsc89` corpus."""

    meta: Path
    """folder of the published lists: Fsc89-setup1-fsci_train.csv, _val.csv and _test.csv"""
    vocabulary: Path
    """JSON list of the 89 class names, by label"""
    setup: Literal[1, 2] = 1
    """which of the two published selections of clips; 2 has more train and validation clips of base classes"""

    @field_validator("setup", mode="before")
    @classmethod
    def _parse_number(cls, value: object) -> object:
        return int(value) if value in ("1", "2") else value


class FSC89(ListedCorpus[FSC89Options]):
    """Excerpts of soundscapes; a unit of work consists of a thousand soundscapes with all their clips."""

    name = "fsc89"
    summary = "FSC-89: sound events of 89 classes (59 base, 30 novel), 1 s at 44.1 kHz, from the published lists"
    options_type = FSC89Options
    number_of_classes = 89
    novel_classes = 30
    sample_rate = 44_100
    num_samples = 44_100
    columns = ("data_folder", "FSD_MIX_SED_filename", "start_time", "label")
    one_clip_per_file = False
    resampled = False
    layout = "soundscapes in the folders named by the lists: base/train/soundscape_0.wav, ..."

    def identity(self, options: FSC89Options) -> dict[str, Any]:
        """`meta` is the SHA-256 of the concatenated train, val and test lists, `vocabulary` that of the file."""
        return {
            "meta": digest([self.list_path(split, options) for split in SPLITS]),
            "vocabulary": digest([options.vocabulary]),
            "setup": options.setup,
        }

    def list_path(self, split: str, options: FSC89Options) -> Path:
        """`META/Fsc89-setup{setup}-fsci_{split}.csv`."""
        return options.meta / f"Fsc89-setup{options.setup}-fsci_{split}.csv"

    def vocabulary_path(self, options: FSC89Options) -> Path:
        """The file given by the option."""
        return options.vocabulary

    def parse_row(self, row: Row, split: str, labels: Mapping[str, int]) -> ListedClip:
        """The clip is one second of a soundscape."""
        path = relative_path(f"{row.cells['data_folder']}/{row.cells['FSD_MIX_SED_filename']}", row)
        start = int(row.seconds("start_time") * 44100)
        hint = f"{path.removesuffix('.wav')}-{start}"
        return ListedClip(clip_id(split, row, hint), split, row.label("label", len(labels)), path, start)

    def group_clips(self, lists: Lists) -> Iterator[tuple[str, Sequence[ListedClip]]]:
        """Groups the clips by a thousand soundscapes in path order, within a soundscape in the order of the lists."""
        clips: dict[str, list[ListedClip]] = {}
        for clip in lists.clips:
            clips.setdefault(clip.path, []).append(clip)
        paths = sorted(clips)
        for first in range(0, len(paths), SOUNDSCAPES_PER_UNIT):
            part = paths[first : first + SOUNDSCAPES_PER_UNIT]
            yield f"soundscapes {first} to {first + len(part) - 1}", [clip for path in part for clip in clips[path]]

    def check(self, length: int, rate: int) -> str | None:
        """Rejects other rates, where the positions of the lists would be wrong."""
        return None if rate == self.sample_rate else f"expected {self.sample_rate} Hz, found {rate} Hz; render it again"

    def folder(self, source: Path, name: str) -> str:
        """Maps `novel_val` to `val` if the soundscapes lie in the folder of the rendering script."""
        rendered = RENDERED.get(name)
        return rendered if rendered and not is_folder(source / name) else name
