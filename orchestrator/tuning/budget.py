"""A time budget: when it is used up, no new session starts; running sessions are completed."""

import time
from typing import Any

from ray.tune import Stopper


class Budget(Stopper):
    """Tells Tune to stop each trial at the end of its session once the time is up.

    Args:
        seconds: None for no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self._end is not None and time.monotonic() >= self._end

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial that has just completed a session stops."""
        return self.over

    def stop_all(self) -> bool:
        """Never: the running sessions are completed."""
        return False
