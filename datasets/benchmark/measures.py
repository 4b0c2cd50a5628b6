"""Measurements of the audio of clips: content, level, clipping, fingerprint."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from datasets.benchmark.fingerprint import fingerprints

NEAR_SILENT_DB = -60.0
"""Clips with an RMS below this, in dBFS, are near-silent."""
FULL_SCALE = 32767
"""Samples of at least this absolute value, at 16 bit, are at full scale."""
CLIPPED_RUN = 3
"""Number of consecutive samples at full scale that count as clipping; single peaks occur in undistorted audio."""


@dataclass(frozen=True)
class Measures:
    """Measurements of the audio of each clip, as arrays [clips].

    Attributes:
        contents: hexadecimal digest of the samples at 16 bit: equal if and only if two clips have the same audio.
        rms_db: in dBFS, float64: 0 for a full-scale square wave, -3.01 for a full-scale sine, -inf for digital silence.
        clipped: number of samples in runs of `CLIPPED_RUN` or more at full scale, int64.
        fingerprints: see `datasets.benchmark.fingerprint`, float16 [clips, dimensions].
    """

    contents: np.ndarray
    rms_db: np.ndarray
    clipped: np.ndarray
    fingerprints: np.ndarray

    @classmethod
    def concatenate(cls, parts: Sequence["Measures"]) -> "Measures":
        """Joins the measurements of batches."""
        empty = cls(np.zeros(0, "U32"), np.zeros(0), np.zeros(0, np.int64), np.zeros((0, 0), np.float16))
        filled = [part for part in parts if len(part.contents)] or [empty]
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in filled]) for name in names))

    def at(self, rows: np.ndarray) -> "Measures":
        """The given rows, in the given order."""
        return Measures(self.contents[rows], self.rms_db[rows], self.clipped[rows], self.fingerprints[rows])


def measure(audio: np.ndarray) -> Measures:
    """Measures a batch of clips.

    Args:
        audio: float32 [clips, samples], full scale 1.0.
    """
    samples = to_16_bit(audio)
    contents = [content_digest(clip) for clip in samples]
    full = np.abs(samples.astype(np.int32)) >= FULL_SCALE
    width = max(0, full.shape[1] - CLIPPED_RUN + 1)  # samples at which a run may start
    starts = np.logical_and.reduce([full[:, shift : shift + width] for shift in range(CLIPPED_RUN)])
    in_run = np.zeros_like(full)
    for shift in range(CLIPPED_RUN):
        in_run[:, shift : shift + width] |= starts
    return Measures(np.array(contents, dtype="U32"), level_db(audio), in_run.sum(axis=1), fingerprints(audio))


def to_16_bit(audio: np.ndarray) -> np.ndarray:
    """The samples as shards store them, int16; full scale of `audio` is 1.0."""
    return np.clip(np.rint(audio * np.float32(32768)), -32768, 32767).astype("<i2")


def content_digest(samples: np.ndarray) -> str:
    """Digest (hex) of the samples of a clip at 16 bit."""
    return hashlib.blake2b(samples.tobytes(), digest_size=16).hexdigest()


def level_db(audio: np.ndarray) -> np.ndarray:
    """RMS over the last axis in dBFS, float64; full scale of `audio` is 1.0."""
    with np.errstate(divide="ignore"):  # digital silence is -inf dBFS by definition
        return 10 * np.log10(np.square(audio, dtype=np.float64).mean(axis=-1))
