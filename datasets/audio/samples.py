"""The samples of a recording of any length: in memory while they are few, in a temporary file otherwise."""

import tempfile
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

import numpy as np

IN_MEMORY_BYTES = 1 << 26
"""Longer recordings go to a temporary file: 64 MiB are 17 minutes at 16 kHz."""

_BLOCK = 1 << 20


class Signal(Protocol):
    """Anything that gives its samples as slices: an array, or `Samples`."""

    def __len__(self) -> int:
        """Number of samples."""

    def __getitem__(self, part: slice, /) -> np.ndarray:
        """The samples of a slice with step 1."""


class Samples:
    """Samples [samples] float32, written once in order; a slice is read when it is asked for.

    Reading from the file, instead of mapping it, keeps the resident memory of a worker independent of the length.
    Usable as a context manager; views (`part`) share the file.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self._first = self._length = 0
        self._owner: Samples | None = None
        self.close = weakref.finalize(self, self._file.close)
        """Removes the temporary file; views become unusable. Happens by itself when nothing refers to the samples."""

    def append(self, block: np.ndarray) -> None:
        """Adds samples [samples] at the end.

        Raises:
            OSError: the temporary folder is full.
        """
        self._file.seek(4 * (self._first + self._length))
        self._file.write(np.ascontiguousarray(block, np.float32).tobytes())
        self._length += len(block)

    def blocks(self) -> Iterator[np.ndarray]:
        """All samples in order, some at a time."""
        for first in range(0, len(self), _BLOCK):
            yield self[first : first + _BLOCK]

    def part(self, first: int, last: int) -> "Samples":
        """A view of the samples from `first` to before `last`, which must not be appended to."""
        view = object.__new__(Samples)
        view._file, view._owner = self._file, self
        view._first, view._length = self._first + first, last - first
        return view

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> np.ndarray:
        first, last, step = part.indices(self._length)
        if step != 1:
            raise ValueError(f"slice of samples: expected a step of 1, found {step}")
        self._file.seek(4 * (self._first + first))
        return np.frombuffer(self._file.read(4 * max(0, last - first)), np.float32)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
