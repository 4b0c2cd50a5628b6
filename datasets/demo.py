"""The demo corpus: 25 synthetic sources, made on the spot, to try everything without downloading anything.

`datasets.synthesis` plays each source `clips_per_class` times: harmonic instruments, voices, noise textures.
The files are ordinary recordings in the layout of the `folder` corpus, `class_name/000.wav`, 16 bit, mono.
Five random shots per class and the nearest class mean of standardised MFCC statistics get about 56 % of all
25 classes right (chance 4 %); `tests/datasets/test_demo.py` measures it.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from pydantic import Field

from datasets.corpus import Corpus, CorpusOptions, Plan, Unit
from datasets.errors import EarshotError
from datasets.files import write_atomically, written_aside
from datasets.folder import Folder, FolderOptions
from datasets.inventory import Inventory, Rejection
from datasets.shards import Clip
from datasets.synthesis import SOURCES, render

BASE_CLASSES = 5
_STAMP = ".demo.json"  # hidden, as the other corpora's notes are: it is no recording


class DemoOptions(CorpusOptions):
    """Options of the `demo` corpus."""

    clips_per_class: int = Field(40, ge=5, le=10000)
    """recordings per class: half of them train, a fifth val, the others test"""
    seconds: float = Field(1.0, ge=0.25, le=30)
    """length of a recording, which is one clip"""
    sample_rate: int = Field(16000, ge=8000, le=48000)
    """of the recordings, in Hz"""
    seed: int = Field(0, ge=0, le=2**63 - 1)
    """another seed plays the same sources again, otherwise"""
    classes: int = Field(len(SOURCES), ge=BASE_CLASSES + 1, le=len(SOURCES))
    """number of classes; fewer mix instruments, voices and textures as evenly"""

    @property
    def folder(self) -> FolderOptions:
        """How the `folder` corpus cuts the recordings: one clip each."""
        return FolderOptions(
            sample_rate=self.sample_rate,
            clip_seconds=self.seconds,
            max_clips_per_file=1,
            train=0.5,
            val=0.2,
            test=0.3,
            split_seed=self.seed,
        )


class Demo(Corpus[DemoOptions]):
    """25 synthetic sources; a class is a source. Made by `generate`, then cut as a folder of one's own."""

    name = "demo"
    summary = "25 synthetic instruments, voices and noises, made on the spot; a class is a source"
    version = 1  # to be raised with every change of `datasets.synthesis` that can be heard
    options_type = DemoOptions
    generates = True

    def generate(self, target: Path, options: DemoOptions) -> None:
        """See the function `generate`."""
        generate(target, options)

    def plan(self, source: Path, inventory: Inventory, options: DemoOptions) -> Plan:
        """The plan of the `folder` corpus, with five base classes."""
        plan = Folder().plan(source, inventory, options.folder)
        return replace(plan, base_classes=BASE_CLASSES if len(plan.classes) > BASE_CLASSES else None)

    def cut(self, source: Path, unit: Unit, options: DemoOptions) -> Iterator[Clip | Rejection]:
        """Clips in order of the files, one each."""
        return Folder().cut(source, unit, options.folder)


def generate(target: Path, options: DemoOptions) -> None:
    """Write the recordings into a folder; a generation that was killed is taken up where it stopped.

    Each file is written aside and renamed, so a file that is there is whole. `.demo.json` says with which
    options they were made.

    Args:
        target: Folder; empty, not there yet, or left by an earlier run with the same options.
        options: What to make.

    Raises:
        EarshotError: `target` holds something else.
    """
    _claim(target, options)
    width = max(3, len(str(options.clips_per_class - 1)))  # names sort in the order of the numbers
    for name in list(SOURCES)[: options.classes]:
        folder = target / name
        folder.mkdir(exist_ok=True)
        for clip in range(options.clips_per_class):
            path = folder / f"{clip:0{width}d}.wav"
            if not path.exists():
                samples = render(
                    name, clip, seed=options.seed, seconds=options.seconds, sample_rate=options.sample_rate
                )
                _write(path, samples, options.sample_rate)


def _claim(target: Path, options: DemoOptions) -> None:
    """Mark the folder as the demo's own, or see that it is, with these very options."""
    wanted = options.model_dump(include=set(DemoOptions.model_fields))
    stamp = target / _STAMP
    target.mkdir(parents=True, exist_ok=True)
    try:
        found = json.loads(stamp.read_text())
    except FileNotFoundError:
        found = None
    except (OSError, ValueError) as error:
        raise EarshotError(
            f"{stamp}: expected the options of the demo's recordings, found: {error}; delete {target}"
        ) from error
    if found == wanted:
        return
    if found is not None or any(not entry.name.startswith(".") for entry in target.iterdir()):
        what = "a demo with other options" if found is not None else "other files"
        raise EarshotError(
            f"{target}: expected an empty folder, found {what}; choose another folder or delete this one"
        )
    write_atomically(stamp, (json.dumps(wanted, indent=2) + "\n").encode())


def _write(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    with written_aside(path, flush=False) as aside:
        soundfile.write(aside, samples, sample_rate, format="WAV", subtype="PCM_16")
