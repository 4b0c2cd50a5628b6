"""Logs a sweep to Weights & Biases."""

import hashlib
import os
import socket
from pathlib import Path
from typing import Any

from datasets.utils.errors import EarshotError
from orchestrator.monitoring.listener import BackgroundListener, SessionResult, Status, TrialState

SESSION, EPOCH = "session", "training/epoch"  # the horizontal axes


class WeightsAndBiases(BackgroundListener):
    """One W&B run per trial, in one group per sweep. A resumed sweep continues the same W&B runs.

    `WANDB_API_KEY`, `WANDB_PROJECT` (default: earshot), `WANDB_ENTITY`, `WANDB_MODE`, `WANDB_DIR`, ... have W&B's
    meaning.

    Args:
        run: name of the group.
        folder: of the runs.

    Raises:
        EarshotError: there is no login.
    """

    def __init__(self, run: str, folder: Path) -> None:
        import wandb

        super().__init__()
        if os.environ.get("WANDB_MODE") not in {"offline", "disabled"} and not wandb.login(prompt=False):
            raise EarshotError(
                "--log wandb: expected WANDB_API_KEY or a login (`wandb login`), found neither; "
                "WANDB_MODE=offline keeps the runs on this machine, for `wandb sync`"
            )
        self._run, self._folder = run, folder.resolve()
        self._runs: dict[str, Any] = {}
        self._rows: dict[str, int] = {}  # trial -> rows logged; W&B ignores those that an earlier launch has logged

    def trial_started(self, trial: TrialState) -> None:
        """Starts the run of the trial."""
        if trial.attempt == 1:
            self.submit(self._start_run, trial)

    def _start_run(self, trial: TrialState) -> None:
        import wandb

        name, chain = trial.name, trial.chain
        identity = f"{socket.gethostname()}:{self._folder}/{self._run}/{name}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._runs[name] = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "earshot"),
            group=os.environ.get("WANDB_RUN_GROUP", self._run),
            name=name,
            id=hashlib.sha256(identity.encode()).hexdigest()[:16],
            dir=os.environ.get("WANDB_DIR", str(self._folder)),
            config={**trial.hparams, "protocol": chain.protocol.model_dump(), "backbone": chain.backbone},
            resume=None if os.environ.get("WANDB_MODE") == "offline" else "allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True),
        )
        self._rows[name] = 0
        self._runs[name].define_metric("*", step_metric=SESSION)
        self._runs[name].define_metric("training/*", step_metric=EPOCH)

    def session_finished(self, trial: TrialState, result: SessionResult) -> None:
        """Logs the session, and the curves of its trainings."""
        self.submit(self._log_session, trial.name, result)

    def _log_session(self, name: str, result: SessionResult) -> None:
        rows = [{EPOCH: step, **scalars} for step, scalars in result.epochs]
        for row in [*rows, {SESSION: result.index, **result.scalars}]:
            self._runs[name].log(row, step=self._rows[name])
            self._rows[name] += 1

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        """Ends the run."""
        self.submit(self._end_run, trial.name, status)

    def _end_run(self, name: str, status: Status) -> None:
        run = self._runs.pop(name)
        run.summary["status"] = status
        run.finish(exit_code=1 if status == "failed" else 0)
