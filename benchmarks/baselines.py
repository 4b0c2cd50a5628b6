"""What `orchestrator.prepare` is measured against: `python -m benchmarks.baselines NAME SOURCE OUT`.

Each cuts the speakers of SOURCE (LibriSpeech's layout) into clips of 2 s, all of them, without loudness normalisation.
"""

import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from datasets.corpora.corpus import Unit
from datasets.corpora.librispeech import LibriSpeech, LibriSpeechOptions
from datasets.utils.location import Location
from orchestrator.preparation.units import shard_name, unit_key, write_unit

RATE = 16_000
CLIP = 2 * RATE
OPTIONS = LibriSpeechOptions(split="cyclic", train=8, val=1, test=1, loudness=False)  # this rule drops no clip


def loop(source: Path, out: Path) -> None:
    """One process that decodes, cuts and writes every clip as a FLAC file."""
    for speaker in speakers(source):
        cut_speaker(out, speaker)


def pool(source: Path, out: Path) -> None:
    """The same loop, over speakers, in one process per core."""
    in_processes(partial(cut_speaker, out), speakers(source))


def released(source: Path, out: Path) -> None:
    """The way of the release: a growing array and a WAV file per speaker, read back and cut into WAV files."""
    for speaker in speakers(source):
        stream = np.zeros(0, np.float32)
        for path in utterances(speaker):
            stream = np.concatenate([stream, soundfile.read(path, dtype="float32")[0]])
        whole = out / f"{speaker.name}.wav"
        soundfile.write(whole, stream, RATE, subtype="PCM_16")
        stream = soundfile.read(whole, dtype="float32")[0]
        for number in range(len(stream) // CLIP):
            clip = stream[number * CLIP : (number + 1) * CLIP]
            soundfile.write(out / f"{speaker.name}_{number}.wav", clip, RATE, subtype="PCM_16")


def units(source: Path, out: Path) -> None:
    """Our own units of work, written as our shards, in one process per core, without Ray."""
    corpus = LibriSpeech()
    inventory = corpus.inventory(source, OPTIONS)
    files = {file.path: file for file in inventory.files}
    plan = corpus.plan(source, inventory, OPTIONS)
    identity = corpus.identity(OPTIONS)
    keys = [unit_key(corpus, identity, unit, [files[path] for path in unit.files]) for unit in plan.units]
    (out / "shards").mkdir()
    in_processes(partial(cut_unit, source, out), list(zip(range(len(keys)), plan.units, keys, strict=True)))


def speakers(source: Path) -> list[Path]:
    """The folders of the speakers, in sorted order."""
    return sorted(path for path in source.iterdir() if path.is_dir())


def utterances(speaker: Path) -> list[Path]:
    """A speaker's files, in sorted order."""
    return sorted(speaker.glob("*/*.flac"))


def cut_speaker(out: Path, speaker: Path) -> None:
    """Decodes a speaker's utterances one after another and writes the clips."""
    rest, number = np.zeros(0, np.float32), 0
    for path in utterances(speaker):
        stream = np.concatenate([rest, soundfile.read(path, dtype="float32")[0]])
        whole = len(stream) // CLIP * CLIP
        for clip in stream[:whole].reshape(-1, CLIP):
            soundfile.write(out / f"{speaker.name}_{number}.flac", clip, RATE, subtype="PCM_16")
            number += 1
        rest = stream[whole:]


def cut_unit(source: Path, out: Path, work: tuple[int, Unit, str]) -> None:
    """Writes the shard of a unit."""
    index, unit, key = work
    write_unit(LibriSpeech(), OPTIONS, source, unit, key, Location.of(out / shard_name(index)), RATE)


def in_processes(function: Callable[[Any], None], items: list[Any]) -> None:
    """Calls a function for every item, in one process per core."""
    with multiprocessing.Pool(os.cpu_count()) as workers:
        for _ in workers.imap_unordered(function, items):
            pass


BASELINES = {function.__name__: function for function in (loop, released, pool, units)}


def main() -> int:
    """`python -m benchmarks.baselines NAME SOURCE OUT`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baselines", description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=BASELINES)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir()
    BASELINES[options.name](options.source, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
