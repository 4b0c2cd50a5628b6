"""A recording as overlapping windows of a model's clip length and sample rate.

    recording   |------------------------|
    windows     |-- 0 --|                     one every hop
                    |-- 1 --|
                        |-- 2 --|
                            ...
                                |-- n --|     the last one ends where the recording ends

A recording shorter than a window gives one window, padded with zeros at its end, as in a prepared benchmark.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.audio.loudness import normalising_gain, scaled
from datasets.audio.recordings import checked_path, read_samples
from datasets.audio.samples import Signal

FULL_SCALE = np.float32(32768)  # clips of a benchmark have 16 bits


@dataclass(frozen=True)
class Recording:
    """A decoded recording on disk.

    Attributes:
        samples: [samples] float32, mono.
        rate: in Hz.
        gain: brings it to the benchmark's loudness; 1 if the benchmark's loudness is not normalised.
    """

    samples: Signal
    rate: int
    gain: float

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.samples) / self.rate

    def starts(self, num_samples: int, hop: int) -> np.ndarray:
        """First sample of every window, int64 [windows].

        Args:
            num_samples: length of a window.
            hop: samples from one window to the next.
        """
        last = max(0, len(self.samples) - num_samples)
        return np.append(np.arange(0, last, hop), last)

    def windows(self, starts: np.ndarray, num_samples: int) -> np.ndarray:
        """Windows as `prepare` would store them: `[windows, num_samples]`, 16 bits as float32 in [-1, 1)."""
        windows: np.ndarray = np.zeros((len(starts), num_samples), np.float32)
        for row, start in enumerate(starts):
            part = self.samples[start : start + num_samples]
            windows[row, : len(part)] = part
        return stored_samples(scaled(windows, self.gain))


def stored_samples(samples: np.ndarray) -> np.ndarray:
    """Samples as a benchmark stores them: rounded to 16 bits, as float32 in [-1, 1)."""
    rounded: np.ndarray = np.rint(samples * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1) / FULL_SCALE
    return rounded


def read(path: Path, rate: int, *, loudness: bool) -> Recording:
    """Reads a recording of any length, sample rate and number of channels.

    It is decoded and resampled block by block into a temporary file (4 bytes a sample), so that memory use does not
    grow with its length and its loudness can be measured over the whole recording.

    Args:
        path: any file that libsndfile reads.
        rate: sample rate of the result, Hz.
        loudness: whether to normalise to -23 LUFS, as `prepare` does.

    Raises:
        RejectedError: the file is not valid; see `datasets.audio.recordings.read_recording`.
        EarshotError: loudness cannot be measured at this sample rate.
    """
    real = Path(os.path.realpath(path))
    samples, rate = read_samples(checked_path(real.parent, real.name), rate)
    return Recording(samples, rate, normalising_gain(samples, rate) if loudness else 1.0)
