"""Reads recordings with libsndfile, resamples them, and encodes clips as 16-bit FLAC.

A recording is read as mono (the mean of its channels) float32 in [-1, 1] at its own sample rate. Damaged and
unsupported files raise `RejectedError` with a reason instead of giving silence or a shortened recording; the caller
continues with the next file.

The messages of `RejectedError` are stored in the metadata of shards, and so are part of a benchmark's fingerprint.
"""

import errno
import io
import os
import stat
from collections.abc import Iterable, Iterator
from math import ceil, gcd
from pathlib import Path

import numpy as np
import soundfile

from datasets.audio.truncation import logged_truncation, truncation

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Sample rates (Hz) outside this range are header errors; resampling them would need too much memory."""

MAX_SAMPLES = 2**30
"""Longest recording that is read, in samples: 6.7 hours at 44.1 kHz, 4 GiB as float32."""

_PERMANENT = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
"""File system errors that are due to the file itself; others may be temporary."""

_REACH = 7  # maximum half-width of the filter of `resample`, in periods of the lower rate

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
    try:
        info = soundfile.info(os.fspath(path))
    except (soundfile.SoundFileError, OSError, RuntimeError, TypeError) as error:
        _raise_if_temporary(error)
        raise RejectedError(f"not readable as audio ({_reason(error)})") from None
    if info.samplerate <= 0:
        raise RejectedError(f"sample rate {info.samplerate} Hz")
    return info.frames / info.samplerate


def read_recording(path: Path, min_seconds: float = 0.0) -> tuple[np.ndarray, int]:
    """Reads a whole recording.

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
    if len(samples) < min_seconds * rate:
        raise RejectedError(f"too short: {len(samples) / rate:.3f} s, at least {min_seconds:g} s needed")
    return samples, rate


def read_blocks(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    """Reads a recording of any length in little memory: yields at least one block, each with the sample rate in Hz.

    Raises:
        RejectedError: as `read_recording`; for a defect in a later block, when that block is reached.
    """
    # libsndfile's exceptions cannot be pickled (Ray would lose the reason), so they are converted here.
    try:
        missing = truncation(path)
        if missing:
            raise RejectedError(missing)
        with soundfile.SoundFile(os.fspath(path)) as file:
            # libsndfile estimates the number of frames of an MP3 from the size of the file with its tags;
            # `truncation` counts them.
            rate, declared = file.samplerate, 0 if file.format == "MP3" else file.frames
            if not MIN_RATE <= rate <= MAX_RATE:
                raise RejectedError(f"sample rate {rate} Hz is outside {MIN_RATE} to {MAX_RATE} Hz")
            missing = logged_truncation(file.extra_info)
            if missing:
                raise RejectedError(missing)
            total = 0
            for block in _decode(file):
                total += len(block)
                yield block, rate
    except (soundfile.SoundFileError, OSError, RuntimeError, TypeError) as error:
        _raise_if_temporary(error)
        raise RejectedError(f"not readable as audio ({_reason(error)})") from None
    if total < declared < MAX_SAMPLES:  # larger: a stream of unknown length
        raise RejectedError(f"truncated: {total} of {declared} samples can be decoded")
    if not total:
        raise RejectedError("no samples")


def _decode(file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    frames = max(1, _BLOCK // file.channels)
    total = 0
    while True:
        try:
            block = file.read(frames, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise RejectedError(
                f"truncated or damaged: decoding stops before {file.frames} samples ({_reason(error)})"
            ) from None
        if not len(block):
            return
        total += len(block)
        if total > MAX_SAMPLES:
            raise RejectedError(f"longer than {MAX_SAMPLES} samples: cut it into parts")
        # Summing in float64 in a fixed order gives the same mean of the channels on every machine.
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(1, dtype=np.float64).astype(np.float32)
        if not np.isfinite(mono).all():
            raise RejectedError("holds NaN or infinite samples")
        yield mono


def resample(samples: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Changes the sample rate (windowed sinc, `torchaudio.functional.resample`).

    Args:
        samples: [samples] float32.
        rate: sample rate of the samples, in Hz.
        target: sample rate of the result, in Hz.

    Raises:
        RejectedError: the ratio of the rates has large terms, so that the filter bank would not fit in memory.
    """
    if rate == target:
        return samples
    _ratio(rate, target)
    import torch  # 2-3 s in every worker; not needed by corpora that keep their rate (LibriSpeech)
    import torchaudio.functional

    return torchaudio.functional.resample(torch.from_numpy(samples), rate, target).numpy()


def resample_blocks(blocks: Iterable[tuple[np.ndarray, int]], target: int) -> Iterator[np.ndarray]:
    """Resamples a recording block by block, with the same result as `resample` of the joined blocks.

    Each block is resampled together with as much of its neighbours as the filter covers, and cut at a position at which
    both rates have a sample.

    Args:
        blocks: pairs of samples [samples] float32 and their rate in Hz, which is the same for all.
        target: sample rate of the result, in Hz.

    Raises:
        RejectedError: see `resample`.
    """
    pending: np.ndarray = np.zeros(0, np.float32)
    done = 0  # samples at the start of `pending` that are already resampled
    source = target
    for block, source in blocks:
        if source == target:
            yield block
            continue
        step, new = _ratio(source, target)
        margin = step * (1 + ceil(_REACH / min(step, new)))
        previous, pending = len(pending), np.concatenate([pending, block])
        # Not beyond the samples before this block: a recording of one block is resampled whole, as by `resample`.
        end = min(previous, len(pending) - margin) // step * step
        if end - done >= margin:
            yield resample(pending[: end + margin], source, target)[done * new // step : end * new // step]
            pending, done = pending[end - margin :], margin
    if source != target:
        yield resample(pending, source, target)[done * target // source :]


def _ratio(rate: int, target: int) -> tuple[int, int]:
    """The two rates, divided by their greatest common divisor."""
    divisor = gcd(rate, target)
    if (rate // divisor) * (target // divisor) > 50_000_000:
        raise RejectedError(f"sample rate {rate} Hz has no ratio of small numbers to {target} Hz")
    return rate // divisor, target // divisor


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
