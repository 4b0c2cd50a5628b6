"""Estimates how much longer a sweep will take.

A remaining trial costs what trials of the same method have cost so far, wall time from start to end. Trials of which
all sessions were cached are not counted, so that a resumed sweep does not seem to run at the speed of its store. Cached
sessions of a trial that also computed some are counted: they are what sharing saves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass
class _Mean:
    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    def __bool__(self) -> bool:
        return self.count > 0

    @property
    def value(self) -> float:
        return self.total / self.count


@dataclass
class _Method:
    planned: int
    ended: int = 0
    trials: _Mean = field(default_factory=_Mean)  # seconds of trials that computed at least one session
    sessions: dict[int, _Mean] = field(default_factory=dict)  # seconds of computed sessions, by index

    def cost(self, sessions: int) -> float | None:
        """Seconds of a trial: the mean of those that ended, else the sum over sessions; None if neither is known.

        A session that was not computed yet is assumed to cost as much as the one before it.
        """
        if self.trials:
            return self.trials.value
        if not self.sessions:
            return None
        total = last = 0.0
        for index in range(sessions):
            last = self.sessions[index].value if index in self.sessions else last
            total += last
        return total


class RemainingTime:
    """Estimates the time that a sweep still takes.

    Args:
        trials: number of trials, by method.
        sessions: of each trial.
    """

    def __init__(self, trials: Mapping[str, int], sessions: int) -> None:
        self._methods = {method: _Method(count) for method, count in trials.items()}
        self._sessions = sessions

    def session_computed(self, method: str, index: int, seconds: float) -> None:
        """Adds a session that was computed, not cached."""
        self._methods[method].sessions.setdefault(index, _Mean()).add(seconds)

    def trial_ended(self, method: str, seconds: float, computed: int) -> None:
        """Adds a trial.

        Args:
            method: of the trial.
            seconds: from its start to its end.
            computed: how many of its sessions were computed.
        """
        self._methods[method].ended += 1
        if computed:
            self._methods[method].trials.add(seconds)

    def seconds(self, running: Iterable[tuple[str, float]]) -> float | None:
        """Seconds until the end of the sweep; None while nothing was computed.

        Args:
            running: method of each running trial, and seconds since its start.
        """
        running = list(running)
        costs = {name: method.cost(self._sessions) for name, method in self._methods.items()}
        known = [cost for cost in costs.values() if cost is not None]
        if not known:
            return None
        mean = sum(known) / len(known)  # for methods of which nothing was computed yet
        estimates = {name: mean if cost is None else cost for name, cost in costs.items()}
        rest_of_running = [max(estimates[method] - elapsed, 0.0) for method, elapsed in running]
        waiting = {name: method.planned - method.ended for name, method in self._methods.items()}
        for method, _ in running:
            waiting[method] -= 1
        left = sum(rest_of_running) + sum(estimates[name] * max(count, 0) for name, count in waiting.items())
        return max([left / max(len(running), 1), *rest_of_running])
