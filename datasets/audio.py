"""Recordings in, clips out: reading with libsndfile, resampling, 16-bit FLAC.

A recording is read to mono (the mean of its channels) float32 in [-1, 1] at its own rate. What cannot be
trusted is rejected with a reason instead of giving silence or a shortened recording; a rejected file never
stops a run.
"""

import errno
import io
import os
import stat
from math import gcd
from pathlib import Path

import numpy as np
import soundfile

from datasets.containers import logged_truncation, truncation

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Sample rates (Hz) outside of this range are header errors, and would make resampling blow up."""

MAX_SAMPLES = 2**30
"""Longest recording that is read, in samples: 6.7 hours at 44.1 kHz, 4 GiB as float32."""

_FOR_GOOD = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
"""What an error of the file system says of the file itself; the others may pass."""

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
            samples = _decode(file)
    except (soundfile.SoundFileError, OSError, RuntimeError, TypeError) as error:
        _raise_if_passing(error)
        raise RejectedError(f"not readable as audio ({_reason(error)})") from None
    if len(samples) < promised < MAX_SAMPLES:  # larger: a stream whose header does not know its length
        raise RejectedError(f"truncated: {len(samples)} of {promised} samples can be decoded")
    if not len(samples):
        raise RejectedError("no samples")
    if not np.isfinite(samples).all():
        raise RejectedError("holds NaN or infinite samples")
    if len(samples) < min_seconds * rate:
        raise RejectedError(f"too short: {len(samples) / rate:.3f} s, at least {min_seconds:g} s needed")
    return samples, rate


def _decode(file: soundfile.SoundFile) -> np.ndarray:
    frames = max(1, _BLOCK // file.channels)
    blocks, total = [], 0
    while True:
        try:
            block = file.read(frames, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise RejectedError(
                f"truncated or damaged: decoding stops before {file.frames} samples ({_reason(error)})"
            ) from None
        if not len(block):
            break
        total += len(block)
        if total > MAX_SAMPLES:
            raise RejectedError(f"longer than {MAX_SAMPLES} samples: cut it into parts")
        # A sum in a fixed order of float64 keeps the mean of channels the same on every machine.
        blocks.append(block[:, 0] if block.shape[1] == 1 else block.mean(1, dtype=np.float64).astype(np.float32))
    if len(blocks) == 1:
        return blocks[0]  # nearly always: one copy less of every recording
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


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
    divisor = gcd(rate, target)
    if (rate // divisor) * (target // divisor) > 50_000_000:
        raise RejectedError(f"sample rate {rate} Hz has no ratio of small numbers to {target} Hz")
    import torch  # 2-3 s in every worker: corpora at their own rate (LibriSpeech) never pay it
    import torchaudio.functional

    return torchaudio.functional.resample(torch.from_numpy(samples), rate, target).numpy()


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
