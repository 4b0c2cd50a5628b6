"""Estimates how much longer a sweep will take.

A remaining trial costs what trials of the same method and backbone have cost so far, wall time from start to end.
Trials of which all sessions were cached are not counted, so that a resumed sweep does not seem to run at the speed of
its store. Cached sessions of a trial that also computed some are counted: they are what sharing saves.

Methods differ in cost by a factor of hundreds, so nothing is assumed about a method, or about a session, of which
nothing was computed yet: until then the time is a lower bound.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from datasets.utils.humanize import format_duration

CostKey = Hashable
"""What trials that cost about the same have in common: a method and its backbone."""


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

    def cost(self, sessions: int) -> tuple[float, bool]:
        """Seconds of a trial, the mean of those that ended, else the sum over sessions; whether that is all of it."""
        if self.trials:
            return self.trials.value, True
        means = (self.sessions.get(index) for index in range(sessions))
        known = [mean.value for mean in means if mean]  # one that another thread has just added is empty
        return sum(known), len(known) == sessions


@dataclass(frozen=True)
class TimeLeft:
    """How much longer a sweep will take.

    Attributes:
        seconds: until its end.
        at_least: whether the cost of a part of it is not known yet, and not included.
    """

    seconds: float
    at_least: bool

    def __str__(self) -> str:
        if self.at_least and self.seconds < 1:
            return "time left unknown"
        return f"{'at least' if self.at_least else 'about'} {format_duration(self.seconds)} left"


class RemainingTime:
    """Estimates the time that a sweep still takes.

    Args:
        trials: number of trials, by method and backbone.
        sessions: of each trial.
    """

    def __init__(self, trials: Mapping[CostKey, int], sessions: int) -> None:
        self._methods = {method: _Method(count) for method, count in trials.items()}
        self._sessions = sessions

    def session_computed(self, method: CostKey, index: int, seconds: float) -> None:
        """Adds a session that was computed, not cached."""
        self._methods[method].sessions.setdefault(index, _Mean()).add(seconds)

    def trial_ended(self, method: CostKey, seconds: float, computed: int) -> None:
        """Adds a trial.

        Args:
            method: of the trial, and its backbone.
            seconds: from its start to its end.
            computed: how many of its sessions were computed.
        """
        self._methods[method].ended += 1
        if computed:
            self._methods[method].trials.add(seconds)

    def estimate(self, running: Iterable[tuple[CostKey, float]]) -> TimeLeft | None:
        """The time until the end of the sweep; None while nothing was computed.

        Args:
            running: method and backbone of each running trial, and seconds since its start.
        """
        running = list(running)
        costs = {name: method.cost(self._sessions) for name, method in self._methods.items()}
        if not any(cost for cost, _ in costs.values()):
            return None
        rest_of_running = [max(costs[method][0] - elapsed, 0.0) for method, elapsed in running]
        unended = {name: max(method.planned - method.ended, 0) for name, method in self._methods.items()}
        waiting = {name: count - sum(method == name for method, _ in running) for name, count in unended.items()}
        left = sum(rest_of_running) + sum(costs[name][0] * max(count, 0) for name, count in waiting.items())
        at_least = any(unended[name] and not complete for name, (_, complete) in costs.items())
        return TimeLeft(max([left / max(len(running), 1), *rest_of_running]), at_least)
