"""Which chains are given up early: asynchronous successive halving (ASHA) over sessions.

    sessions finished    1      2  (grace)      ...      2 x 3  (reduction)      ...      all
    a chain goes on    always   in the upper third       in the upper third               -

A chain that reaches a rung goes on if its mean validation accuracy so far is in the upper 1 / reduction of those that
have reached it (Li et al. 2018, arXiv 1810.05934). Chains are compared only with chains of the same method on the same
seeds, after equally many sessions: accuracies of other draws, or of chains that have seen more classes, say nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from trainables.records import TrialRecord
from trainables.trial import FINISHED, OBJECTIVE


class SessionHalving(FIFOScheduler):
    """One ASHA per method and triple of seeds, as one scheduler of Tune.

    Which chains are stopped depends on which others have come as far by then: on the number of workers, and on their
    speed. So that a sweep that is run again shows the same, chains that it finished or stopped before (`before`) end
    where they ended then; they still count for the others.

    Args:
        sessions: of a chain.
        grace: sessions that every chain gets; fewer than it has.
        reduction: one in so many chains goes on at a rung; rungs are at grace, grace x reduction, ...
        before: trial -> sessions after which it ended in an earlier run of the same sweep; from `ended_before`.

    Attributes:
        stopped: trial -> sessions that it has finished, of the trials that were stopped.
    """

    def __init__(self, sessions: int, grace: int, reduction: float, before: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self._sessions = sessions
        self._grace = grace
        self._reduction = reduction
        self._before = dict(before or {})
        self._groups: dict[tuple[str, str], ASHAScheduler] = {}
        self.stopped: dict[str, int] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """A trial begins, or begins again after its worker died."""
        self._group(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decides after a session; a result without one (the trial failed) decides nothing."""
        decision = self._group(trial).on_trial_result(tune_controller, trial, result)
        finished, name = result.get(FINISHED), str(trial.config["name"])
        if finished is None:
            return str(TrialScheduler.CONTINUE)
        if name in self._before:
            decision = TrialScheduler.STOP if finished >= self._before[name] else TrialScheduler.CONTINUE
        if decision == TrialScheduler.STOP and finished < self._sessions:
            self.stopped[name] = finished
        return str(decision)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A trial ended, by itself or because it was stopped."""
        self._group(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """A trial that waited is given up."""
        self._group(trial).on_trial_remove(tune_controller, trial)

    def debug_string(self) -> str:
        """How many trials were stopped."""
        return f"SessionHalving: {len(self.stopped)} stopped"

    def _group(self, trial: Any) -> ASHAScheduler:
        chain = trial.config["chain"]
        key = (str(chain["method"]), str(sorted(chain["seeds"].items())))
        if key not in self._groups:
            self._groups[key] = ASHAScheduler(
                time_attr=FINISHED,
                metric=OBJECTIVE,
                mode="max",
                max_t=self._sessions,
                grace_period=self._grace,
                reduction_factor=self._reduction,
            )
        return self._groups[key]


def ended_before(records: Iterable[TrialRecord]) -> dict[str, int]:
    """Trial -> sessions after which a sweep ended it, for the argument `before` of `SessionHalving`.

    A chain that the budget cut short has not ended.
    """
    ended = (record for record in records if record.status == "finished" or record.stopped_by == "asha")
    return {record.trial: len(record.sessions) for record in ended}
