"""Early stopping of chains: asynchronous successive halving (ASHA) over sessions.

    completed sessions    1      2  (grace)      ...      2 x 3  (reduction)      ...      all
    a chain continues   always   in the upper third       in the upper third               -

A chain that reaches a rung continues if its mean validation accuracy so far is in the upper 1 / reduction of those that
have reached it (Li et al. 2018, arXiv 1810.05934). Chains are compared only with chains of the same method and backbone
on the same seeds, after the same number of sessions: accuracies over other classes or draws of clips do not compare.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from trainables.networks.specs import OPTIONS
from trainables.records import TrialRecord
from trainables.session_results import FINISHED, OBJECTIVE


class SessionHalving(FIFOScheduler):
    """One ASHA per method, backbone and triple of seeds, as one Tune scheduler.

    Which chains are stopped depends on which others reached the rung before them: on the number and the speed of the
    workers. So that a resumed sweep gives the same results, chains that an earlier launch finished or stopped
    (`before`) end after the same session again; they still count for the others.

    Args:
        sessions: of a chain.
        grace: sessions that every chain completes; fewer than a chain has.
        reduction: one in so many chains continues at a rung; rungs are at grace, grace x reduction, ...
        before: trial -> sessions after which it ended in an earlier launch of the same sweep; from `ended_before`.

    Attributes:
        stopped: trial -> sessions that it completed, of the trials that were stopped.
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
        """A trial starts, or starts again after its worker died."""
        self._group(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stops or continues a trial after a session; a result without a session (a failure) changes nothing."""
        decision = self._group(trial).on_trial_result(tune_controller, trial, result)
        completed, name = result.get(FINISHED), str(trial.config["name"])
        if completed is None:
            return str(TrialScheduler.CONTINUE)
        if name in self._before:
            decision = TrialScheduler.STOP if completed >= self._before[name] else TrialScheduler.CONTINUE
        if decision == TrialScheduler.STOP and completed < self._sessions:
            self.stopped[name] = completed
        return str(decision)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A trial ended, by itself or because it was stopped."""
        self._group(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """A pending trial is removed."""
        self._group(trial).on_trial_remove(tune_controller, trial)

    def debug_string(self) -> str:
        """The number of trials that were stopped."""
        return f"SessionHalving: {len(self.stopped)} stopped"

    def _group(self, trial: Any) -> ASHAScheduler:
        chain = trial.config["chain"]
        backbone = [chain.get(key) for key in ("backbone", *OPTIONS)]
        key = (f"{chain['method']} {backbone}", str(sorted(chain["seeds"].items())))
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
    """Trial -> sessions after which it ended, for the argument `before` of `SessionHalving`.

    A chain that the time budget stopped has not ended.
    """
    ended = (record for record in records if record.status == "finished" or record.stopped_by == "asha")
    return {record.trial: len(record.sessions) for record in ended}
