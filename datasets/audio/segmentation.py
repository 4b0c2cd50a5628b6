"""Cuts a stream of recordings into clips of fixed length.

utterances   |---- a ----|-- b --|------ c ------|
windows      |-- 0 --|-- 1 --|-- 2 --|-- 3 --|       the remainder is dropped
source           a       a       b       c           the recording in which the window starts
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """A cut of fixed length.

    Attributes:
        source: name of the recording in which it starts.
        start: index of its first sample in the stream.
        samples: [num_samples] float32; a view of the recording if the window lies within one.
    """

    source: str
    start: int
    samples: np.ndarray


def cut_stream(recordings: Iterable[tuple[str, np.ndarray]], num_samples: int) -> Iterator[Window]:
    """Concatenates recordings and cuts them into windows without overlap; the remainder is dropped.

    Keeps one recording and less than one window in memory.

    Args:
        recordings: pairs of source and samples [samples] float32, in order.
        num_samples: length of a window, at least one sample.

    Raises:
        ValueError: `num_samples` is not positive; raised when the first window is requested.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples: expected at least 1, found {num_samples}")
    pending: list[tuple[str, np.ndarray]] = []  # parts of the next window
    pending_samples = start = 0
    for source, samples in recordings:
        offset = 0
        while pending_samples + len(samples) - offset >= num_samples:
            part = samples[offset : offset + num_samples - pending_samples]
            first = pending[0][0] if pending else source
            yield Window(first, start, np.concatenate([*(piece for _, piece in pending), part]) if pending else part)
            offset += len(part)
            start += num_samples
            pending, pending_samples = [], 0
        if offset < len(samples):
            pending.append((source, samples[offset:]))
            pending_samples += len(samples) - offset


def cut_recording(source: str, samples: np.ndarray, num_samples: int, limit: int | None = None) -> Iterator[Window]:
    """Cuts one recording into complete windows; a shorter recording is padded with zeros at its end.

    Args:
        source: name of the recording.
        samples: [samples] float32, at least one.
        num_samples: length of a window, at least one sample.
        limit: maximum number of windows, from the start (default: unlimited).

    Raises:
        ValueError: `num_samples` is not positive; raised when the first window is requested.
    """
    if len(samples) < num_samples:
        samples = np.pad(samples, (0, num_samples - len(samples)))
    for number, window in enumerate(cut_stream([(source, samples)], num_samples)):
        if limit is not None and number >= limit:
            return
        yield window
