"""How long a sweep will take yet.

What is left costs what trials of the same method have cost so far, wall time from start to end. Trials of which every
session was found tell nothing about that, and are not counted: else a resumed sweep would seem to run at the speed of
its store. Sessions that a trial found beside those that it computed are what sharing saves, and are counted.
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
    trials: _Mean = field(default_factory=_Mean)  # seconds of trials that computed something
    sessions: dict[int, _Mean] = field(default_factory=dict)  # seconds of computed sessions, by index

    def cost(self, sessions: int) -> float | None:
        """Seconds of a trial, as far as known: of those that ended, or of sessions, later ones like earlier ones."""
        if self.trials:
            return self.trials.value
        if not self.sessions:
            return None
        total = last = 0.0
        for index in range(sessions):
            last = self.sessions[index].value if index in self.sessions else last
            total += last
        return total


class Estimate:
    """The time that a sweep will take yet.

    Args:
        trials: number of trials, by method.
        sessions: of each.
    """

    def __init__(self, trials: Mapping[str, int], sessions: int) -> None:
        self._methods = {method: _Method(count) for method, count in trials.items()}
        self._sessions = sessions

    def session_computed(self, method: str, index: int, seconds: float) -> None:
        """A session was computed, not found."""
        self._methods[method].sessions.setdefault(index, _Mean()).add(seconds)

    def trial_ended(self, method: str, seconds: float, computed: int) -> None:
        """A trial ended.

        Args:
            method: of the trial.
            seconds: from its start to its end.
            computed: how many of its sessions were computed.
        """
        self._methods[method].ended += 1
        if computed:
            self._methods[method].trials.add(seconds)

    def seconds_left(self, running: Iterable[tuple[str, float]]) -> float | None:
        """Seconds until the end; None while there is nothing to judge by.

        Args:
            running: method of each running trial, and seconds since its start.
        """
        running = list(running)
        costs = [each.cost(self._sessions) for each in self._methods.values()]
        known = [seconds for seconds in costs if seconds is not None]
        if not known:
            return None
        elsewhere = sum(known) / len(known)  # for methods of which nothing was computed yet

        def cost(method: str) -> float:
            own = self._methods[method].cost(self._sessions)
            return elsewhere if own is None else own

        under_way = [max(cost(method) - since, 0.0) for method, since in running]
        waiting = {method: each.planned - each.ended for method, each in self._methods.items()}
        for method, _ in running:
            waiting[method] -= 1
        left = sum(under_way) + sum(cost(method) * max(count, 0) for method, count in waiting.items())
        return max([left / max(len(running), 1), *under_way])
