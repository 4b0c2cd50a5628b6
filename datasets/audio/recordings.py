"""Reads recordings with libsndfile (some formats with ffmpeg), and encodes clips as 16-bit FLAC.

A recording is read as mono (the mean of its channels) float32 in [-1, 1] at its own sample rate. Damaged and
unsupported files raise `RejectedError` with a reason instead of giving silence or a shortened recording; the caller
continues with the next file.

The messages of `RejectedError` are stored in the metadata of shards, and so are part of a benchmark's fingerprint.
"""

import errno
import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from datasets.audio.declared_sizes import logged_truncation
from datasets.audio.decoder_messages import silent_decoder
from datasets.audio.ffmpeg import FfmpegError, ffmpeg_blocks, needs_ffmpeg
from datasets.audio.resampling import resample_blocks
from datasets.audio.samples import Samples
from datasets.audio.streams import Stream, examine

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Sample rates (Hz) outside this range are header errors."""

FloatScale = Literal["reject", "auto"]

MAX_FLOAT_PEAK = 16.0
"""Largest floating-point sample that is taken for one on a full scale of 1: 24 dB above it."""

MAX_SAMPLES = 2**30
"""Longest recording that is read, in samples: 6.7 hours at 44.1 kHz."""

_PERMANENT = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
"""File system errors that are due to the file itself; others may be temporary."""

_UNKNOWN_FRAMES = 2**62  # libsndfile's number of frames of a stream without a length is 2^63 - 1

_BLOCK = 1 << 20  # values decoded at a time, so that a wrong header cannot cause a huge allocation


class RejectedError(Exception):
    """A recording is unusable; the message is a short reason without the file name."""


def readable_suffixes() -> frozenset[str]:
    """Suffixes (lower case, with the dot) of the formats that the installed libsndfile reads."""
    known = {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"}
    return frozenset(known | {".aif", ".aifc", ".oga", ".opus", ".snd"})


def checked_path(root: Path, relative: str) -> Path:
    """The path of a source file, after checks that need no decoding.

    Raises:
        RejectedError: the name is not UTF-8, or the file is outside `root`, not a regular file, or empty.
    """
    try:
        relative.encode("utf-8")
    except UnicodeEncodeError:
        raise RejectedError("file name is not UTF-8") from None
    path = root / relative
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            raise RejectedError("symbolic link leads outside the source folder")
        status = path.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        _raise_if_temporary(error)
        raise RejectedError(f"cannot be opened ({_reason(error)})") from None
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would block
        raise RejectedError("not a regular file")
    if status.st_size == 0:
        raise RejectedError("zero bytes")
    return path


def duration(path: Path) -> float:
    """Duration in seconds according to the header of the file.

    Raises:
        RejectedError: the header cannot be read.
    """
    seconds = 0.0
    try:
        for stream in examine(path).streams:
            with _open(stream) as file:
                if file.samplerate <= 0:
                    raise RejectedError(f"sample rate {file.samplerate} Hz")
                if file.frames >= _UNKNOWN_FRAMES:
                    raise RejectedError("the header does not tell the number of samples")
                seconds += file.frames / file.samplerate
    except (soundfile.SoundFileError, OSError, RuntimeError, TypeError) as error:
        _raise_if_temporary(error)
        raise RejectedError(f"not readable as audio ({_reason(error)})") from None
    return seconds


def read_recording(path: Path, min_seconds: float = 0.0) -> tuple[np.ndarray, int]:
    """Reads a whole recording into memory; for one that may be long see `read_samples`.

    Args:
        path: any file that libsndfile reads.
        min_seconds: shorter recordings are rejected.

    Returns:
        Samples [samples] float32, the mean of all channels, and the sample rate in Hz.

    Raises:
        RejectedError: the file is unreadable or truncated, has no samples or too few, or contains NaN or infinity.
    """
    blocks, rate = [], 0
    for block, rate in read_blocks(path):  # noqa: B007 - all blocks have the same rate
        blocks.append(block)
    samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)  # nearly always one: saves a copy
    _check_length(len(samples), rate, min_seconds)
    return samples, rate


def read_samples(
    path: Path,
    target: int | None,
    *,
    min_seconds: float = 0.0,
    limit: int | None = None,
    float_scale: FloatScale = "reject",
) -> tuple[Samples, int]:
    """Reads a recording of any length at a sample rate of choice, in memory that does not grow with its length.

    Args:
        path: any file that libsndfile reads.
        target: sample rate of the result, in Hz; None: that of the file.
        min_seconds: shorter recordings are rejected.
        limit: number of samples of the result after which reading may stop (default: the whole recording).
        float_scale: see `read_blocks`.

    Returns:
        The samples, which the caller closes, and their rate in Hz.

    Raises:
        RejectedError: as `read_recording`; with a limit, only for defects in the part that is read.
        OSError: the temporary folder is full.
    """
    samples, count, rate = Samples(), 0, 0

    def blocks() -> Iterator[tuple[np.ndarray, int]]:
        nonlocal count, rate
        for block, rate in read_blocks(path, float_scale):
            count += len(block)
            yield block, rate

    try:
        for block in (block for block, _ in blocks()) if target is None else resample_blocks(blocks(), target):
            samples.append(block)
            wanted = None if limit is None else max(limit, ceil(min_seconds * (target or rate)))
            if wanted is not None and len(samples) >= wanted:
                break
        _check_length(count, rate, min_seconds)
    except BaseException:
        samples.close()
        raise
    return samples, target or rate


def _check_length(count: int, rate: int, min_seconds: float) -> None:
    if count < min_seconds * rate:
        raise RejectedError(f"too short: {count / rate:.3f} s, at least {min_seconds:g} s needed")


def read_blocks(path: Path, float_scale: FloatScale = "reject") -> Iterator[tuple[np.ndarray, int]]:
    """Reads a recording of any length in little memory: yields at least one block, each with the sample rate in Hz.

    Args:
        path: any file that libsndfile or, by its suffix, ffmpeg reads (see `datasets.audio.ffmpeg`).
        float_scale: what happens to floating-point samples on the scale of integers: "reject" rejects the file, "auto"
            divides them by the likely full scale (2^7, 2^15, 2^23 or 2^31).

    Raises:
        RejectedError: as `read_recording`; for a defect in a later block, when that block is reached.
        OSError: not due to the file: the disk fails, or ffmpeg is needed and absent or broken.
    """
    if needs_ffmpeg(path):
        yield from _ffmpeg_blocks(path)
        return
    # libsndfile's exceptions cannot be pickled (Ray would lose the reason), so they are converted here.
    total = rate = 0
    try:
        contents = examine(path)
        if contents.problem:
            raise RejectedError(contents.problem)
        for stream in contents.streams:
            with _open(stream) as file:
                if rate not in (0, file.samplerate):
                    raise RejectedError(f"joined from recordings of {rate} and {file.samplerate} Hz: split it again")
                rate = file.samplerate
                _check_rate(rate)
                missing = logged_truncation(file.extra_info)
                if missing:
                    raise RejectedError(missing)
                scale = _full_scale(file, float_scale)
                decoded = 0
                for block in _decode(file):
                    decoded += len(block)
                    _checked_total(total + decoded)
                    yield block / scale if scale != 1 else block, rate
                # libsndfile estimates the number of frames of an MP3 from the size of the file with its tags;
                # `examine` counts them.
                declared = 0 if _is_mpeg(file) else file.frames
                if decoded < declared < MAX_SAMPLES:  # larger: a stream of unknown length
                    raise RejectedError(f"truncated: {decoded} of {declared} samples can be decoded")
                total += decoded
    except (soundfile.SoundFileError, OSError, RuntimeError, TypeError) as error:
        _raise_if_temporary(error)
        raise RejectedError(f"not readable as audio ({_reason(error)})") from None
    if not total:
        raise RejectedError("no samples")


@contextmanager
def _open(stream: Stream) -> Iterator[soundfile.SoundFile]:
    """Opens a stream with libsndfile."""
    source = stream.open()
    try:
        with silent_decoder(stream.mpeg):
            file = soundfile.SoundFile(source)
        with file:
            yield file
    finally:
        if not isinstance(source, str):
            source.close()


def _is_mpeg(file: soundfile.SoundFile) -> bool:
    """Whether the samples are MPEG audio, in a file of its own or in another container."""
    return file.format == "MP3" or file.subtype.startswith("MPEG_LAYER")


def _full_scale(file: soundfile.SoundFile, float_scale: FloatScale) -> float:
    """The value that is full scale in a file of floating-point samples: 1, or what its peak suggests.

    Reads the whole file and goes back to its start: the first block of a file may be silent.

    Raises:
        RejectedError: the peak is far above 1, and `float_scale` is "reject".
    """
    if file.subtype not in ("FLOAT", "DOUBLE"):
        return 1.0
    peak, frames = 0.0, max(1, _BLOCK // file.channels)
    while len(block := file.read(frames, dtype="float32", always_2d=True)):
        with np.errstate(invalid="ignore"):
            peak = max(peak, float(np.abs(block[np.isfinite(block)]).max(initial=0.0)))
    file.seek(0)
    if peak <= MAX_FLOAT_PEAK:
        return 1.0
    bits = next((bits for bits in (8, 16, 24, 32) if peak <= 2 ** (bits - 1)), None)
    if bits is None:
        raise RejectedError(f"floating-point samples up to {peak:g}, expected full scale at 1: no scale of integers")
    if float_scale == "reject":
        raise RejectedError(
            f"floating-point samples up to {peak:g}, expected full scale at 1: probably on the scale of {bits}-bit "
            f"integers; divide them by {2 ** (bits - 1)} (prepare does with --float-scale auto)"
        )
    return float(2 ** (bits - 1))


def _decode(file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    frames = max(1, _BLOCK // file.channels)
    while True:
        try:
            with silent_decoder(_is_mpeg(file)):
                block = file.read(frames, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise RejectedError(
                f"truncated or damaged: decoding stops before {file.frames} samples ({_reason(error)})"
            ) from None
        if not len(block):
            return
        yield _mono(block)


def _mono(block: np.ndarray) -> np.ndarray:
    """The mean of the channels: [frames, channels] float32 to [frames]."""
    # Summing in float64 in a fixed order gives the same mean of the channels on every machine.
    mono = block[:, 0] if block.shape[1] == 1 else block.mean(1, dtype=np.float64).astype(np.float32)
    if not np.isfinite(mono).all():
        raise RejectedError("holds NaN or infinite samples")
    return mono


def _ffmpeg_blocks(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    """As `read_blocks`, for the formats that ffmpeg reads; an `OSError` if ffmpeg or the machine fails."""
    total = 0
    try:
        for block, rate in ffmpeg_blocks(path, _BLOCK):
            _check_rate(rate)
            total = _checked_total(total + len(block))
            yield _mono(block), rate
    except FfmpegError as error:
        raise RejectedError(f"not readable as audio ({error})") from None
    if not total:
        raise RejectedError("no samples")


def _check_rate(rate: int) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise RejectedError(f"sample rate {rate} Hz is outside {MIN_RATE} to {MAX_RATE} Hz")


def _checked_total(samples: int) -> int:
    if samples > MAX_SAMPLES:
        raise RejectedError(f"longer than {MAX_SAMPLES} samples: cut it into parts")
    return samples


def encode_flac(samples: np.ndarray, rate: int) -> bytes:
    """Encodes a clip as 16-bit FLAC: rounded to nearest (ties to even), clipped to full scale, without dither.

    Args:
        samples: [samples] float32; 1.0 is full scale (32768).
        rate: in Hz.
    """
    scaled = np.rint(samples * np.float32(32768))  # a power of two: exact in single precision
    buffer = io.BytesIO()
    soundfile.write(buffer, scaled.clip(-32768, 32767).astype(np.int16), rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def decode_flac(content: bytes) -> tuple[np.ndarray, int]:
    """Samples [samples] float32 in [-1, 1) and the sample rate of an encoded clip.

    Raises:
        ValueError: the bytes are not a complete FLAC file with one channel.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            if file.format != "FLAC" or file.channels != 1:
                raise ValueError(f"expected FLAC of one channel, found {file.format} of {file.channels}")
            samples = file.read(dtype="float32")
            if len(samples) != file.frames:
                raise ValueError(f"expected {file.frames} samples, found {len(samples)}")
            return samples, file.samplerate
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise ValueError(f"not readable as FLAC ({_reason(error)})") from None


def _raise_if_temporary(error: BaseException) -> None:
    """Raises errors that are not due to the file (a failing disk, too many open files): the run can be repeated."""
    if isinstance(error, OSError) and error.errno not in _PERMANENT:
        raise error


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(getattr(error, "error_string", "") or "").split()).rstrip(".")
    code = getattr(error, "code", None)
    return text or (f"libsndfile error {code}" if code is not None else str(error) or type(error).__name__)
