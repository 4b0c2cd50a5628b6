"""Benchmarks with the numbers of classes of published ones, and few short clips."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.benchmark.clips import Clip
from datasets.benchmark.manifest import ClassEntry, Manifest, SourceEntry, SplitCounts
from datasets.benchmark.shard_writer import write_shard

SPLIT = ("train",) * 5 + ("val", "test")
"""The splits of the clips of a class."""


def write_benchmark(
    root: Path, classes: int, base: int, rate: int, seconds: float = 0.1, names: Sequence[str] = ()
) -> Path:
    """A benchmark of short noises at one sample rate; the names of the classes are their labels, if none are given."""
    (root / "shards").mkdir(parents=True)
    random, samples = np.random.default_rng(classes + base), round(seconds * rate)
    names = names or [str(label) for label in range(classes)]
    clips = [
        Clip(f"{c:03d}-{i}", split, c, names[c], "a.wav", 0, (0.05 * random.standard_normal(samples)).astype("f"))
        for c in range(classes)
        for i, split in enumerate(SPLIT)
    ]
    counts = SplitCounts(train=5, val=1, test=1)
    Manifest(
        name=root.name, corpus="test", settings={}, sample_rate=rate, num_samples=samples, base_classes=base,
        classes=tuple(ClassEntry(label=c, name=names[c], clips=counts) for c in range(classes)),
        shards=(write_shard(root / "shards/00000.parquet", clips, rate),),
        source=SourceEntry(fingerprint="-", files=1, rejected=0), versions={}, created="2026-01-01T00:00:00Z",
    ).save(root)  # fmt: skip
    return root
