"""Formats that are read with ffmpeg: the same samples, every defect rejected, no other file, bounded."""

import errno
import os
import pickle
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from datasets.audio import ffmpeg
from datasets.audio.recordings import RejectedError, read_recording, read_samples, readable_suffixes
from datasets.utils.errors import EarshotError
from tests.support.encoded_files import encode
from trainables.inference.recording_files import recording_files
from trainables.inference.windows import read

RATE = 16_000
VIDEO = ("-f", "lavfi", "-i", "testsrc=duration=1:size=64x64:rate=5")


def tone(seconds: float = 1.0, channels: int = 1, rate: int = RATE) -> np.ndarray:
    """Whole 16-bit values, so that lossless formats keep them: [samples] or [samples, channels]."""
    time = np.arange(round(seconds * rate)) / rate
    waves = np.stack(
        [np.rint(8000 * np.sin(2 * np.pi * 440 * (1 + k) * time)) / 32768 for k in range(channels)], axis=1
    )
    return waves[:, 0] if channels == 1 else waves


@pytest.mark.parametrize("name", ["a.m4a", "-i.m4a", "a%03d.M4A", "http:ä b.m4a"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_lossless_file_has_the_samples_of_the_recording(name: str, channels: int, tmp_path: Path) -> None:
    wave = tone(2, channels)
    path = encode(wave, RATE, tmp_path / name, "-c:a", "alac")
    samples, rate = read_recording(path)
    expected = wave if channels == 1 else wave.mean(axis=1)
    assert rate == RATE and samples.dtype == np.float32
    np.testing.assert_array_equal(samples, expected.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "rate", "options"),
    [
        ("a.m4a", 44_100, ("-c:a", "aac")),
        ("a.webm", 48_000, ("-c:a", "libopus")),
        ("a.mp4", 44_100, (*VIDEO, "-c:v", "mpeg4", "-c:a", "aac")),
        ("a.mkv", 16_000, (*VIDEO, "-c:v", "mpeg4", "-c:a", "pcm_s16le")),
    ],
)
def test_the_sound_of_lossy_and_video_files(name: str, rate: int, options: tuple[str, ...], tmp_path: Path) -> None:
    samples, found = read_recording(encode(tone(rate=rate), rate, tmp_path / name, *options))
    assert found == rate and abs(len(samples) - rate) < 0.06 * rate
    spectrum = np.abs(np.fft.rfft(samples[: rate // 2]))
    assert abs(int(spectrum.argmax()) * 2 - 440) <= 4
    assert read(tmp_path / name, RATE, loudness=False).seconds == pytest.approx(1, abs=0.06)
    assert [file.path for file in recording_files([str(tmp_path)])] == [str(tmp_path / name)]


def test_a_recording_with_the_suffix_of_another_format(tmp_path: Path) -> None:
    encode(tone(), RATE, tmp_path / "a.flac").rename(tmp_path / "a.m4a")
    samples, rate = read_recording(tmp_path / "a.m4a")
    assert rate == RATE
    np.testing.assert_array_equal(samples, tone().astype(np.float32))


def test_truncated_damaged_and_silent_films_are_rejected(tmp_path: Path) -> None:
    whole = encode(tone(3), RATE, tmp_path / "a.webm", "-c:a", "libopus").read_bytes()
    start = encode(tone(3), RATE, tmp_path / "b.m4a", "-c:a", "aac", "-movflags", "+faststart").read_bytes()
    matroska = encode(tone(3), RATE, tmp_path / "c.mka", "-c:a", "libvorbis").read_bytes()
    stream = encode(tone(3), RATE, tmp_path / "d.mts", "-c:a", "aac", "-f", "mpegts").read_bytes()
    for name, content, reason in (
        ("c.webm", whole[: len(whole) // 2], ffmpeg.DAMAGED),
        ("d.m4a", start[: len(start) // 2], ffmpeg.DAMAGED),
        ("e.m4a", b"no audio at all " * 99, ffmpeg.DAMAGED),
        ("f.mp4", b"\0" * 64, ffmpeg.DAMAGED),
        ("g.mka", matroska[: len(matroska) // 3], ffmpeg.DAMAGED),  # of which ffmpeg says "Input/output error"
        ("orrupt.mp4", stream, ffmpeg.UNKNOWN),
        ("h.ape", b"MAC \xa0\x0f" + bytes(20), ffmpeg.UNKNOWN),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RejectedError) as error:
            read_recording(tmp_path / name)
        assert str(error.value) == f"not readable as audio ({reason})"  # stored, so no path and no text of ffmpeg
    film = encode(tone(), RATE, tmp_path / "g.mp4", *VIDEO, "-map", "1:v", "-c:v", "mpeg4")
    with pytest.raises(RejectedError, match=r"^not readable as audio \(no audio stream\)$"):
        read_recording(film)


def test_a_playlist_with_the_name_of_a_recording_leads_to_no_other_file(tmp_path: Path) -> None:
    other = encode(tone(), RATE, tmp_path / "other.m4a", "-c:a", "aac")
    lists = {
        "a.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{other}\n#EXT-X-ENDLIST\n",
        "b.m4a": f"ffconcat version 1.0\nfile {other.name}\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(RejectedError, match="not readable as audio"):
            read_recording(tmp_path / name)


def test_reading_only_the_start_leaves_no_process(tmp_path: Path) -> None:
    path = encode(tone(120), RATE, tmp_path / "a.mka", "-c:a", "pcm_s16le")
    before = children()
    samples, rate = read_samples(path, None, limit=100)
    assert 100 <= len(samples) < 120 * RATE and rate == RATE
    assert children() == before


def children() -> str:
    """The processes that this thread started and that are still there."""
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()


OUT_OF_MEMORY = """
try:
    bytearray(1 << 30)
except MemoryError:
    raise SystemExit("Cannot allocate memory")
"""


def program_of(tmp_path: Path, text: str) -> str:
    """A Python program in the place of ffmpeg."""
    script = tmp_path / "ffmpeg"
    script.write_text(f"#!{sys.executable} -S\n{text}\n")
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize(
    ("program", "bound", "reason"),
    [
        ("while True: pass", ("CPU_SECONDS", 1), "ffmpeg needs more than 1 s of processor time"),
        (OUT_OF_MEMORY, ("MEMORY_BYTES", 512 << 20), "ffmpeg needs more than 512 MiB of memory"),
        ("print('text', flush=True)", ("CPU_SECONDS", 60), "gave no samples"),
        ("print('text ' * 99, flush=True)", ("CPU_SECONDS", 60), "another format than asked for"),
    ],
)
def test_a_program_that_runs_away_is_ended(
    program: str, bound: tuple[str, float], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = program_of(tmp_path, program)
    monkeypatch.setattr(ffmpeg, "find_ffmpeg", lambda: script)
    monkeypatch.setattr(ffmpeg, *bound)
    (tmp_path / "a.m4a").write_bytes(b"x")
    before = children()
    with pytest.raises(RejectedError, match=rf"^not readable as audio \(.*({reason})"):
        read_recording(tmp_path / "a.m4a")
    assert children() == before


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import time; time.sleep(60)", "gave no samples for 2 s"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was ended by signal 9"),
        ("raise SystemExit(255)", "ended with exit status 255"),
        (
            "import sys; print('lib.so: cannot open shared object file', file=sys.stderr); sys.exit(127)",
            "ended with exit status 127: lib.so: cannot open shared object file",
        ),
        ("raise SystemExit('Unrecognized option format_whitelist')", "failed: Unrecognized option format_whitelist"),
    ],
)
def test_a_program_that_fails_is_no_reason_to_reject_a_file(
    program: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = program_of(tmp_path, program)
    monkeypatch.setattr(ffmpeg, "find_ffmpeg", lambda: script)
    monkeypatch.setattr(ffmpeg, "STALL_SECONDS", 2)
    (tmp_path / "a.m4a").write_bytes(b"x")
    before = children()
    with pytest.raises(ffmpeg.FfmpegFailedError) as error:
        read_recording(tmp_path / "a.m4a")
    assert str(error.value) == str(pickle.loads(pickle.dumps(error.value))) == f"{tmp_path / 'a.m4a'}: ffmpeg {reason}"
    assert children() == before


@pytest.mark.skipif(ffmpeg.find_ffmpeg() is None, reason="needs ffmpeg: pip install 'earshot[ffmpeg]'")
def test_a_failing_disk_is_no_reason_to_reject_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.m4a").symlink_to("/proc/self/mem")  # opens, but its start cannot be read
    with pytest.raises(OSError, match=r"a\.m4a: Input/output error") as error:
        read_recording(tmp_path / "a.m4a")
    assert error.value.errno == errno.EIO


def test_nothing_is_decoded_without_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*arguments: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    script = program_of(tmp_path, "import time; time.sleep(60)")
    monkeypatch.setattr(ffmpeg, "find_ffmpeg", lambda: script)
    monkeypatch.setattr(ffmpeg.resource, "prlimit", denied)
    (tmp_path / "a.m4a").write_bytes(b"x")
    before = children()
    with pytest.raises(OSError, match="the bounds of ffmpeg cannot be set"):
        read_recording(tmp_path / "a.m4a")
    assert children() == before


def test_a_program_is_started_once_before_it_is_used(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = program_of(tmp_path, f"import sys; open({str(log)!r}, 'a').write(sys.argv[1]); sys.exit('no library')")
    for _ in range(2):  # a failure is not remembered
        with pytest.raises(EarshotError, match=r"ffmpeg: expected ffmpeg to run with -version, found: no library"):
            ffmpeg.check_program(script)
    program_of(tmp_path, f"import sys; open({str(log)!r}, 'a').write(sys.argv[1])")
    ffmpeg.check_program(script)
    ffmpeg.check_program(script)
    assert log.read_text() == "-version" * 3
    with pytest.raises(EarshotError, match="No such file"):
        ffmpeg.check_program(str(tmp_path / "none"))


def test_without_the_program_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "find_ffmpeg", lambda: None)
    (tmp_path / "a.m4a").write_bytes(b"x")
    with pytest.raises(
        ffmpeg.FfmpegFailedError,
        match=r"a\.m4a: needs ffmpeg, which was not found: pip install 'earshot\[ffmpeg\]', or",
    ):
        read_recording(tmp_path / "a.m4a")


def test_what_libsndfile_reads_is_not_given_to_ffmpeg() -> None:
    assert not ffmpeg.SUFFIXES & readable_suffixes()
    assert ffmpeg.needs_ffmpeg("a/B.M4A") and not ffmpeg.needs_ffmpeg("a.m4a/b.wav")
    assert not any(map(ffmpeg.needs_ffmpeg, ("a.mpg", "a.mpeg", "a.mts", "a.m2ts")))  # cut off without an error
    program = ffmpeg.find_ffmpeg()
    assert program is None or os.access(program, os.X_OK)
