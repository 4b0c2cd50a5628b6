"""What Tune tells its callbacks about a sweep, in our words: each session once, whatever died and began again.

A chain that begins again after a death reports its finished sessions a second time (it finds them in the store); where
Ray gives up on all trials together, all of them begin again, those that had ended too. Everybody who watches a sweep
derives from `Watcher` and hears of a trial's starts, of each session once, of each death, and of one end.
"""

import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from ray import tune

from datasets.utils.text import printable
from trainables.chain_config import ChainConfig
from trainables.trial import OBJECTIVE

Status = Literal["finished", "stopped", "failed"]
ACCURACIES = ("val/", "test/")  # begin the keys of accuracies in a result: `val/HEAD`, `test/HEAD`
SUMMARY = "validation/"  # begins the keys of the chain's validation metrics so far
_LOGGER = logging.getLogger("earshot")


@dataclass(frozen=True)
class SessionResult:
    """What a trial reports after a session.

    Attributes:
        index: of the session, from 0.
        found: whether it was there already and not computed by this trial.
        seconds: that it took to compute, now or then.
        parameters: used to classify.
        accuracy: by `val/HEAD` and `test/HEAD`, over all classes so far, as fractions of one.
        summary: validation metrics of the chain so far, by name; `aa` is the objective of the search.
    """

    index: int
    found: bool
    seconds: float
    parameters: int
    accuracy: dict[str, float]
    summary: dict[str, float]

    @classmethod
    def of(cls, result: dict[str, Any]) -> "SessionResult":
        """The part of Tune's result that is ours."""
        own = {key.removeprefix(SUMMARY): value for key, value in result.items() if key.startswith(SUMMARY)}
        return cls(
            result["session"],
            result["reused"],
            result["session_seconds"],
            result["parameters_used"],
            {key: value for key, value in result.items() if key.startswith(ACCURACIES)},
            {"aa": result[OBJECTIVE], **own},
        )

    @property
    def scalars(self) -> dict[str, float]:
        """What is plotted, by tag; without what is NaN."""
        summary = {f"{SUMMARY}{name}": value for name, value in self.summary.items()}
        cost = {"cost/seconds": self.seconds, "cost/parameters": float(self.parameters)}
        return {tag: value for tag, value in {**self.accuracy, **summary, **cost}.items() if math.isfinite(value)}


@dataclass
class Watched:
    """A trial under way.

    Attributes:
        name: ours.
        chain: what it runs.
        attempt: from 1; higher after its worker died.
        began: when the attempt began, by the monotonic clock (seconds).
        sessions: that it has behind it.
        planned: sessions of its chain; None until the first has ended.
        computed: how many of the sessions were computed, not found.
        validation: mean validation accuracy over the sessions so far; NaN where there is none.
        failure: why it failed; empty if it did not.
    """

    name: str
    chain: ChainConfig
    attempt: int = 1
    began: float = field(default_factory=time.monotonic)
    sessions: int = 0
    planned: int | None = None
    computed: int = 0
    validation: float = math.nan
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


class Watcher(tune.Callback):
    """Hears what happens to trials, inside of a `with` block that outlives the trials.

    Subclasses override the methods that begin with `trial_`, `session_` and `sweep_`.

    Args:
        attempts: how often Tune starts a trial whose worker dies.
    """

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts
        self._open: dict[str, Watched] = {}  # by name: trials that have begun and not ended
        self._over: set[str] = set()

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._open):  # Tune stops them without a word where it is interrupted
            self._end(name, "stopped")

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks for a restore that we never ask for

    def trial_started(self, trial: Watched) -> None:
        """A worker takes the trial up, for the first time or again. Told before anything else of a trial."""

    def session_ended(self, trial: Watched, result: SessionResult) -> None:
        """A session of the trial has ended; `trial` counts it already."""

    def trial_died(self, trial: Watched) -> None:
        """The worker died; the trial waits for another. `trial.attempt` is the one that failed."""

    def trial_ended(self, trial: Watched, status: Status) -> None:
        """The trial is over: with all sessions, with fewer because it was stopped, or failed (`trial.failure`)."""

    def sweep_restarted(self, why: str) -> None:
        """All trials that had not ended begin again."""

    def restarted(self, why: str) -> None:
        """Ray has given up on all trials together, and the sweep begins again."""
        self.sweep_restarted(why)
        for trial in self._open.values():
            trial.attempt += 1

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune: a worker has opened the trial."""
        again = self._open.get(str(trial.config["name"]))
        if again is None:
            self._of(trial)
        else:
            again.began = time.monotonic()
            self.trial_started(again)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Tune: `step()` has returned."""
        if (watched := self._of(trial)) is None:
            return
        watched.failure = result.get("failed") or ""
        if "session" not in result or result["session"] < watched.sessions:
            return  # a failure, or a session that was told before the worker died
        told = SessionResult.of(result)
        watched.sessions = told.index + 1
        watched.planned = result["sessions"]
        watched.computed += not told.found
        watched.validation = told.summary["aa"]
        self.session_ended(watched, told)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune: the worker died, and the trial is to be started again."""
        if watched := self._of(trial):
            self.trial_died(watched)
            watched.attempt += 1

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune: the trial is over, by itself or because a scheduler or stopper said so; or Tune itself goes down."""
        over = (trial.last_result or {}).get("done")
        if over and (watched := self._of(trial)):
            whole = watched.sessions == watched.planned
            self._end(watched.name, "failed" if watched.failure else "finished" if whole else "stopped")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune: the worker died once too often."""
        if watched := self._of(trial):
            times = f" {watched.attempt} times" if watched.attempt > 1 else ""
            watched.failure = watched.failure or f"its worker process died{times}"
            self._end(watched.name, "failed")

    def _end(self, name: str, status: Status) -> None:
        self.trial_ended(self._open.pop(name), status)
        self._over.add(name)

    def _of(self, trial: Any) -> Watched | None:
        """What is known of a trial of Tune's; None if it has ended before the sweep began again."""
        name = str(trial.config["name"])
        if name not in self._open and name not in self._over:
            self._open[name] = Watched(name, ChainConfig.model_validate(trial.config["chain"]))
            self.trial_started(self._open[name])
        return self._open.get(name)


class Background(Watcher):
    """A watcher that writes elsewhere, on a thread of its own: neither its pace nor its end may be the sweep's.

    What goes wrong (a full disk, a server that is down) is told once; after that the sweep goes on without it. At the
    end of the block it waits until all is delivered.
    """

    def __init__(self) -> None:
        super().__init__(attempts=1)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=type(self).__name__)
        self._broken = False

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._thread.shutdown(wait=True)

    def later(self, action: Callable[..., None], *arguments: Any) -> None:
        """Does something after all that was to be done before."""
        self._thread.submit(self._do, action, *arguments)

    def _do(self, action: Callable[..., None], *arguments: Any) -> None:
        if self._broken:
            return
        try:
            action(*arguments)
        except Exception as error:
            self._broken = True
            reason = printable(" ".join(str(error).split())[:300])
            _LOGGER.warning("%s stopped logging (%s: %s)", type(self).__name__, type(error).__name__, reason)
