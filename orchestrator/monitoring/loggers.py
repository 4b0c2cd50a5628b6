"""Loggers of a sweep: TensorBoard always, MLflow and Weights & Biases on request, each with its own client.

Each shows a trial as a run with its hyperparameters (`TrialState.hparams`) and its scalars (`SessionResult.scalars`),
with the session as step. Tune's own loggers are off (`TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1`): their CSV and JSON files
repeat what `trials/` contains. Ray's callback for MLflow sends each number in its own request, with all of Tune's
counters; its callback for W&B starts two processes per trial; both log the sessions of a retried trial a second time.
"""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from datasets.utils.errors import EarshotError
from orchestrator.monitoring.listener import BackgroundListener
from orchestrator.monitoring.mlflow import MLflow
from orchestrator.monitoring.tensorboard import TensorBoard
from orchestrator.monitoring.wandb import WeightsAndBiases

TRACKERS = {"mlflow": MLflow, "wandb": WeightsAndBiases}
"""The optional loggers, by the name of the package that each needs, which is also the name of the extra."""


def loggers(names: Iterable[str], run: str, folder: Path, events: Path) -> list[BackgroundListener]:
    """The loggers of a sweep.

    Args:
        names: of optional loggers, from `TRACKERS`.
        run: name of the run.
        folder: of all runs; local files of the optional loggers go there.
        events: folder for TensorBoard's event files.

    Raises:
        EarshotError: a package or a login is missing.
    """
    result: list[BackgroundListener] = [TensorBoard(events)]
    for name in names:
        package = find_spec(name)
        if package is None or package.origin is None:  # without origin: a folder, such as the one where W&B writes runs
            raise EarshotError(
                f"--log {name}: expected the package {name}, found none; pip install -e '.[{name}]' in a checkout"
            )
        result.append(TRACKERS[name](run, folder))
    return result
