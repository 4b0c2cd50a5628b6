"""Two small benchmarks for the audit: one with each defect once, one without defects."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from datasets.benchmark.clips import Clip
from datasets.benchmark.manifest import ClassEntry, Manifest, SourceEntry, SplitCounts
from datasets.benchmark.shard_writer import write_shard

RATE, SAMPLES = 8000, 800
NAMES = ("<b>$x$</b>", "b|*c*", "=1+1", "d\ne", "f" * 60, "g")
SPLITS = {"train": 8, "val": 2, "test": 4}


def clips_of(label: int, amplitude: float = 0.1) -> dict[str, Clip]:
    """Eight train, two val and four test clips of noise by split and number, each from a separate recording."""
    random = np.random.default_rng(label)
    clips = {}
    for split, count in SPLITS.items():
        for number in range(count):
            name = f"{split}-{number}"
            wave = random.uniform(-amplitude, amplitude, SAMPLES).astype(np.float32)
            clips[name] = Clip(f"{label}-{name}", split, label, NAMES[label], f"{label}/{name}.wav", 0, wave)
    return clips


def write(root: Path, classes: list[dict[str, Clip]]) -> Path:
    (root / "shards").mkdir(parents=True)
    parts = [[clip for clips in half for clip in clips.values()] for half in (classes[:3], classes[3:])]
    shards = [write_shard(root / f"shards/{i:05d}.parquet", part, RATE) for i, part in enumerate(parts)]
    counted = [[sum(clip.split == split for clip in clips.values()) for split in SPLITS] for clips in classes]
    Manifest(
        name="planted",
        corpus="test",
        settings={},
        sample_rate=RATE,
        num_samples=SAMPLES,
        classes=tuple(
            ClassEntry(label=i, name=NAMES[i], clips=SplitCounts(train=train, val=val, test=test))
            for i, (train, val, test) in enumerate(counted)
        ),
        base_classes=4,
        shards=tuple(shards),
        source=SourceEntry(fingerprint="-", files=84, rejected=0),
        versions={},
        created="2026-01-01T00:00:00Z",
    ).save(root)
    return root


def write_clean(root: Path, grouped: bool = True) -> Path:
    """Writes a benchmark without defects.

    Args:
        root: its folder.
        grouped: whether the recordings have groups, of which none is in two splits.
    """
    classes = [clips_of(label) for label in range(6)]
    if grouped:
        classes = [
            {name: replace(clip, group=f"{clip.label}/{clip.split}") for name, clip in clips.items()}
            for clips in classes
        ]
    return write(root, classes)


def write_planted(root: Path) -> Path:
    """Writes a benchmark with each defect once; `test_audit` lists the positions."""
    classes = [clips_of(label, 0.005 if label == 4 else 0.1) for label in range(6)]

    def copy(of: tuple[int, str], to: tuple[int, str]) -> None:
        classes[to[0]][to[1]] = replace(classes[to[0]][to[1]], samples=classes[of[0]][of[1]].samples)

    copy((0, "test-0"), (1, "test-0"))
    copy((0, "train-0"), (1, "val-1"))
    copy((2, "train-0"), (2, "test-3"))
    copy((3, "train-0"), (3, "train-1"))
    classes[2]["val-0"] = replace(classes[2]["val-0"], samples=classes[2]["train-5"].samples / 2)
    silent, clipped = classes[4]["test-1"], classes[5]["train-2"]
    classes[4]["test-1"] = replace(silent, samples=np.resize([1 / 32768, -1 / 32768], SAMPLES).astype(np.float32))
    loud = clipped.samples.copy()
    loud[100:104], loud[200], loud[799] = 1, 1, -1
    classes[5]["train-2"] = replace(clipped, samples=loud)
    for name in ("train-1", "test-0", "test-2"):
        classes[5][name] = replace(classes[5][name], source="5/shared.wav")
    for name in ("train-3", "train-4", "train-5"):
        del classes[3][name]
    return write(root, classes)
