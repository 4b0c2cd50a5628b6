"""Fingerprints of real recordings: copies are similar, different recordings are not."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.audio.recordings import read_recording
from datasets.benchmark.audit import SIMILAR
from datasets.benchmark.fingerprint import fingerprints, nearest

RATE, SAMPLES = 16000, 32000


@pytest.fixture(scope="module")
def recordings(shared: Path) -> np.ndarray:
    """Two takes of two sentences in each emotion by one actor: as similar as different recordings are."""
    paths = sorted((shared / "corpora" / "ravdess-16k" / "1").glob("*/*.flac"))
    return np.stack([read_recording(path)[0][: SAMPLES + 4000] for path in paths[:32]])


def encoded(audio: np.ndarray, file_format: str, **options: float) -> np.ndarray:
    copies = []
    for wave in audio:
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, RATE, format=file_format, **options)
        copies.append(soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float32")[0][: len(wave)])
    return np.stack(copies)


@pytest.mark.parametrize(
    "copy",
    [
        lambda audio: audio[:, :SAMPLES] / 8,
        lambda audio: audio[:, 320 : SAMPLES + 320],  # 20 ms later
        lambda audio: encoded(audio[:, :SAMPLES], "MP3", compression_level=0.9),
        lambda audio: encoded(audio[:, :SAMPLES], "OGG", compression_level=0.9),
        lambda audio: encoded(audio[:, :SAMPLES], "WAV", subtype="ULAW"),
    ],
    ids=["at another level", "shifted", "MP3", "Ogg", "mu-law"],
)
def test_a_copy_is_most_similar_to_its_original(
    recordings: np.ndarray, copy: Callable[[np.ndarray], np.ndarray]
) -> None:
    originals = fingerprints(recordings[:, :SAMPLES])
    rows, similarity = nearest(originals, fingerprints(np.asarray(copy(recordings), np.float32)))
    assert rows.tolist() == list(range(len(recordings))) and similarity.min() >= SIMILAR


def test_different_recordings_are_not_similar(recordings: np.ndarray) -> None:
    prints = fingerprints(recordings[:, :SAMPLES]).astype(np.float32)
    similarity = prints @ prints.T - 2 * np.eye(len(prints))
    assert similarity.max() < SIMILAR


def test_steady_noise_with_the_same_spectrum_is_not_similar() -> None:
    noise = np.cumsum(np.random.default_rng(0).normal(0, 0.01, (40, SAMPLES)), axis=1).astype(np.float32)
    prints = fingerprints(noise).astype(np.float32)
    assert (prints @ prints.T - 2 * np.eye(len(prints))).max() < 0.95


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    first, second = (random.normal(size=(count, 9)).astype(np.float16) for count in (25, 31))
    products = second.astype(np.float32) @ first.astype(np.float32).T
    for block in (4, 7, 100):
        monkeypatch.setattr("datasets.benchmark.fingerprint.BLOCK", block)
        rows, similarity = nearest(first, second)
        assert rows.tolist() == products.argmax(axis=1).tolist()
        np.testing.assert_allclose(similarity, products.max(axis=1), rtol=1e-6)


def test_silence_and_clips_of_a_few_samples_are_similar_to_nothing() -> None:
    assert not fingerprints(np.zeros((2, SAMPLES), np.float32)).any()
    assert fingerprints(np.ones((3, 100), np.float32)).shape == (3, 0)
    rows, similarity = nearest(np.zeros((2, 0), np.float16), np.zeros((3, 0), np.float16))
    assert rows.tolist() == [0, 0, 0] and not similarity.any()
