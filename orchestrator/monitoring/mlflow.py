"""Logs a sweep to MLflow."""

import logging
import os
import time
from pathlib import Path
from typing import Any

from orchestrator.monitoring.listener import BackgroundListener, SessionResult, Status, TrialState

METRICS_PER_REQUEST = 1000  # MLflow's limit


class MLflow(BackgroundListener):
    """One MLflow run per trial, in one experiment per sweep. A resumed sweep continues the same MLflow runs.

    `MLFLOW_TRACKING_URI`, `MLFLOW_TRACKING_TOKEN`, ... have MLflow's meaning; without the first, the runs are in
    `mlflow.db` beside the run folders.

    Args:
        run: name of the experiment.
        folder: of the runs.
    """

    def __init__(self, run: str, folder: Path) -> None:
        super().__init__()
        self._run, self._folder = run, folder
        self._runs: dict[str, str] = {}  # trial -> MLflow's ID of its run
        self._logged: dict[str, int] = {}  # trial -> sessions that an earlier launch of the sweep has logged
        self._client: Any = None
        self._experiment = ""

    def __enter__(self) -> "MLflow":
        self.submit(self._connect)
        return self

    def _connect(self) -> None:
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # else it logs each table that it creates
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self._folder.resolve() / 'mlflow.db'}"
        self._client = MlflowClient(tracking_uri=uri)
        experiment = self._client.get_experiment_by_name(self._run)
        self._experiment = experiment.experiment_id if experiment else self._client.create_experiment(self._run)

    def trial_started(self, trial: TrialState) -> None:
        """Starts the run of the trial, or continues the run of an earlier launch."""
        if trial.attempt == 1:
            self.submit(self._start_run, trial)

    def _start_run(self, trial: TrialState) -> None:
        from mlflow.entities import Param

        name, chain = trial.name, trial.chain
        existing = self._client.search_runs([self._experiment], f"tags.`mlflow.runName` = '{name}'", max_results=1)
        if existing:
            self._runs[name] = existing[0].info.run_id
            self._logged[name] = int(existing[0].data.metrics.get("sessions", 0))
            self._client.update_run(self._runs[name], status="RUNNING")
            return
        tags = {"benchmark": chain.benchmark, "backbone": chain.backbone, "protocol": chain.protocol.model_dump_json()}
        self._runs[name] = self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id
        self._logged[name] = 0
        parameters = [Param(key, str(value)) for key, value in trial.hparams.items()]
        self._client.log_batch(self._runs[name], params=parameters)

    def session_finished(self, trial: TrialState, result: SessionResult) -> None:
        """Logs the session, in one request or a few."""
        self.submit(self._log_session, trial.name, result, int(time.time() * 1000))

    def _log_session(self, name: str, result: SessionResult, milliseconds: int) -> None:
        from mlflow.entities import Metric

        if result.index < self._logged[name]:
            return
        values = {**result.scalars, "sessions": float(result.index + 1)}
        metrics = [
            Metric(key, value, milliseconds, step)
            for step, scalars in [*result.epochs, (result.index, values)]
            for key, value in scalars.items()
        ]
        for first in range(0, len(metrics), METRICS_PER_REQUEST):
            self._client.log_batch(self._runs[name], metrics=metrics[first : first + METRICS_PER_REQUEST])

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        """Ends the run."""
        self.submit(self._end_run, trial.name, status, trial.failure)

    def _end_run(self, name: str, status: Status, failure: str) -> None:
        run = self._runs.pop(name)
        if failure:
            self._client.set_tag(run, "failure", failure)
        mlflow_status = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}[status]
        self._client.set_terminated(run, status=mlflow_status)
