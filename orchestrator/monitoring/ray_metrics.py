"""Exports the progress of a sweep as metrics of Ray, for Prometheus and Grafana.

Every node of a cluster serves the metrics of its processes at its `--metrics-export-port`; these are those of the node
that the sweep's own process runs on. Ray puts `ray_` before each name, and `_total` behind that of a counter.

| metric | labels besides `run` and `method` | value |
|---|---|---|
| `earshot_validation_accuracy` | `configuration`, `seed` | mean over the sessions of a trial so far; of one |
| `earshot_sessions` | `result`: `computed`, `cached` | completed sessions |
| `earshot_session_seconds` | | seconds that the computed sessions took |
| `earshot_lease_wait_seconds` | | seconds that trials waited for another one that computed the same session |
| `earshot_trials` | `status`: `finished`, `stopped`, `failed` | trials that ended |
| `earshot_worker_deaths` | | workers that died, whose trials were started again |

`deploy/grafana-earshot.json` draws them. A sweep that runs in its own process, without Ray, exports none.
"""

import math
from typing import TYPE_CHECKING

from orchestrator.monitoring.listener import Listener, SessionResult, Status, TrialState

if TYPE_CHECKING:
    from ray.util.metrics import Counter, Gauge


class RayMetrics(Listener):
    """Updates the metrics of a sweep; Ray sends them every ten seconds.

    Args:
        run: name of the run.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._metrics: _Metrics | None = None

    def session_finished(self, trial: TrialState, result: SessionResult) -> None:
        """Counts the session; updates the accuracy of the trial."""
        if (metrics := self._connected()) is None:
            return
        tags = self._tags(trial)
        metrics.sessions.inc(1, {**tags, "result": "cached" if result.cached else "computed"})
        if not result.cached and result.seconds > 0:
            metrics.seconds.inc(result.seconds, tags)
        if result.waited > 0:
            metrics.waits.inc(result.waited, tags)
        if math.isfinite(trial.validation):
            seeds = {"configuration": trial.chain.configuration, "seed": str(trial.chain.seeds)}
            metrics.accuracy.set(trial.validation, {**tags, **seeds})

    def worker_died(self, trial: TrialState) -> None:
        """Counts the worker."""
        if (metrics := self._connected()) is not None:
            metrics.deaths.inc(1, self._tags(trial))

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        """Counts the trial."""
        if (metrics := self._connected()) is not None:
            metrics.trials.inc(1, {**self._tags(trial), "status": status})

    def _tags(self, trial: TrialState) -> dict[str, str]:
        return {"run": self._run, "method": trial.chain.method}

    def _connected(self) -> "_Metrics | None":
        """The metrics; None if this process runs the trials, without Ray."""
        import ray

        if self._metrics is None and ray.is_initialized():
            self._metrics = _Metrics()
        return self._metrics


class _Metrics:
    """The metrics, registered with Ray when they are made."""

    accuracy: "Gauge"
    sessions: "Counter"
    seconds: "Counter"
    waits: "Counter"
    trials: "Counter"
    deaths: "Counter"

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Gauge

        of_all = ("run", "method")
        self.accuracy = Gauge(
            "earshot_validation_accuracy",
            "Mean validation accuracy over the sessions of a trial so far, as a fraction of one.",
            (*of_all, "configuration", "seed"),
        )
        self.sessions = Counter("earshot_sessions", "Completed sessions.", (*of_all, "result"))
        # no histogram: Ray passes on the middle of a bucket, so that the sum and the mean would be wrong
        self.seconds = Counter("earshot_session_seconds", "Seconds that the computed sessions took.", of_all)
        self.waits = Counter(
            "earshot_lease_wait_seconds", "Seconds that trials waited for one that computed the same session.", of_all
        )
        self.trials = Counter("earshot_trials", "Trials that ended.", (*of_all, "status"))
        self.deaths = Counter("earshot_worker_deaths", "Workers that died.", of_all)
