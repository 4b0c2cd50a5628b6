"""Trials that are told to watchers as Tune tells them, without Ray."""

from types import SimpleNamespace
from typing import Any

from orchestrator.monitoring.watcher import Watcher


class Telling:
    """One trial of `sessions` sessions; each method is one call of Tune to all watchers."""

    def __init__(self, *watchers: Watcher, seed: int = 0, method: str = "ede", sessions: int = 3, **chain: Any) -> None:
        self._watchers = watchers
        self._sessions = sessions
        seeds = {"order": seed, "support": seed, "initialisation": seed}
        fields = {"benchmark": "/data/tones", "method": method, "seeds": seeds, "protocol": {"name": "ffcac-25"}}
        self.name = f"{method}-1f0c22d4-s{seed}"
        config = {"name": self.name, "chain": {**fields, **chain}, "folder": f"/runs/run/trials/{self.name}"}
        self._trial = SimpleNamespace(trial_id=self.name, config=config, last_result={})

    def start(self) -> "Telling":
        """A worker has opened the trial."""
        return self._tell("on_trial_start")

    def session(self, index: int, *, found: bool = False, seconds: float = 2.0, value: float = 0.5) -> "Telling":
        """A session ended; all accuracies are `value`."""
        result = {
            "session": index,
            "sessions": self._sessions,
            "reused": found,
            "session_seconds": seconds,
            "parameters_used": 1000 + index,
            "validation_accuracy_mean": value,
            "validation/final": value,
            "val/prototype": value,
            "test/prototype": value,
            "done": index + 1 == self._sessions,
            "time_total_s": 7.0,
            "pid": 1,
        }
        return self._tell("on_trial_result", result=result)

    def fail(self, reason: str) -> "Telling":
        """The chain raised: a result without a session."""
        return self._tell("on_trial_result", result={"done": True, "failed": reason, "validation_accuracy_mean": None})

    def die(self) -> "Telling":
        """The worker died; the trial is to be started again."""
        return self._tell("on_trial_recover")

    def die_for_good(self) -> "Telling":
        """The worker died once too often."""
        return self._tell("on_trial_error")

    def complete(self) -> "Telling":
        """The trial is over, by itself or stopped."""
        self._trial.last_result["done"] = True
        return self._tell("on_trial_complete")

    def taken_down(self) -> "Telling":
        """Tune goes down, as it does when Ray gives up on all trials together, and says that the trial is over."""
        return self._tell("on_trial_complete")

    def _tell(self, what: str, **more: Any) -> "Telling":
        for watcher in self._watchers:
            getattr(watcher, what)(iteration=1, trials=[self._trial], trial=self._trial, **more)
        return self


def chain_of(telling: Telling, sessions: int = 3) -> Telling:
    """A trial that goes well."""
    telling.start()
    for index in range(sessions):
        telling.session(index)
    return telling.complete()
