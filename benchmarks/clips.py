"""Writes a synthetic benchmark of tones of any size, to measure chains with."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from datasets.benchmark.clips import Clip
from datasets.benchmark.manifest import ClassEntry, Manifest, SourceEntry, SplitCounts
from datasets.benchmark.shard_writer import write_shard
from datasets.utils.files import TEMPORARY_SUFFIX

RATE = 16_000

_PARTIALS = 8


def write_clips(folder: Path, classes: int, clips: SplitCounts, seconds: float = 2.0) -> None:
    """Writes the benchmark with one shard per class, unless the folder exists.

    Args:
        folder: created atomically.
        classes: number of classes.
        clips: number of clips of each class.
        seconds: length of a clip; 2 s are 230 tokens of an AST.
    """
    if folder.exists():
        return
    temporary = folder.with_name(f".{folder.name}{TEMPORARY_SUFFIX}")
    shutil.rmtree(temporary, ignore_errors=True)
    (temporary / "shards").mkdir(parents=True)
    num_samples = round(seconds * RATE)
    entries = [
        write_shard(temporary / "shards" / f"{label:05d}.parquet", _clips(label, clips, num_samples), RATE)
        for label in range(classes)
    ]
    Manifest(
        name=folder.name,
        corpus="tones",
        settings={},
        sample_rate=RATE,
        num_samples=num_samples,
        classes=tuple(ClassEntry(label=label, name=f"tone {label}", clips=clips) for label in range(classes)),
        shards=tuple(entries),
        source=SourceEntry(fingerprint="-", files=classes, rejected=0),
        versions={},
        created="2026-01-01T00:00:00Z",
    ).save(temporary)
    temporary.rename(folder)


def _clips(label: int, counts: SplitCounts, num_samples: int) -> Iterator[Clip]:
    """Harmonic tones in noise: each class has its own partial strengths, each clip its pitch and phases."""
    strengths = np.random.default_rng([1, label]).dirichlet(np.ones(_PARTIALS))
    time = np.arange(num_samples, dtype=np.float32) / RATE
    splits = [split for split, count in counts.model_dump().items() for _ in range(count)]
    for index, split in enumerate(splits):
        random = np.random.default_rng([2, label, index])
        pitch, phases = random.uniform(150, 500), random.uniform(0, 2 * np.pi, _PARTIALS)
        wave = 0.02 * random.standard_normal(len(time), np.float32)
        for partial, (strength, phase) in enumerate(zip(strengths, phases, strict=True), start=1):
            wave += 0.3 * strength * np.sin(np.float32(2 * np.pi * pitch * partial) * time + np.float32(phase))
        yield Clip(f"{label:04d}-{index:06d}", split, label, f"tone {label}", f"{label}.wav", 0, wave)
