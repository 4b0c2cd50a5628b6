"""Adapts Ray Tune's callbacks to trial and session events, without duplicates after restarts."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from ray import tune

from orchestrator.monitoring.listener import VALIDATION, Listener, SessionResult, Status, TrialState, warn_of_failure
from trainables.chain_config import ChainConfig
from trainables.session_results import OBJECTIVE
from trainables.training_curves import curves_of

ACCURACIES = ("val/", "test/")  # prefixes of accuracies in a result: `val/HEAD`, `test/HEAD`


class TuneMonitor(tune.Callback):
    """Keeps the state of all trials of a sweep and reports to listeners, inside of a `with` block around the trials.

    A trial that is started again after its worker died reports its completed sessions again (they are cached). Where
    Ray gives up on all trials together, all of them start again, also those that had ended. Listeners receive each
    session and each end once. A listener that raises is dropped with a warning; the sweep continues.

    Args:
        listeners: are entered and left with the monitor.

    Attributes:
        failed: trial -> reason, of the trials that failed since the start of the sweep or its last restart.
        workers: ID of a worker's Ray actor -> the trial that it runs or ran last.
    """

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.failed: dict[str, str] = {}
        self.workers: dict[str, str] = {}
        self._listeners = list(listeners)
        self._open: dict[str, TrialState] = {}  # trials that have started and not ended
        self._ended: set[str] = set()
        self._contexts = ExitStack()

    def __enter__(self) -> "TuneMonitor":
        with ExitStack() as stack:
            for listener in self._listeners:
                stack.enter_context(listener)
            self._contexts = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._contexts:
            for trial in list(self._open.values()):  # an interrupted Tune reports no end of its trials
                self._end(trial, "stopped")

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks for a restore, which is never used here

    def restart(self, reason: str) -> None:
        """Ray gave up on all trials together, and they will be started again."""
        self.failed.clear()
        self.workers.clear()
        self._notify(lambda listener: listener.sweep_restarted(reason))
        for trial in self._open.values():
            trial.attempt += 1

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune: a worker has set up the trial."""
        actor = trial.temporary_state.ray_actor
        if actor is not None:
            self.workers[actor._ray_actor_id.hex()] = _name(trial)
        restarted = self._open.get(_name(trial))
        if restarted is None:
            self._state(trial)
        else:
            restarted.began = time.monotonic()
            self._notify(lambda listener: listener.trial_started(restarted))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Tune: `step()` has returned."""
        state = self._state(trial)
        if state is None:
            return
        state.failure = result.get("failed") or ""
        if "session" not in result or result["session"] < state.sessions:
            return  # a failure, or a session that was reported before the worker died
        session = _session_result(result, state.epochs)
        state.epochs += sum(curve.epochs for curve in session.training)
        state.training = None
        state.sessions = session.index + 1
        state.planned = result["sessions"]
        state.computed += not session.cached
        state.validation = session.validation["aa"]
        self._notify(lambda listener: listener.session_finished(state, session))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune: the worker died, and the trial will be started again."""
        if state := self._state(trial):
            self._notify(lambda listener: listener.worker_died(state))
            state.attempt += 1

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune: the trial ended, by itself or because a scheduler or stopper decided so; or Tune itself shuts down."""
        last = trial.last_result or {}
        if last.get("failed"):
            self.failed[_name(trial)] = last["failed"]
        if last.get("done") and (state := self._state(trial)):
            complete = state.sessions == state.planned
            self._end(state, "failed" if state.failure else "finished" if complete else "stopped")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune: the worker died in the last attempt."""
        state = self._state(trial)
        reason = "its worker process died" + (f" {state.attempt} times" if state and state.attempt > 1 else "")
        self.failed[_name(trial)] = reason
        if state:
            state.failure = state.failure or reason
            self._end(state, "failed")

    def _state(self, trial: Any) -> TrialState | None:
        """The state of a trial of Tune's; None if the trial ended before the sweep was restarted."""
        name = _name(trial)
        if name not in self._open and name not in self._ended:
            state = self._open[name] = TrialState(name, ChainConfig.model_validate(trial.config["chain"]))
            self._notify(lambda listener: listener.trial_started(state))
        return self._open.get(name)

    def _end(self, trial: TrialState, status: Status) -> None:
        del self._open[trial.name]
        self._ended.add(trial.name)
        self._notify(lambda listener: listener.trial_ended(trial, status))

    def _notify(self, event: Callable[[Listener], None]) -> None:
        for listener in list(self._listeners):
            try:
                event(listener)
            except Exception as error:
                self._listeners.remove(listener)
                warn_of_failure(listener, error)


def _name(trial: Any) -> str:
    return str(trial.config["name"])


def _session_result(result: dict[str, Any], epochs_before: int) -> SessionResult:
    validation = {key.removeprefix(VALIDATION): v for key, v in result.items() if key.startswith(VALIDATION)}
    return SessionResult(
        result["session"],
        result["reused"],
        result["session_seconds"],
        result["parameters_used"],
        {key: value for key, value in result.items() if key.startswith(ACCURACIES)},
        {"aa": result[OBJECTIVE], **validation},
        curves_of(result["training"]),
        epochs_before,
        result["waited_seconds"],
    )
