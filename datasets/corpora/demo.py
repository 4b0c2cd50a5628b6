"""The demo corpus: 25 synthesized sound sources, to try Earshot without downloading data.

`datasets.synthesis` renders each source `clips_per_class` times: harmonic instruments, voices, noise textures. The
files are ordinary recordings in the layout of the `folder` corpus, `class_name/000.wav`, 16 bit, mono. With five random
shots per class, a nearest-class-mean classifier on standardized MFCC statistics reaches about 56 % accuracy on all 25
classes (chance: 4 %), measured by `tests/datasets/corpora/test_demo.py`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import soundfile
from pydantic import Field

from datasets.benchmark.clips import Clip
from datasets.corpora.corpus import Corpus, CorpusOptions, Plan, Unit
from datasets.corpora.folder import Folder, FolderOptions
from datasets.corpora.inventory import Inventory, Rejection
from datasets.synthesis import SOURCES, render
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable

BASE_CLASSES = 5


class DemoOptions(CorpusOptions):
    """Options of the `demo` corpus."""

    clips_per_class: int = Field(40, ge=5, le=10000)
    """recordings per class: half for training, a fifth for validation, the others for testing"""
    seconds: float = Field(1.0, ge=0.25, le=30)
    """length of a recording; each recording is one clip"""
    sample_rate: int = Field(16000, ge=8000, le=48000)
    """of the recordings, in Hz"""
    seed: int = Field(0, ge=0, le=2**63 - 1)
    """random seed; a different seed renders different recordings of the same sources"""
    classes: int = Field(len(SOURCES), ge=BASE_CLASSES + 1, le=len(SOURCES))
    """number of classes; any number mixes instruments, voices and textures evenly"""

    @property
    def folder(self) -> FolderOptions:
        """Options with which the `folder` corpus cuts the recordings: one clip each."""
        return FolderOptions(
            sample_rate=self.sample_rate,
            clip_seconds=self.seconds,
            max_clips_per_file=1,
            train=0.5,
            val=0.2,
            test=0.3,
            split_seed=self.seed,
            group_from="none",
        )


class Demo(Corpus[DemoOptions]):
    """25 synthesized sources, one class each. `generate` writes the recordings, the `folder` corpus cuts them."""

    name = "demo"
    summary = "25 synthesized instruments, voices and noises, no download needed; a class is a source"
    version = 10 + Folder.version  # increase the first number with every change of `datasets.synthesis`
    options_type = DemoOptions
    generates = True

    def generate(self, target: Path, options: DemoOptions) -> None:
        """Writes the recordings into the empty folder `target`, as `class_name/000.wav`.

        Raises:
            EarshotError: a file cannot be written.
        """
        width = max(3, len(str(options.clips_per_class - 1)))  # sorted names are in numerical order
        seconds, rate = options.seconds, options.sample_rate
        for name in list(SOURCES)[: options.classes]:
            folder = target / name
            folder.mkdir()
            for clip in range(options.clips_per_class):
                path = folder / f"{clip:0{width}d}.wav"
                samples = render(name, clip, seed=options.seed, seconds=seconds, sample_rate=rate)
                try:
                    soundfile.write(path, samples, rate, format="WAV", subtype="PCM_16")
                except soundfile.SoundFileError as error:  # libsndfile reports a full disk this way
                    raise EarshotError(
                        f"{printable(str(path))}: cannot be written ({error}); free some space or choose another folder"
                    ) from error

    def plan(self, source: Path, inventory: Inventory, options: DemoOptions) -> Plan:
        """Returns the plan of the `folder` corpus, with five base classes."""
        plan = Folder().plan(source, inventory, options.folder)
        return replace(plan, base_classes=BASE_CLASSES if len(plan.classes) > BASE_CLASSES else None)

    def cut(self, source: Path, unit: Unit, options: DemoOptions) -> Iterator[Clip | Rejection]:
        """Yields one clip per file, in file order."""
        return Folder().cut(source, unit, options.folder)
