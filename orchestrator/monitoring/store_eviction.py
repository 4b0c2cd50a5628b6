"""Keeps a store within its size limit while a sweep runs."""

import time
from typing import TYPE_CHECKING

from orchestrator.monitoring.listener import BackgroundListener, Status, TrialState

if TYPE_CHECKING:  # it imports PyArrow
    from datasets.utils.location import Location

INTERVAL = 600.0  # seconds between two evictions


class StoreEviction(BackgroundListener):
    """Evicts from the store every ten minutes and at the end of the sweep; also removes files of crashed processes.

    Args:
        store: of stages and embeddings.
        max_bytes: limit of its size; None for no limit.
    """

    def __init__(self, store: "Location", max_bytes: int | None) -> None:
        super().__init__()
        self._store = store
        self._max_bytes = max_bytes
        self._last = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.submit(self._evict)
        super().__exit__()

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        """Evicts, if the store has a limit and the last eviction was `INTERVAL` ago."""
        if self._max_bytes is not None and time.monotonic() - self._last > INTERVAL:
            self._last = time.monotonic()
            self.submit(self._evict)

    def _evict(self) -> None:
        from trainables.store.eviction import evict

        evict(self._store, self._max_bytes)
