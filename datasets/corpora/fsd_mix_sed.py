"""FSC-89: one-second cuts of mixed soundscapes; a class is a kind of sound event.

FSD-MIX-SED (Wang, Bryan, Salamon, Cartwright, Bello: "Who calls the shots? Rethinking few-shot learning for audio",
WASPAA 2021, https://zenodo.org/record/5574135) is 281,039 soundscapes of 10 s at 44.1 kHz, each of 1 to 5 events of
FSD50K over Brownian noise. They are published as JAMS annotations and source material, and rendered with `scaper`
(https://github.com/wangyu/rethink-audio-fsl). A second around each event is a clip of FSD-MIX-CLIPS.

FSC-89 (Xie et al. 2023, https://github.com/chester-w-xie/FCAC_datasets) is a choice of clips with one label, published
as lists; `--meta` names their folder:

    META/Fsc89-setup1-fsci_train.csv, ..._val.csv, ..._test.csv   data_folder, FSD_MIX_SED_filename, start_time, label
    SOURCE/{data_folder}/{FSD_MIX_SED_filename}                   SOURCE/base/train/soundscape_66976.wav, ...

A clip is the 44100 samples of the soundscape from `int(start_time * 44100)`, in float64 as the release computes it: no
file of cuts is needed beside the soundscapes. The folders that the lists call `novel_val` and `novel_test` are rendered
as `val` and `test`; both names are found.

Labels 0 to 58 are base classes, 59 to 88 novel ones. A base class has 800 train, 200 val and 200 test clips (setup 2:
5000, 800, 200), a novel class 500, none and 200.

The lists of setup 1 leak: no row is there twice, but 2,643 of the 15,511 test soundscapes, all of novel classes, also
supply train clips: other seconds of the same mixture. This is how the benchmark is defined, so it is kept; `listing`
tells the soundscape of every clip.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import field_validator

from datasets.audio.recordings import RejectedError
from datasets.benchmark.manifest import SPLITS
from datasets.corpora.corpus import CorpusOptions
from datasets.corpora.list_files import Row, digest, relative_path
from datasets.corpora.listed_clips import ListedClip, Lists, NamedFiles, clip_id, is_folder

SOUNDSCAPES_PER_UNIT = 1000
RENDERED = {"novel_val": "val", "novel_test": "test"}
"""Where the rendering script puts the soundscapes of these folders of the lists."""


class FSC89Options(CorpusOptions):
    """Options of the `fsc89` corpus."""

    meta: Path
    """folder of the published lists: Fsc89-setup1-fsci_train.csv, _val.csv and _test.csv"""
    vocabulary: Path
    """JSON list of the 89 class names, by label"""
    setup: Literal[1, 2] = 1
    """which of the two published choices of clips; 2 has more train and validation clips of base classes"""

    @field_validator("setup", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        return int(value) if value in ("1", "2") else value


class FSC89(NamedFiles[FSC89Options]):
    """Cuts of soundscapes; a unit of work is a thousand soundscapes with all their cuts."""

    name = "fsc89"
    summary = "FSC-89: sound events of 89 classes (59 base, 30 novel), 1 s at 44.1 kHz, from the published lists"
    options_type = FSC89Options
    number_of_classes = 89
    novel_classes = 30
    sample_rate = 44_100
    num_samples = 44_100
    columns = ("data_folder", "FSD_MIX_SED_filename", "start_time", "label")
    once = False
    layout = "soundscapes in the folders that the lists name: base/train/soundscape_0.wav, ..."

    def identity(self, options: FSC89Options) -> dict[str, Any]:
        """`meta` is the SHA-256 of the train, val and test lists one after another, `vocabulary` that of the file."""
        return {
            "meta": digest([self.table(split, options) for split in SPLITS]),
            "vocabulary": digest([options.vocabulary]),
            "setup": options.setup,
        }

    def table(self, split: str, options: FSC89Options) -> Path:
        """`META/Fsc89-setup{setup}-fsci_{split}.csv`."""
        return options.meta / f"Fsc89-setup{options.setup}-fsci_{split}.csv"

    def vocabulary(self, options: FSC89Options) -> Path:
        """The file that the option names."""
        return options.vocabulary

    def listed(self, row: Row, split: str, labels: Mapping[str, int]) -> ListedClip:
        """A second of a soundscape."""
        path = relative_path(f"{row.cells['data_folder']}/{row.cells['FSD_MIX_SED_filename']}", row)
        start = int(row.seconds("start_time") * 44100)
        hint = f"{path.removesuffix('.wav')}-{start}"
        return ListedClip(clip_id(split, row, hint), split, row.label("label", len(labels)), path, start)

    def groups(self, lists: Lists) -> Iterator[tuple[str, Sequence[ListedClip]]]:
        """By soundscape in path order, a thousand at a time; of a soundscape in the order of the lists."""
        cuts: dict[str, list[ListedClip]] = {}
        for clip in lists.clips:
            cuts.setdefault(clip.path, []).append(clip)
        paths = sorted(cuts)
        for first in range(0, len(paths), SOUNDSCAPES_PER_UNIT):
            part = paths[first : first + SOUNDSCAPES_PER_UNIT]
            yield f"soundscapes {first} to {first + len(part) - 1}", [clip for path in part for clip in cuts[path]]

    def fitting(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """The soundscape as it is; at another rate the positions of the lists would mean other sounds."""
        if rate != self.sample_rate:
            raise RejectedError(f"expected {self.sample_rate} Hz, found {rate} Hz; render it again")
        return samples

    def folder(self, source: Path, name: str) -> str:
        """`novel_val` or, as rendered, `val`."""
        rendered = RENDERED.get(name)
        return rendered if rendered and not is_folder(source / name) else name
