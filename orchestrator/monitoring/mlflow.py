"""Logs a sweep to MLflow."""

import logging
import os
import time
from pathlib import Path
from typing import Any

from orchestrator.monitoring.watcher import Background, SessionResult, Status, Watched


class MLflow(Background):
    """A run per trial in an experiment per sweep, by MLflow's client.

    `MLFLOW_TRACKING_URI`, `MLFLOW_TRACKING_TOKEN`, ... are MLflow's; without the first, runs go to `mlflow.db` beside
    ours. A sweep that is run again goes on with the same MLflow runs.

    Args:
        run: name of the experiment.
        folder: of the runs.
    """

    def __init__(self, run: str, folder: Path) -> None:
        super().__init__()
        self._run, self._folder = run, folder
        self._runs: dict[str, str] = {}  # MLflow's identifier by trial
        self._told: dict[str, int] = {}  # sessions that an earlier run of the sweep has logged
        self._client: Any = None
        self._experiment = ""

    def __enter__(self) -> "MLflow":
        self.later(self._connect)
        return self

    def _connect(self) -> None:
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of each table that it makes
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self._folder.resolve() / 'mlflow.db'}"
        self._client = MlflowClient(tracking_uri=uri)
        found = self._client.get_experiment_by_name(self._run)
        self._experiment = found.experiment_id if found else self._client.create_experiment(self._run)

    def trial_started(self, trial: Watched) -> None:
        """Starts the run of the trial, or goes on with the one that an earlier sweep began."""
        if trial.attempt == 1:
            self.later(self._begin_run, trial)

    def _begin_run(self, trial: Watched) -> None:
        from mlflow.entities import Param

        name, chain = trial.name, trial.chain
        before = self._client.search_runs([self._experiment], f"tags.`mlflow.runName` = '{name}'", max_results=1)
        if before:
            self._runs[name] = before[0].info.run_id
            self._told[name] = int(before[0].data.metrics.get("sessions", 0))
            self._client.update_run(self._runs[name], status="RUNNING")
            return
        about = {"benchmark": chain.benchmark, "backbone": chain.backbone, "protocol": chain.protocol.model_dump_json()}
        self._runs[name] = self._client.create_run(self._experiment, run_name=name, tags=about).info.run_id
        self._told[name] = 0
        parameters = [Param(key, str(value)) for key, value in trial.hparams.items()]
        self._client.log_batch(self._runs[name], params=parameters)

    def session_ended(self, trial: Watched, result: SessionResult) -> None:
        """Logs the session, in one request."""
        self.later(self._log_session, trial.name, result, int(time.time() * 1000))

    def _log_session(self, name: str, result: SessionResult, now: int) -> None:
        from mlflow.entities import Metric

        if result.index < self._told[name]:
            return
        values = {**result.scalars, "sessions": float(result.index + 1)}
        metrics = [Metric(key, value, now, result.index) for key, value in values.items()]
        self._client.log_batch(self._runs[name], metrics=metrics)

    def trial_ended(self, trial: Watched, status: Status) -> None:
        """Ends the run."""
        self.later(self._end_run, trial.name, status, trial.failure)

    def _end_run(self, name: str, status: Status, failure: str) -> None:
        run = self._runs.pop(name)
        if failure:
            self._client.set_tag(run, "failure", failure)
        ended = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}[status]
        self._client.set_terminated(run, status=ended)
