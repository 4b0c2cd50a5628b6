"""Recordings in, clips out: reading with libsndfile, resampling, 16-bit FLAC.

A recording is read to mono (the mean of its channels) float32 in [-1, 1] at its own rate. What cannot be
trusted is rejected with a reason instead of giving silence or a shortened recording; a rejected file never
stops a run.
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
"""Sample rates (Hz) outside of this range are header errors, and would make resampling blow up."""

MAX_SAMPLES = 2**30
"""Longest recording that is read, in samples: 6.7 hours at 44.1 kHz, 4 GiB as float32."""

_FOR_GOOD = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
"""What an error of the file system says of the file itself; the others may pass."""

_REACH = 7  # periods of the lower rate that the filter of `resample` reaches to either side, at most

_BLOCK = 1 << 20  # values decoded at a time: a lying header must not decide how much memory is allocated


class RejectedError(Exception):
    """A recording gives no clips; the message says why, in a few words and without the file's name."""


def readable_suffixes() -> frozenset[str]:
    """Suffixes (lower case, with the dot) of the formats that this libsndfile recognises."""
    known = {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"}
    return frozenset(known | {".aif", ".aifc", ".oga", ".opus", ".snd"})


def checked_path(root: Path, relative: str) -> Path:
    """The path of a source file, after checks that need no decoding.

    Raises:
        RejectedError: the name is not UTF-8, the file leads out of `root`, is not a regular file, or is
            empty.
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
        _raise_if_passing(error)
        raise RejectedError(f"cannot be opened ({_reason(error)})") from None
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise RejectedError("not a regular file")
    if status.st_size == 0:
        raise RejectedError("zero bytes")
    return path


def duration(path: Path) -> float:
    """Seconds of audio that the file's header promises.

    Raises:
        RejectedError: the header cannot be read.
    """
    try:
        info = soundfile.info(os.fspath(path))
    except (soundfile.SoundFileError, OSError, RuntimeError, TypeError) as error:
        _raise_if_passing(error)
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
        RejectedError: the file is unreadable, has no samples or too few, holds NaN or infinity, or is
            truncated.
    """
    blocks, rate = [], 0
    for block, rate in read_blocks(path):  # noqa: B007 - one rate for all
        blocks.append(block)
    samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)  # nearly always one: one copy less
    if len(samples) < min_seconds * rate:
        raise RejectedError(f"too short: {len(samples) / rate:.3f} s, at least {min_seconds:g} s needed")
    return samples, rate


def read_blocks(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    """Reads a recording of any length in little memory: at least one block, each with the sample rate in Hz.

    Raises:
        RejectedError: as `read_recording`; what is wrong further on is raised when reading comes to it.
    """
    # libsndfile's exceptions cannot be pickled, so none of them may leave this function (Ray would lose the
    # reason).
    try:
        missing = truncation(path)
        if missing:
            raise RejectedError(missing)
        with soundfile.SoundFile(os.fspath(path)) as file:
            # For MP3 the number of frames is estimated from the file's size, tags included; `truncation`
            # counts them.
            rate, promised = file.samplerate, 0 if file.format == "MP3" else file.frames
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
        _raise_if_passing(error)
        raise RejectedError(f"not readable as audio ({_reason(error)})") from None
    if total < promised < MAX_SAMPLES:  # larger: a stream whose header does not know its length
        raise RejectedError(f"truncated: {total} of {promised} samples can be decoded")
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
        # A sum in a fixed order of float64 keeps the mean of channels the same on every machine.
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(1, dtype=np.float64).astype(np.float32)
        if not np.isfinite(mono).all():
            raise RejectedError("holds NaN or infinite samples")
        yield mono


def resample(samples: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Changes the sample rate (windowed sinc, `torchaudio.functional.resample`).

    Args:
        samples: [samples] float32.
        rate: of the samples, in Hz.
        target: wanted, in Hz.

    Raises:
        RejectedError: the two rates have no ratio of small numbers, so that the filter bank would not fit in
            memory.
    """
    if rate == target:
        return samples
    _ratio(rate, target)
    import torch  # 2-3 s in every worker: corpora at their own rate (LibriSpeech) never pay it
    import torchaudio.functional

    return torchaudio.functional.resample(torch.from_numpy(samples), rate, target).numpy()


def resample_blocks(blocks: Iterable[tuple[np.ndarray, int]], target: int) -> Iterator[np.ndarray]:
    """What `resample` makes of the joined blocks, in little memory.

    A piece is resampled with so much of its neighbours as the filter reaches, cut where both rates have a sample.

    Args:
        blocks: pairs of samples [samples] float32 and their rate in Hz, one rate for all.
        target: wanted, in Hz.

    Raises:
        RejectedError: see `resample`.
    """
    held: np.ndarray = np.zeros(0, np.float32)
    before = 0  # samples at the start of `held` that are resampled already
    source = target
    for block, source in blocks:
        if source == target:
            yield block
            continue
        step, new = _ratio(source, target)
        margin = step * (1 + ceil(_REACH / min(step, new)))
        known, held = len(held), np.concatenate([held, block])
        # Not beyond what was there before this block: a recording of one block is resampled whole, as by `resample`.
        end = min(known, len(held) - margin) // step * step
        if end - before >= margin:
            yield resample(held[: end + margin], source, target)[before * new // step : end * new // step]
            held, before = held[end - margin :], margin
    if source != target:
        yield resample(held, source, target)[before * target // source :]


def _ratio(rate: int, target: int) -> tuple[int, int]:
    """The two rates, divided by what they have in common."""
    divisor = gcd(rate, target)
    if (rate // divisor) * (target // divisor) > 50_000_000:
        raise RejectedError(f"sample rate {rate} Hz has no ratio of small numbers to {target} Hz")
    return rate // divisor, target // divisor


def encode_flac(samples: np.ndarray, rate: int) -> bytes:
    """One clip as FLAC, 16 bit: rounded to nearest (ties to even), clipped to full scale; no dither.

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
        ValueError: the bytes are not a whole FLAC of one channel.
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


def _raise_if_passing(error: BaseException) -> None:
    """Raises what says nothing about the file (a disk that fails, too many open files): a run may be repeated then."""
    if isinstance(error, OSError) and error.errno not in _FOR_GOOD:
        raise error


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(getattr(error, "error_string", "") or "").split()).rstrip(".")
    code = getattr(error, "code", None)
    return text or (f"libsndfile error {code}" if code is not None else str(error) or type(error).__name__)
