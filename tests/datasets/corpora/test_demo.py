"""The demo corpus: files, splits and difficulty."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from pydantic import ValidationError

from datasets.benchmark.clips import Clip
from datasets.corpora.demo import BASE_CLASSES, Demo, DemoOptions
from datasets.corpora.registry import find_corpus
from datasets.synthesis import SOURCES, render

REPOSITORY = Path(__file__).parents[3]
SMALL = DemoOptions(clips_per_class=5, seconds=0.25, sample_rate=8000, classes=6)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def generated(folder: Path, options: DemoOptions) -> Path:
    """Generates the recordings in a folder and returns it."""
    folder.mkdir(exist_ok=True)
    Demo().generate(folder, options)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo."""
    return generated(tmp_path_factory.mktemp("small"), SMALL)


def test_files_are_plain_recordings_in_class_folders(small: Path) -> None:
    names = list(SOURCES)[:6]
    assert set(contents(small)) == {f"{name}/{clip:03d}.wav" for name in names for clip in range(5)}
    info = soundfile.info(small / names[0] / "000.wav")
    described = (info.format, info.subtype, info.samplerate, info.channels, info.frames)
    assert described == ("WAV", "PCM_16", 8000, 1, 2000)
    samples, _ = soundfile.read(small / names[3] / "002.wav", dtype="int16")
    assert np.array_equal(samples, render(names[3], 2, seconds=0.25, sample_rate=8000))


def test_generation_is_deterministic_and_all_files_differ(small: Path, tmp_path: Path) -> None:
    assert contents(generated(tmp_path / "again", SMALL)) == contents(small)
    other = generated(tmp_path / "other", SMALL.model_copy(update={"seed": 1}))
    every = [*contents(small).values(), *contents(other).values()]
    assert len(set(every)) == len(every) == 60


def test_more_clips_and_classes_do_not_change_existing_files(small: Path, tmp_path: Path) -> None:
    larger = generated(tmp_path, SMALL.model_copy(update={"clips_per_class": 7, "classes": 8}))
    assert contents(small).items() < contents(larger).items()


def test_full_disk_error_names_the_file(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from datasets.corpora.demo import *; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); sys.tracebacklimit = 0; "
        f"Demo().generate(Path({str(tmp_path)!r}), DemoOptions())"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert process.returncode == 1
    assert f"EarshotError: {tmp_path / next(iter(SOURCES)) / '000.wav'}: cannot be written" in process.stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("clips_per_class", 4),
        ("seconds", 0.0),
        ("sample_rate", 100),
        ("seed", -1),
        ("classes", 26),
        ("classes", BASE_CLASSES),
        ("pitch", 440),
    ],
)
def test_options_are_validated(key: str, value: float) -> None:
    with pytest.raises(ValidationError, match=key):
        DemoOptions.model_validate({key: value})


def test_default_options() -> None:
    assert DemoOptions().model_dump() == {
        "clips_per_class": 40,
        "seconds": 1.0,
        "sample_rate": 16000,
        "seed": 0,
        "classes": 25,
    }


def test_minimum_number_of_clips_fills_every_split(small: Path) -> None:
    corpus = find_corpus("demo")
    plan = corpus.plan(small, corpus.inventory(small, SMALL), SMALL)
    assert plan.base_classes == 5 and plan.num_samples == 2000 and plan.sample_rate == 8000
    items = [item for unit in plan.units for item in corpus.cut(small, unit, SMALL)]
    clips = [item for item in items if isinstance(item, Clip)]
    assert len(clips) == len(items) == 30
    assert {clip.samples.shape for clip in clips} == {(2000,)}
    wanted = {"train": 3, "val": 1, "test": 1}
    counts = Counter((clip.label, clip.split) for clip in clips)
    assert counts == {(label, split): number for label in range(6) for split, number in wanted.items()}


@pytest.fixture(scope="module")
def default_clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """All clips of the default demo, cut like `prepare` does."""
    options, corpus = DemoOptions(), Demo()
    folder = generated(tmp_path_factory.mktemp("default"), options)
    plan = corpus.plan(folder, corpus.inventory(folder, options), options)
    assert plan.rejected == () and plan.ignored == 0 and plan.files == 1000
    clips = []
    for unit in plan.units:
        for item in corpus.cut(folder, unit, options):
            assert isinstance(item, Clip)
            clips.append(item)
    return clips


def test_default_demo_has_20_8_and_12_clips_per_class(default_clips: list[Clip]) -> None:
    counts = Counter((clip.class_name, clip.split) for clip in default_clips)
    assert counts == {
        (name, split): number for name in SOURCES for split, number in (("train", 20), ("val", 8), ("test", 12))
    }
    assert len({clip.clip_id for clip in default_clips}) == 1000
    assert all(0.09 < np.abs(clip.samples).max() < 0.9 for clip in default_clips)


def test_difficulty_of_the_demo(default_clips: list[Clip]) -> None:
    """Measured with the default seed: 56 % for five shots and class means, 74 % for the stronger learner."""
    samples = torch.from_numpy(np.stack([clip.samples for clip in default_clips]).astype(np.float32))
    spectra = {"n_fft": 512, "hop_length": 160, "n_mels": 64}
    frames = torchaudio.transforms.MFCC(16000, 20, melkwargs=spectra)(samples)
    features = torch.cat([frames.mean(-1), frames.std(-1)], 1).double().numpy()
    labels = np.array([clip.label for clip in default_clips])
    splits = np.array([clip.split for clip in default_clips])
    queries, truth = features[splits == "test"], labels[splits == "test"]
    train = np.stack([features[(labels == label) & (splits == "train")] for label in range(25)])

    rng = np.random.default_rng(0)
    plain = []
    for _ in range(10):
        support = np.stack([shots[rng.permutation(20)[:5]] for shots in train])  # [classes, shots, features]
        centre, spread = support.mean((0, 1)), support.std((0, 1))
        means = ((support - centre) / spread).mean(1)
        distances = (((queries - centre) / spread)[:, None] - means) ** 2
        plain.append(float((distances.sum(-1).argmin(1) == truth).mean()))
    assert 0.30 < np.mean(plain) < 0.80, plain

    # A learner that sees all train clips and knows how features vary together within a class (shrunk
    # Mahalanobis).
    means = train.mean(1)
    inner = (train - means[:, None]).reshape(-1, train.shape[-1])
    covariance = inner.T @ inner / len(inner)
    covariance += 0.05 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    apart = queries[:, None] - means
    distances = (apart @ np.linalg.inv(covariance) * apart).sum(-1)
    stronger = float((distances.argmin(1) == truth).mean())
    print(f"demo: nearest class mean {np.mean(plain):.3f}, stronger learner {stronger:.3f}")
    assert np.mean(plain) + 0.05 < stronger < 0.95
