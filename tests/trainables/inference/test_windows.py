"""Windows of a recording are equal to the clips that `prepare` cuts, for any length and sample rate."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.audio import recordings
from datasets.audio.loudness import normalise
from datasets.audio.recordings import RejectedError, decode_flac, encode_flac, read_recording
from datasets.audio.resampling import resample
from trainables.inference.windows import Recording, read

NOISE = (np.random.default_rng(0).standard_normal((30_000, 2)) * 0.1).astype(np.float32)


@pytest.mark.parametrize(
    ("length", "hop", "expected"),
    [
        (1, 5, [0]),
        (10, 5, [0]),
        (11, 5, [0, 1]),
        (15, 5, [0, 5]),
        (16, 5, [0, 5, 6]),
        (30, 5, [0, 5, 10, 15, 20]),
        (30, 20, [0, 20]),
    ],
)
def test_windows_cover_the_recording(length: int, hop: int, expected: list[int]) -> None:
    recording = Recording(np.arange(1, length + 1, dtype=np.float32) / 32768, 10, 1.0)
    starts = recording.starts(10, hop)
    assert starts.tolist() == expected
    windows = recording.windows(starts, 10) * 32768
    for start, window in zip(starts, windows, strict=True):
        count = min(10, length - start)
        assert window.tolist() == [*range(start + 1, start + count + 1), *[0] * (10 - count)]


@pytest.mark.parametrize("loudness", [False, True])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_a_window_equals_the_clip_of_a_benchmark(tmp_path: Path, rate: int, loudness: bool) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, NOISE, rate, subtype="FLOAT")
    samples = resample(*read_recording(path), 16_000)
    clip = (normalise(samples, 16_000) if loudness else samples)[2_000:4_000]
    (window,) = read(path, 16_000, loudness=loudness).windows(np.array([2_000]), 2_000)
    assert np.array_equal(window, decode_flac(encode_flac(clip, 16_000))[0])


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
def test_the_block_size_does_not_change_the_samples(tmp_path: Path, rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, NOISE, rate, subtype="FLOAT")
    whole = read(path, 16_000, loudness=False).samples[:]
    for block in (700, 2_048, 50_000):
        monkeypatch.setattr(recordings, "_BLOCK", block)
        parts = read(path, 16_000, loudness=False).samples[:]
        assert parts.shape == whole.shape == (-(-30_000 * 16_000 // rate),)
        np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_invalid_files_are_rejected(tmp_path: Path) -> None:
    broken = NOISE.copy()
    broken[29_999] = np.nan
    soundfile.write(tmp_path / "nan.wav", broken, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "cut.wav", NOISE, 16_000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:-1_000])
    (tmp_path / "link.wav").symlink_to("cut.wav")
    for name, reason in (
        ("nan.wav", "holds NaN"),
        ("cut.wav", "truncated"),
        ("link.wav", "truncated"),
        ("none.wav", "cannot be opened"),
        ("", "not a regular file"),
    ):
        with pytest.raises(RejectedError, match=reason):
            read(tmp_path / name, 16_000, loudness=False)
