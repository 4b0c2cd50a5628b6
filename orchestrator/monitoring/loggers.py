"""Where else a sweep is seen while it runs: TensorBoard always; MLflow and Weights & Biases on request.

Each shows a trial as a run with its hyperparameters (`Watched.hparams`) and, with the session as step, its scalars
(`SessionResult.scalars`). Tune's own loggers are off (`TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1`): the CSV and JSON that
they write for every trial hold what `trials/` holds, and nobody reads them.
"""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from datasets.utils.errors import EarshotError
from orchestrator.monitoring.mlflow import MLflow
from orchestrator.monitoring.tensorboard import TensorBoard
from orchestrator.monitoring.wandb import WeightsAndBiases
from orchestrator.monitoring.watcher import Background

TRACKERS = {"mlflow": MLflow, "wandb": WeightsAndBiases}
"""The optional ones; each is named as the package that it needs and as the extra that installs it."""


def loggers(names: Iterable[str], run: str, folder: Path, events: Path) -> list[Background]:
    """The callbacks for Tune; each is a context manager.

    Args:
        names: of optional ones, from `TRACKERS`.
        run: name of the run.
        folder: where runs lie; what a tracker keeps on this machine goes there too.
        events: folder of what TensorBoard reads.

    Raises:
        EarshotError: a package, or a login, is missing.
    """
    made: list[Background] = [TensorBoard(events)]
    for name in names:
        package = find_spec(name)
        if package is None or package.origin is None:  # without origin: a folder, such as the one where W&B keeps runs
            raise EarshotError(
                f"--log {name}: expected the package {name}, found none; pip install -e '.[{name}]' in a checkout"
            )
        made.append(TRACKERS[name](run, folder))
    return made
