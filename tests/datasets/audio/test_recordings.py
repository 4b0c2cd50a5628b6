import errno
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.audio.recordings import (
    RejectedError,
    checked_path,
    decode_flac,
    encode_flac,
    read_recording,
    readable_suffixes,
)

RATE = 44100
NOISE = (np.random.default_rng(0).standard_normal(RATE) * 0.1).astype(np.float32)

FORMATS = [
    ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "PCM_24"), ("WAVEX", "PCM_16"), ("RF64", "PCM_16"),
    ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16"), ("W64", "PCM_16"), ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("NIST", "PCM_16"), ("SVX", "PCM_16"),
]  # fmt: skip


def write(path: Path, container: str, subtype: str) -> Path:
    soundfile.write(path, NOISE, 48000 if subtype == "OPUS" else RATE, format=container, subtype=subtype)
    return path


def reason(path: Path, **arguments: float) -> str:
    with pytest.raises(RejectedError) as caught:
        read_recording(path, **arguments)
    return str(caught.value)


@pytest.mark.parametrize(("container", "subtype"), FORMATS)
def test_complete_recordings_are_read(tmp_path: Path, container: str, subtype: str) -> None:
    samples, rate = read_recording(write(tmp_path / "a", container, subtype))
    assert samples.dtype == np.float32 and samples.shape == (RATE,)
    assert rate == (48000 if subtype == "OPUS" else RATE)
    lossy = subtype in ("VORBIS", "OPUS", "MPEG_LAYER_III")
    assert np.abs(samples - NOISE).max() < (0.5 if lossy else 1e-4)


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize(("container", "subtype"), FORMATS)
def test_truncated_recordings_are_rejected(tmp_path: Path, container: str, subtype: str, where: float) -> None:
    path = write(tmp_path / "a", container, subtype)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * where)])
    text = reason(path)
    assert "truncated" in text or "not readable" in text
    assert "\n" not in text


def test_a_flac_truncated_between_two_frames_is_rejected(tmp_path: Path) -> None:
    """No cut point of a small file gives a shortened recording."""
    path = tmp_path / "a.flac"
    soundfile.write(path, NOISE[:12000], RATE, subtype="PCM_16")
    content = path.read_bytes()
    for end in range(1, len(content), 97):
        path.write_bytes(content[:end])
        assert reason(path)


def test_an_mp3_truncated_between_two_frames_has_fewer_frames_than_its_header_declares(tmp_path: Path) -> None:
    content = write(tmp_path / "a.mp3", "MP3", "MPEG_LAYER_III").read_bytes()
    assert b"Xing" in content[:200] or b"Info" in content[:200]
    sync = content[:2]
    last_but_one = content.rindex(sync, 0, content.rindex(sync))
    (tmp_path / "a.mp3").write_bytes(content[:last_but_one])
    assert "MPEG frames, " in reason(tmp_path / "a.mp3")


def test_published_mp3_without_such_a_header_truncated_inside_a_frame(tmp_path: Path, shared: Path) -> None:
    for source in sorted((shared / "corpora/philharmonia").glob("*/*.mp3"))[::60]:
        assert len(read_recording(source)[0]) > 1000
        (tmp_path / "cut.mp3").write_bytes(source.read_bytes()[:-100])  # a frame has 261 bytes or more
        assert reason(tmp_path / "cut.mp3") == "truncated: the last MPEG frame is incomplete"


def test_wav_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    """As ffmpeg and sox write to a pipe: all bits of the sizes are set."""
    path = write(tmp_path / "a.wav", "WAV", "PCM_16")
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", 0xFFFFFFFF)
    assert content[36:40] == b"data"
    path.write_bytes(content)
    assert len(read_recording(path)[0]) == RATE


def test_wav_with_a_truncated_chunk_after_its_samples_is_complete(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", "WAV", "PCM_16")
    path.write_bytes(path.read_bytes() + b"LIST\xff\x00\x00\x00INFO")
    assert len(read_recording(path)[0]) == RATE


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_must_be_finite(tmp_path: Path, value: float) -> None:
    samples = NOISE.copy()
    samples[77] = value
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    assert reason(tmp_path / "a.wav") == "holds NaN or infinite samples"


def test_empty_short_and_foreign_files_are_rejected(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", NOISE[:0], RATE)
    soundfile.write(tmp_path / "short.wav", NOISE[:441], RATE)
    (tmp_path / "text.flac").write_text("this is no audio\n" * 100)
    (tmp_path / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(3000))
    assert reason(tmp_path / "none.wav") == "no samples"
    assert reason(tmp_path / "short.wav", min_seconds=0.1) == "too short: 0.010 s, at least 0.1 s needed"
    assert len(read_recording(tmp_path / "short.wav", min_seconds=0.01)[0]) == 441
    assert reason(tmp_path / "text.flac").startswith("not readable as audio (")
    assert reason(tmp_path / "noise.mp3").startswith("not readable as audio (")
    assert reason(tmp_path / "absent.wav") == "not readable as audio (No such file or directory)"


@pytest.mark.parametrize("rate", [1, 999, 1_000_000])
def test_impossible_sample_rates_are_rejected(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", NOISE, rate)
    assert reason(tmp_path / "a.wav").startswith(f"sample rate {rate} Hz is outside")


def test_channels_are_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([NOISE, -NOISE, NOISE], axis=1), RATE, subtype="FLOAT")
    assert read_recording(tmp_path / "a.wav")[0] == pytest.approx(NOISE / 3, abs=1e-7)


def test_paths_are_checked_before_anything_is_opened(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.wav").write_bytes(b"x")
    (root / "empty.wav").touch()
    (root / "folder.wav").mkdir()
    os.mkfifo(root / "pipe.wav")
    (root / "inside.wav").write_bytes(b"x")
    (root / "good.wav").symlink_to("inside.wav")
    (root / "out.wav").symlink_to("../outside.wav")
    (root / "dangling.wav").symlink_to("nowhere.wav")
    (root / "loop.wav").symlink_to("loop.wav")
    assert checked_path(root, "good.wav") == root / "good.wav"
    for name, text in {
        "empty.wav": "zero bytes",
        "folder.wav": "not a regular file",
        "pipe.wav": "not a regular file",
        "out.wav": "symbolic link leads outside",
        "../outside.wav": "symbolic link leads outside",
        "dangling.wav": "cannot be opened",
        "loop.wav": "cannot be opened",
        os.fsdecode(b"bad\xff.wav"): "file name is not UTF-8",
    }.items():
        with pytest.raises(RejectedError, match=text):
            checked_path(root, name)


def test_flac_rounds_to_nearest_and_clips() -> None:
    samples = np.array([0, 1.4 / 32768, 1.6 / 32768, -1.6 / 32768, 2.5 / 32768, 1.0, 1.5, -1.0, -1.5], np.float32)
    decoded, rate = decode_flac(encode_flac(samples, 16000))
    assert (decoded * 32768).tolist() == [0, 1, 2, -2, 2, 32767, 32767, -32768, -32768]
    assert rate == 16000
    assert encode_flac(samples, 16000) == encode_flac(samples, 16000)
    again, _ = decode_flac(encode_flac(decoded, 16000))
    assert np.array_equal(again, decoded)


def test_damaged_flac_raises_a_value_error() -> None:
    content = encode_flac(NOISE, RATE)
    for bad in (b"", content[:100], content[: len(content) // 2], b"x" * 1000):
        with pytest.raises(ValueError, match=r"FLAC|samples"):
            decode_flac(bad)


def test_readable_suffixes_are_those_of_audio_files() -> None:
    assert {".wav", ".flac", ".mp3", ".ogg", ".opus", ".aif", ".aiff"} <= readable_suffixes()
    assert not {".raw", ".txt", ".json", ".csv", ".png"} & readable_suffixes()


def test_no_published_mp3_is_rejected(shared: Path) -> None:
    recordings = sorted((shared / "corpora/philharmonia").glob("*/*.mp3"))
    assert len(recordings) == 900
    for recording in recordings:
        read_recording(recording)


@pytest.mark.parametrize(("number", "temporary"), [(errno.EIO, True), (errno.ESTALE, True), (errno.EACCES, False)])
def test_temporary_errors_of_the_disk_do_not_reject_the_file(
    number: int, temporary: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a temporary error would remain in a finished shard as a rejection."""

    def fail(path: Path) -> str:
        raise OSError(number, "broken")

    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    monkeypatch.setattr("datasets.audio.recordings.examine", fail)
    with pytest.raises(OSError if temporary else RejectedError):
        read_recording(tmp_path / "a.wav")
