"""Base classes of listeners, the state of a trial and the result of a session. Nothing here imports Ray."""

import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from datasets.utils.text import one_line, printable
from trainables.training_curves import Curves, TrainingCurve

if TYPE_CHECKING:  # it imports PyTorch
    from trainables.chain_config import ChainConfig

Status = Literal["finished", "stopped", "failed"]
VALIDATION = "validation/"  # prefix of the validation metrics of a chain
LOSS, LR = "training/loss", "training/lr"  # tags of the curves of training
_LOGGER = logging.getLogger("earshot")


@dataclass(frozen=True)
class SessionResult:
    """What a trial reports after a session.

    Attributes:
        index: of the session, from 0.
        cached: whether the session was in the store already, so that this trial did not compute it.
        seconds: that it took to compute, by this trial or earlier.
        parameters: used to classify.
        accuracy: by `val/HEAD` and `test/HEAD`, over all classes so far, as fractions of one.
        validation: validation metrics of the chain so far, by name; `aa` is the objective of the search.
        training: curves of the session's trainings; none if it trained nothing, or an earlier version computed it.
        epochs_before: epochs of all trainings of earlier sessions.
        waited: seconds that the trial waited for another one that computed the session.
    """

    index: int
    cached: bool
    seconds: float
    parameters: int
    accuracy: dict[str, float]
    validation: dict[str, float]
    training: Curves = ()
    epochs_before: int = 0
    waited: float = 0.0

    @property
    def scalars(self) -> dict[str, float]:
        """Values to plot, by tag; without those that are NaN."""
        validation = {f"{VALIDATION}{name}": value for name, value in self.validation.items()}
        cost = {"cost/seconds": self.seconds, "cost/parameters": float(self.parameters)}
        return {tag: value for tag, value in {**self.accuracy, **validation, **cost}.items() if math.isfinite(value)}

    @property
    def epochs(self) -> list[tuple[int, dict[str, float]]]:
        """Values to plot by epoch, by tag. Epochs are counted from the first of the trial, over all its trainings."""
        points: list[tuple[int, dict[str, float]]] = []
        before = self.epochs_before
        for curve in self.training:
            rows = zip(curve.epoch, curve.loss, curve.lr, strict=True)
            points += [(before + epoch, {LOSS: loss, LR: lr}) for epoch, loss, lr in rows]
            before += curve.epochs
        return points


@dataclass(frozen=True)
class RunningTraining:
    """How far the training is that a trial runs at the moment.

    Attributes:
        session: index of its session.
        curve: so far.
    """

    session: int
    curve: TrainingCurve


@dataclass
class TrialState:
    """A trial that has started and not ended.

    Attributes:
        name: of the trial.
        chain: its configuration.
        attempt: from 1; increased when the trial is started again.
        began: start of the attempt, by the monotonic clock (seconds).
        sessions: completed so far.
        planned: sessions of its chain; None until the first is completed.
        computed: how many of the completed sessions were computed, not cached.
        validation: mean validation accuracy over the sessions so far; NaN where there is none.
        epochs: of all trainings in the completed sessions.
        training: what the trial trains at the moment, if that is known.
        failure: why the trial failed; empty if it did not.
    """

    name: str
    chain: "ChainConfig"
    attempt: int = 1
    began: float = field(default_factory=time.monotonic)
    sessions: int = 0
    planned: int | None = None
    computed: int = 0
    validation: float = math.nan
    epochs: int = 0
    training: RunningTraining | None = None
    failure: str = ""

    @property
    def varied(self) -> dict[str, Any]:
        """The settings that the search space varies."""
        settings = self.chain.settings
        return {key: settings[key] for key in self.chain.varied if key in settings}

    @property
    def hparams(self) -> dict[str, str | int | float | bool]:
        """What distinguishes the trial from others of its sweep, flat: for tables of hyperparameters."""
        seeds = {f"seed/{name}": value for name, value in self.chain.seeds.model_dump().items()}
        plain = {key: v if isinstance(v, str | int | float | bool) else str(v) for key, v in self.varied.items()}
        return {"method": self.chain.method, "configuration": self.chain.configuration, **seeds, **plain}


class Listener:
    """Follows the trials of a sweep; subclasses override the methods of interest.

    A listener is a context manager that encloses the trials. For each trial, `trial_started` comes first,
    `session_finished` once per session and `trial_ended` once, also after a worker died or Ray restarted all trials.
    """

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def trial_started(self, trial: TrialState) -> None:
        """A worker starts the trial, for the first time or again (`trial.attempt`)."""

    def session_finished(self, trial: TrialState, result: SessionResult) -> None:
        """A session of the trial is completed; `trial` includes it."""

    def worker_died(self, trial: TrialState) -> None:
        """The worker died during `trial.attempt`; the trial will be started again."""

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        """The trial completed all sessions, was stopped before that, or failed (`trial.failure`)."""

    def sweep_restarted(self, reason: str) -> None:
        """All trials that have not ended will be started again."""


class BackgroundListener(Listener):
    """A listener that works on its own thread, so that a slow server or disk does not slow the sweep.

    After the first error (a full disk, a server that is down) it logs one warning and ignores everything that follows.
    Leaving the context waits until all work is done.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=type(self).__name__)
        self._failed = False

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True)

    def submit(self, action: Callable[..., None], *arguments: Any) -> None:
        """Calls `action` on the thread, after everything that was submitted before."""
        self._thread.submit(self._call, action, *arguments)

    def _call(self, action: Callable[..., None], *arguments: Any) -> None:
        if self._failed:
            return
        try:
            action(*arguments)
        except Exception as error:
            self._failed = True
            warn_of_failure(self, error)


def warn_of_failure(listener: Listener, error: Exception) -> None:
    """Logs in one line why a listener no longer follows the sweep."""
    reason = printable(one_line(error)[:300])
    _LOGGER.warning("%s stopped logging (%s: %s)", type(listener).__name__, type(error).__name__, reason)
