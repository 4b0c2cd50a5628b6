"""Cuts a stream of recordings into clips of fixed length.

utterances   |---- a ----|-- b --|------ c ------|
windows      |-- 0 --|-- 1 --|-- 2 --|-- 3 --|       the remainder is dropped
source           a       a       b       c           the recording in which the window starts
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from datasets.audio.samples import Signal

Choice = Literal["first", "spread", "loudest", "random"]


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


def cut_stream(recordings: Iterable[tuple[str, Signal]], num_samples: int) -> Iterator[Window]:
    """Concatenates recordings and cuts them into windows without overlap; the remainder is dropped.

    Keeps less than two windows in memory.

    Args:
        recordings: pairs of source and samples [samples] float32, in order; they may be in a file.
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


def cut_recording(
    samples: Signal,
    num_samples: int,
    limit: int | None = None,
    choice: Choice = "first",
    random: "np.random.Generator | None" = None,
    repeat: bool = False,
) -> Iterator[tuple[int, np.ndarray]]:
    """Cuts one recording into complete windows; a shorter recording is padded with zeros at its end, or repeated.

    Args:
        samples: [samples] float32, at least one; they may be in a file.
        num_samples: length of a window, at least one sample.
        limit: maximum number of windows (default: unlimited).
        choice: which windows are taken if there are more: the first ones, some at equal distances, those with the
            largest mean square (of equal ones the first), or random ones. All are in order of time.
        random: source of the random choice.
        repeat: whether a recording that is shorter than a window is repeated until it fills it.

    Yields:
        The number of the window in the recording, and its samples `[num_samples]`.

    Raises:
        ValueError: `num_samples` is not positive; raised when the first window is requested.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples: expected at least 1, found {num_samples}")
    count = max(1, len(samples) // num_samples)
    for number in _choose(samples, num_samples, count, count if limit is None else limit, choice, random):
        window = samples[number * num_samples : (number + 1) * num_samples]
        if len(window) < num_samples:
            window = np.resize(window, num_samples) if repeat else np.pad(window, (0, num_samples - len(window)))
        yield number, window


def _choose(
    samples: Signal, num_samples: int, count: int, limit: int, choice: Choice, random: "np.random.Generator | None"
) -> Iterable[int]:
    """The numbers of `limit` of `count` windows, ascending."""
    if choice == "first" or limit >= count:
        return range(min(limit, count))
    if choice == "spread":  # the middles of `limit` equal parts
        return [(2 * number + 1) * count // (2 * limit) for number in range(limit)]
    if choice == "random":
        if random is None:
            raise ValueError("random: expected a generator for a random choice, found None")
        return sorted(random.choice(count, limit, replace=False).tolist())
    windows = (samples[number * num_samples : (number + 1) * num_samples] for number in range(count))
    energies = np.array([np.square(window, dtype=np.float64).mean() for window in windows])
    return sorted(np.argsort(-energies, kind="stable")[:limit].tolist())
