"""Clips that are scored or learned from batch by batch, without a benchmark, and what networks compute of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from datasets.utils.errors import EarshotError
from trainables.store.arrays import ArrayStore

NOT_KEPT = -1
"""Position of a clip that a learner has learned from and that no file has."""


class BatchClips:
    """The clips of one batch. Positions are never reused, so cached features cannot leak between batches."""

    fingerprint = ""  # nothing is stored beyond a batch

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.class_names: Mapping[int, str] = {}  # only learning reads them
        self._waves: np.ndarray = np.empty((0, 0), np.float32)
        self._first = 0

    def replace(self, waves: np.ndarray) -> tuple[int, ...]:
        """Replaces the batch by `[clips, samples]`; returns the positions of the new clips."""
        self._first += len(self._waves)
        self._waves = waves
        return tuple(range(self._first, self._first + len(waves)))

    def audio(self, positions: Sequence[int]) -> np.ndarray:
        """`[clips, samples]`.

        Raises:
            EarshotError: a clip is not kept.
        """
        if NOT_KEPT in positions:
            raise EarshotError(
                "cannot be forgotten exactly: its statistics are merged with those of other classes, and its "
                "clips are not in the model; run the chain without the class"
            )
        rows: np.ndarray = self._waves[[position - self._first for position in positions]]
        return rows


class BatchCache(ArrayStore):
    """Caches network outputs within a batch: EDE requests the shared features once for every part."""

    def __init__(self) -> None:
        super().__init__(None)
        self._arrays: dict[str, np.ndarray] = {}

    def get(
        self, address: str, count: int, batches: Callable[[], Iterator[np.ndarray]], *, shared: bool = False
    ) -> np.ndarray:
        """The array at `address`."""
        if address not in self._arrays:
            self._arrays[address] = super().get(address, count, batches, shared=shared)
        return self._arrays[address]

    def clear(self) -> None:
        """Removes all arrays."""
        self._arrays.clear()
