"""Files of which libsndfile reads a part alone: read whole, or rejected with the reason."""

import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.audio import ogg_pages
from datasets.audio.declared_sizes import size_problem
from datasets.audio.recordings import RejectedError, duration, read_recording, read_samples
from datasets.audio.streams import examine

RATE = 16_000


def tone(seconds: float, hertz: float) -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)


def encoded(path: Path, samples: np.ndarray, container: str, subtype: str, rate: int = RATE) -> bytes:
    soundfile.write(path, samples, rate, format=container, subtype=subtype)
    return path.read_bytes()


def reason(path: Path) -> str:
    with pytest.raises(RejectedError) as caught:
        read_recording(path)
    return str(caught.value)


def dominant(samples: np.ndarray) -> float:
    """The frequency with the most energy, in Hz."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples))


# --- joined files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("container", "subtype"), [("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")])
def test_joined_files_are_read_whole(tmp_path: Path, container: str, subtype: str) -> None:
    path = tmp_path / "a"
    parts = [
        encoded(path, tone(seconds, hertz), container, subtype) for seconds, hertz in ((2, 300), (3, 700), (1, 1500))
    ]
    path.write_bytes(b"".join(parts))
    samples, rate = read_recording(path)
    assert (len(samples), rate, duration(path)) == (6 * RATE, RATE, 6.0)
    for first, last, hertz in ((0, 2, 300), (2, 5, 700), (5, 6, 1500)):
        assert dominant(samples[first * RATE : last * RATE]) == pytest.approx(hertz, abs=1)
    path.write_bytes(b"".join(parts)[:-300])
    assert reason(path).startswith("truncated: the last ")


def test_joined_mp3_files_with_tags_between_them(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    part = encoded(path, tone(2, 300), "MP3", "MPEG_LAYER_III")
    id3v1 = b"TAG" + bytes(125)
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0) + bytes(8)
    id3v2 = b"ID3\x04\0\0" + bytes([0, 0, 0, 10]) + bytes(10)
    path.write_bytes(part + id3v1 + id3v2 + part + ape + id3v1)
    assert len(read_recording(path)[0]) == 4 * RATE


def test_frames_after_those_that_an_mp3_header_declares_are_read(tmp_path: Path, shared: Path) -> None:
    """A file without a Xing header that was appended to one with it, at the same rate."""
    published = sorted((shared / "corpora/philharmonia").glob("*/*.mp3"))[0]
    alone, rate = read_recording(published)
    path = tmp_path / "a.mp3"
    first = encoded(path, np.stack([tone(1, 300)] * 1, axis=1), "MP3", "MPEG_LAYER_III", rate)
    content = published.read_bytes()
    for joined in (first + content, content + first):
        path.write_bytes(joined)
        samples, _ = read_recording(path)
        assert len(samples) == pytest.approx(RATE + len(alone), abs=2 * 1152)


def test_files_of_different_rates_that_were_joined_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for container, subtype in (("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")):
        parts = [encoded(path, tone(1, 300), container, subtype, rate) for rate in (16_000, 22_050)]
        path.write_bytes(b"".join(parts))
        assert reason(path) == "joined from recordings of 16000 and 22050 Hz: split it again"


def test_published_recordings_are_one_stream(shared: Path) -> None:
    for pattern in ("philharmonia/*/*.mp3", "ravdess-16k/*/*/*.flac"):
        for path in sorted((shared / "corpora").glob(pattern))[::40]:
            contents = examine(path)
            assert contents.problem is None and [stream.open() for stream in contents.streams] == [str(path)]


# --- Ogg --------------------------------------------------------------------------------------------------


def checksum(page: bytes) -> int:
    """Of an Ogg page: polynomial 0x04c11db7 without reflection or inversion."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = ((crc << 1) ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_file_without_the_flag_that_ends_a_stream_is_complete(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "a.ogg"
    content = bytearray(encoded(path, tone(2, 300), "OGG", subtype))
    whole, _ = read_recording(path)
    last = content.rindex(b"OggS")
    assert content[last + 5] & 4
    content[last + 5] &= ~4
    content[last + 22 : last + 26] = bytes(4)
    content[last + 22 : last + 26] = struct.pack("<I", checksum(bytes(content[last:])))
    path.write_bytes(content)
    assert np.array_equal(read_recording(path)[0], whole)
    for end in (len(content) - 1, last + 20, last + 27):
        path.write_bytes(content[:end])
        assert reason(path) == "truncated: the last Ogg page is incomplete"


def test_an_ogg_file_that_ends_inside_a_packet_is_truncated(tmp_path: Path) -> None:
    """The segment table of a page tells whether its last packet continues in the next page."""
    page = struct.pack("<4sBBqIIIB", b"OggS", 0, 2, -1, 1, 0, 0, 2) + bytes([30, 255]) + bytes(285)
    (tmp_path / "a.ogg").write_bytes(page)
    assert (
        ogg_pages.read_pages(tmp_path / "a.ogg").problem == "truncated: the last Ogg packet continues on a missing page"
    )
    assert reason(tmp_path / "a.ogg").startswith("truncated")


# --- FLAC of unknown length -------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [64_000, 4096 * 3, 100, 300_000])
def test_a_streamed_flac_is_read_whole(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.flac"
    noise = 0.1 * np.random.default_rng(0).standard_normal(length)
    content = bytearray(encoded(path, noise, "FLAC", "PCM_16"))
    whole, _ = read_recording(path)
    content[21] &= 0xF0  # the last 36 bits of these are the number of samples: 0 if it is unknown
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert np.array_equal(read_recording(path)[0], whole)
    assert duration(path) == length / RATE
    path.write_bytes(content[:-5])
    assert reason(path) == "truncated: the last FLAC frame is incomplete"


# --- sizes in headers -------------------------------------------------------------------------------------


def wav(samples: bytes, declared: int, after: bytes = b"") -> bytes:
    head = b"RIFF" + struct.pack("<I", declared + 36 & 0xFFFFFFFF) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return head + b"data" + struct.pack("<I", declared & 0xFFFFFFFF) + samples + after


def sized(path: Path, container: str, declared_part: float) -> Path:
    """A file whose header declares a part of the samples that are there."""
    content = bytearray(encoded(path, tone(3, 440), container, "PCM_16"))
    samples = 3 * RATE * 2
    shape = {"AIFF": ">I", "AU": ">I", "RF64": "<Q", "WAV": "<I", "CAF": ">q", "W64": "<q"}[container]
    surplus = {"AIFF": 8, "CAF": 4, "W64": 24}.get(container, 0)  # the chunk also has one or two numbers
    place = content.index(struct.pack(shape, samples + surplus))
    content[place : place + struct.calcsize(shape)] = struct.pack(shape, int(samples * declared_part) + surplus)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU", "RF64", "CAF", "W64"])
def test_a_header_that_declares_less_than_there_is_is_rejected(tmp_path: Path, container: str) -> None:
    assert len(read_recording(sized(tmp_path / "a", container, 1))[0]) == 3 * RATE
    text = reason(sized(tmp_path / "a", container, 1 / 3))
    assert text.startswith("stale header: it declares 3200") and "the recorder did not finish it" in text


@pytest.mark.parametrize(("container", "head"), [("CAF", ">4sq"), ("W64", "<16sq")])
def test_chunks_of_64_bits_after_the_samples_are_no_samples(tmp_path: Path, container: str, head: str) -> None:
    path = tmp_path / "a"
    content = encoded(path, tone(1, 440), container, "PCM_16")
    for chunk, length in ((b"info", 6000), (b"free", 90_000)):
        content += struct.pack(head, chunk, length + (24 if container == "W64" else 0)) + bytes(length)
    path.write_bytes(content + bytes(50_000))
    assert size_problem(path, content[:12]) is None  # libsndfile itself does not skip these chunks of a W64


def test_a_size_that_wrapped_around_at_4_gib_is_rejected(tmp_path: Path) -> None:
    samples = np.rint(tone(1, 440) * 32767).astype("<i2").tobytes()
    with (tmp_path / "a.wav").open("wb") as file:
        file.write(wav(samples, (1 << 32) + len(samples)))
        file.truncate(44 + (1 << 32) + len(samples))  # a sparse file
    assert "its size wrapped around at 4 GiB" in reason(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "after",
    [
        b"\n",
        bytes(50_000),  # padding
        b"LIST" + struct.pack("<I", 5000) + bytes(5000),
        b"abcd" + struct.pack("<I", 5001) + bytes(5002) + b"id3 " + struct.pack("<I", 5000) + bytes(5000),
        b"bext" + struct.pack("<I", 90_000) + bytes(6000),  # damaged
        b"ID3\x03\0\0\0\0\0\x7f" + bytes(6000),
    ],
)
def test_what_may_follow_the_samples(tmp_path: Path, after: bytes) -> None:
    samples = np.rint(tone(1, 440) * 32767).astype("<i2").tobytes()
    (tmp_path / "a.wav").write_bytes(wav(samples, len(samples), after))
    assert len(read_recording(tmp_path / "a.wav")[0]) == RATE


# --- MPEG audio in a WAV container ------------------------------------------------------------------------


def mpeg_in_wav(path: Path, seconds: float) -> None:
    frames = encoded(path, tone(seconds, 440), "MP3", "MPEG_LAYER_III")
    head = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE, 8000, 1, 0, 12, 1, 2, 288, 1, 0)
    body = (
        b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"fact" + struct.pack("<II", 4, int(seconds * RATE) + 400)
    )
    body += b"data" + struct.pack("<I", len(frames)) + frames + bytes(len(frames) % 2)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def test_the_number_of_samples_of_an_mp3_in_a_wav_file_is_an_estimate(tmp_path: Path) -> None:
    mpeg_in_wav(tmp_path / "a.wav", 2)
    assert soundfile.info(tmp_path / "a.wav").subtype == "MPEG_LAYER_III"
    assert len(read_recording(tmp_path / "a.wav")[0]) == pytest.approx(2 * RATE, abs=2 * 1152)


def test_messages_of_the_decoder_do_not_reach_the_console(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A joined MP3 makes it write "Warning: Xing stream size off by more than 1%" when it is opened as one file."""
    part = encoded(tmp_path / "a.mp3", tone(2, 300), "MP3", "MPEG_LAYER_III")
    (tmp_path / "a.mp3").write_bytes(part + part)
    soundfile.read(tmp_path / "a.mp3")
    assert "Warning" in capfd.readouterr().err
    assert len(read_recording(tmp_path / "a.mp3")[0]) == 4 * RATE
    (tmp_path / "a.mp3").write_bytes(part[:1000] + bytes(400) + part[1400:])  # damaged
    with suppress(RejectedError):
        read_recording(tmp_path / "a.mp3")
    assert capfd.readouterr().err == ""


# --- floating-point samples -------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "subtype"), [(8, "FLOAT"), (16, "FLOAT"), (24, "DOUBLE"), (32, "DOUBLE")])
def test_floats_on_a_scale_of_integers(tmp_path: Path, bits: int, subtype: str) -> None:
    path, expected = tmp_path / "a.wav", np.concatenate([np.zeros(3 * RATE), tone(1, 440), np.zeros(3 * RATE)])
    soundfile.write(path, expected * 2 ** (bits - 1), RATE, subtype=subtype)
    text = reason(path)
    assert f"probably on the scale of {bits}-bit integers; divide them by {2 ** (bits - 1)} " in text
    assert f"up to {np.abs(expected).max() * 2 ** (bits - 1):g}" in text and "--float-scale auto" in text
    samples, _ = read_samples(path, None, float_scale="auto")
    np.testing.assert_allclose(samples[:], expected, atol=1e-6)


@pytest.mark.parametrize("peak", [0.5, 1, 4, 16])
def test_floats_above_full_scale_are_unchanged(tmp_path: Path, peak: float) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1, 440) / 0.4 * peak, RATE, subtype="FLOAT")
    for samples in (
        read_recording(tmp_path / "a.wav")[0],
        read_samples(tmp_path / "a.wav", None, float_scale="auto")[0],
    ):
        assert np.abs(samples[:]).max() == pytest.approx(peak, rel=1e-3)


def test_floats_on_no_scale_are_rejected(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1, 440) * 1e12, RATE, subtype="FLOAT")
    assert reason(tmp_path / "a.wav").endswith("expected full scale at 1: no scale of integers")


# --- long recordings --------------------------------------------------------------------------------------

_PEAK_OF_A_LONG_RECORDING = """
import resource, sys
from pathlib import Path
from datasets.corpora.corpus import Unit
from datasets.corpora.folder import Folder, FolderOptions
options = FolderOptions(loudness=True)
unit = Unit("a", (sys.argv[2],), {"label": 0, "class_name": "a", "splits": ["train"]})
def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
list(Folder().cut(Path(sys.argv[1]), Unit("b", ("short.flac",), dict(unit.details)), options))  # imports
before, clips = megabytes(), sum(1 for _ in Folder().cut(Path(sys.argv[1]), unit, options))
print(clips, megabytes() - before)
"""


def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path: Path) -> None:
    """Half an hour of 48 kHz, in a small FLAC file: 345 MB in float32."""
    for name, minutes in (("short.flac", 1), ("long.flac", 30)):
        with soundfile.SoundFile(tmp_path / name, "w", 48_000, 1, format="FLAC", subtype="PCM_16") as file:
            for _ in range(minutes):
                file.write(np.zeros(48_000 * 60, np.int16))
    command = [sys.executable, "-c", _PEAK_OF_A_LONG_RECORDING, str(tmp_path), "long.flac"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    clips, grown = map(int, done.stdout.split())
    assert clips == 900 and grown < 170


def test_a_limit_reads_no_further_than_it_must(tmp_path: Path) -> None:
    """The damage after the part that is needed is not reached."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(5_000_000)
    content = bytearray(encoded(tmp_path / "a.flac", noise, "FLAC", "PCM_16", 48_000))
    whole = read_samples(tmp_path / "a.flac", 16_000)[0]
    content[-100_000:-90_000] = bytes(10_000)
    (tmp_path / "a.flac").write_bytes(content)
    assert "decoding stops" in reason(tmp_path / "a.flac")
    samples, _ = read_samples(tmp_path / "a.flac", 16_000, limit=64_000)
    assert 64_000 <= len(samples) < 1_000_000
    assert np.array_equal(samples[:64_000], whole[:64_000])
