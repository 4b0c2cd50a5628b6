"""Keeps a store within its bounds while a sweep runs."""

import time

from datasets.utils.location import Location
from orchestrator.monitoring.watcher import Background, Status, Watched
from trainables.store.eviction import evict

PAUSE = 600.0  # seconds between two looks


class StoreKeeper(Background):
    """Makes room in the store every ten minutes, and at the end of the sweep; removes what the dead have left.

    Args:
        store: of stages and embeddings.
        max_bytes: what it may hold; None for no limit.
    """

    def __init__(self, store: Location, max_bytes: int | None) -> None:
        super().__init__()
        self._store = store
        self._max_bytes = max_bytes
        self._looked = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.later(self._look)
        super().__exit__()

    def trial_ended(self, trial: Watched, status: Status) -> None:
        """Looks whether the store has outgrown its bounds."""
        if self._max_bytes is not None and time.monotonic() - self._looked > PAUSE:
            self._looked = time.monotonic()
            self.later(self._look)

    def _look(self) -> None:
        evict(self._store, self._max_bytes)
