"""A budget of time: when it is used up no session begins, and those that run come to their end."""

import time
from typing import Any

from ray.tune import Stopper


class Budget(Stopper):
    """Tells Tune to stop a trial at the end of a session once the time is up.

    Args:
        seconds: None for no end.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._ends = None if seconds is None else time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self._ends is not None and time.monotonic() >= self._ends

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial that has just finished a session is to stop."""
        return self.over

    def stop_all(self) -> bool:
        """Never at once: a session that runs is worth its end."""
        return False
