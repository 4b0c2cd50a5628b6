"""Fixtures of all tests: the shared material, a small benchmark of tones, and a temporary folder for Ray."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from datasets.benchmark.clips import Clip
from datasets.benchmark.manifest import ClassEntry, Manifest, SourceEntry, SplitCounts
from datasets.benchmark.shard_writer import write_shard

# A property test must not fail because the machine is busy.
settings.register_profile("earshot", deadline=None)
settings.load_profile("earshot")

# Short, because the paths of Ray's sockets are limited to 107 bytes; set before any test imports Ray.
RAY_FOLDER = tempfile.mkdtemp(prefix="earshot-")
os.environ["EARSHOT_RAY_TMP"] = RAY_FOLDER

RATE = 16_000


@pytest.fixture(scope="session", autouse=True)
def _ray_folder() -> Iterator[None]:
    yield
    shutil.rmtree(RAY_FOLDER, ignore_errors=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared recordings, split files and golden tensors."""
    folder = Path(os.environ.get("EARSHOT_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"needs the shared material: no folder {folder}; set EARSHOT_SHARED")
    return folder


@pytest.fixture(scope="session")
def golden(shared: Path) -> dict[str, np.ndarray]:
    """Inputs and outputs of the released EDE code."""
    with np.load(shared / "golden" / "reference.npz") as tensors:
        return dict(tensors)


@pytest.fixture(scope="session")
def golden_ast(shared: Path) -> str:
    """Path of the small AST that computed the golden tensors."""
    return str(shared / "golden" / "ast-tiny-original.safetensors")


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of 6 classes x (8 train, 3 val, 4 test) harmonic tones of 0.4 s at 16 kHz, in noise."""
    root = tmp_path_factory.mktemp("tones")
    (root / "shards").mkdir()
    return write_tones(root)


def write_tones(root: Path) -> Path:
    """Writes the benchmark of tones to `root`, which contains an empty folder `shards`."""
    samples, shards, classes = 6_400, [], []
    time = np.arange(samples) / RATE
    for label in range(6):
        random = np.random.default_rng(label)
        clips = []
        for index in range(15):
            pitch = random.uniform(150, 400)
            partials = sum(
                np.sin(2 * np.pi * pitch * k * time + random.uniform(0, 6)) / k ** (0.4 + 0.4 * label)
                for k in range(1, 12)
            )
            wave = 0.1 * partials + 0.01 * random.standard_normal(samples)
            split = "train" if index < 8 else "val" if index < 11 else "test"
            clips.append(
                Clip(
                    f"{label}-{index:02d}",
                    split,
                    label,
                    f"tone {label}",
                    f"{label}.wav",
                    0,
                    wave.astype(np.float32),
                )
            )
        shards.append(write_shard(root / "shards" / f"{label:05d}.parquet", clips, RATE))
        classes.append(ClassEntry(label=label, name=f"tone {label}", clips=SplitCounts(train=8, val=3, test=4)))
    Manifest(
        name="tones",
        corpus="test",
        settings={},
        sample_rate=RATE,
        num_samples=samples,
        classes=tuple(classes),
        base_classes=2,
        shards=tuple(shards),
        source=SourceEntry(fingerprint="-", files=6, rejected=0),
        versions={},
        created="2026-01-01T00:00:00Z",
    ).save(root)
    return root
