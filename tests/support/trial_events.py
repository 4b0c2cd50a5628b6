"""Trials whose events are reported directly to listeners, as `TuneMonitor` reports them, without Ray."""

import time
from collections.abc import Callable
from typing import Any

from orchestrator.monitoring.listener import Listener, SessionResult, Status, TrialState
from trainables.chain_config import ChainConfig
from trainables.training_curves import Curves, TrainingCurve


def trial_name(seed: int, method: str = "ede") -> str:
    return f"{method}-1f0c22d4-s{seed}"


def chain_fields(seed: int = 0, method: str = "ede", **fields: Any) -> dict[str, Any]:
    """The fields of a `ChainConfig`, in JSON types."""
    seeds = {"order": seed, "support": seed, "initialisation": seed}
    return {
        "benchmark": "/data/tones",
        "method": method,
        "seeds": seeds,
        "protocol": {"name": "ffcac-25"},
        **fields,
    }


class TrialEvents:
    """One trial of `sessions` sessions; each method reports one event to all listeners."""

    def __init__(
        self, *listeners: Listener, seed: int = 0, method: str = "ede", sessions: int = 3, **chain: Any
    ) -> None:
        self._listeners = listeners
        self._sessions = sessions
        self.name = trial_name(seed, method)
        self.state = TrialState(self.name, ChainConfig.model_validate(chain_fields(seed, method, **chain)))

    def start(self) -> "TrialEvents":
        """A worker starts the trial."""
        self.state.began = time.monotonic()
        return self._notify(lambda listener: listener.trial_started(self.state))

    def session(
        self,
        index: int,
        *,
        cached: bool = False,
        seconds: float = 2.0,
        value: float = 0.5,
        training: Curves = (),
    ) -> "TrialEvents":
        """A session is completed; all accuracies are `value`."""
        accuracy = {"val/prototype": value, "test/prototype": value}
        validation = {"aa": value, "final": value}
        before = self.state.epochs
        result = SessionResult(index, cached, seconds, 1000 + index, accuracy, validation, training, before)
        self.state.epochs += sum(curve.epochs for curve in training)
        self.state.sessions = index + 1
        self.state.planned = self._sessions
        self.state.computed += not cached
        self.state.validation = value
        return self._notify(lambda listener: listener.session_finished(self.state, result))

    def worker_dies(self) -> "TrialEvents":
        """The worker died; the trial will be started again."""
        self._notify(lambda listener: listener.worker_died(self.state))
        self.state.attempt += 1
        return self

    def end(self, status: Status = "finished", failure: str = "") -> "TrialEvents":
        """The trial ended."""
        self.state.failure = failure
        return self._notify(lambda listener: listener.trial_ended(self.state, status))

    def _notify(self, event: Callable[[Listener], None]) -> "TrialEvents":
        for listener in self._listeners:
            event(listener)
        return self


def finish(trial: TrialEvents, sessions: int = 3) -> TrialEvents:
    """Reports a trial that completes all its sessions."""
    trial.start()
    for index in range(sessions):
        trial.session(index)
    return trial.end()


def curve(epochs: int, done: int | None = None, name: str = "session 2") -> TrainingCurve:
    """A training whose loss is 1 / epoch, up to epoch `done`."""
    epoch = tuple(range(1, (done or epochs) + 1))
    loss = tuple(1 / number for number in epoch)
    return TrainingCurve(name=name, epochs=epochs, epoch=epoch, loss=loss, lr=(0.1,) * len(epoch))
