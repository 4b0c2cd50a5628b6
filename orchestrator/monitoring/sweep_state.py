"""The state of a sweep while it runs: what ended, what runs, what is left, what failed. Console and page show it."""

import math
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from datasets.utils.humanize import format_duration
from orchestrator.monitoring.listener import Listener, RunningTraining, SessionResult, Status, TrialState
from orchestrator.monitoring.remaining_time import CostKey, RemainingTime

FAILURES_SHOWN = 20
"""Failures that the page lists, the last ones; the record of a trial has its reason in any case."""


class SweepState(Listener):
    """Counts what happens to the trials of a sweep. A result costs a few additions.

    Args:
        trials: number of trials of the sweep, by method and backbone.
        sessions: number of sessions of each.
        attempts: how many times a trial is started if its worker dies.

    Attributes:
        saved: seconds that the cached sessions had taken to compute.
    """

    def __init__(self, trials: Mapping[CostKey, int], sessions: int, attempts: int) -> None:
        self.saved = 0.0
        self._attempts = attempts
        self._sessions = sessions
        self._trials = sum(trials.values())
        self._remaining = RemainingTime(trials, sessions)
        self._started = time.monotonic()
        self._running: dict[str, TrialState] = {}
        self._ended: Counter[Status] = Counter()
        self._failures: dict[str, str] = {}
        self._computed = self._cached = self._retried = 0
        self._done = 0  # sessions that are completed, or that their trial will never reach

    def __enter__(self) -> "SweepState":
        self._started = time.monotonic()
        return self

    def trial_started(self, trial: TrialState) -> None:
        """Adds the trial to those that run."""
        self._running[trial.name] = trial

    def session_finished(self, trial: TrialState, result: SessionResult) -> None:
        """Counts the session."""
        self._done += 1
        if result.cached:
            self._cached += 1
            self.saved += result.seconds
        else:
            self._computed += 1
            self._remaining.session_computed(_cost_key(trial), result.index, result.seconds)

    def worker_died(self, trial: TrialState) -> None:
        """Counts the retry."""
        self._running.pop(trial.name, None)
        self._retried += 1

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        """Counts the trial."""
        self._running.pop(trial.name, None)
        self._ended[status] += 1
        self._done += max(self._sessions - trial.sessions, 0)
        self._remaining.trial_ended(_cost_key(trial), time.monotonic() - trial.began, trial.computed)
        if status == "failed":
            self._failures[trial.name] = trial.failure

    def sweep_restarted(self, reason: str) -> None:
        """Counts the retries of all running trials."""
        self._retried += len(self._running)
        self._running.clear()

    def describe(self, rows: int) -> dict[str, Any]:
        """The state in JSON types, for the page.

        Args:
            rows: running trials that are listed, at most.
        """
        running = list(self._running.values())
        return {
            "done": self._done,
            "total": self._total,
            "times": self._times(),
            "counts": self._counts(),
            "running": [[trial.name, *self._cells(trial)] for trial in running[:rows]],
            "more": max(len(running) - rows, 0),
            "failures": list(self._failures.items())[-FAILURES_SHOWN:],
        }

    @property
    def _total(self) -> int:
        return self._trials * self._sessions

    def _times(self) -> str:
        """The time since the start, and the time left."""
        now = time.monotonic()
        running = [(_cost_key(trial), now - trial.began) for trial in list(self._running.values())]
        over = self._ended.total() >= self._trials
        left = None if over else self._remaining.estimate(running)
        return format_duration(now - self._started) + (f", {left}" if left else "")

    def _counts(self) -> str:
        trials = f"{self._ended.total()} of {self._trials} trials ended, {len(self._running)} running"
        saved = f" (saved {format_duration(self.saved)})" if self._cached else ""
        sessions = f"{self._computed} sessions computed, {self._cached} cached{saved}"
        others = {"failed": self._ended["failed"], "stopped": self._ended["stopped"], "retried": self._retried}
        return "; ".join(filter(None, (trials, sessions, ", ".join(f"{n} {name}" for name, n in others.items() if n))))

    def _cells(self, trial: TrialState) -> tuple[str, str, str]:
        """Session, time and notes of a running trial."""
        session = min(trial.sessions + 1, self._sessions)
        notes = [] if math.isnan(trial.validation) else [f"validation {100 * trial.validation:.1f} %"]
        training = trial.training  # read once: another thread sets it to None
        notes += [_training_text(training, session - 1)] if training else []
        notes += [self._attempt(trial.attempt)] if trial.attempt > 1 else []
        seconds = time.monotonic() - trial.began
        return f"session {session} of {self._sessions}", format_duration(seconds), ", ".join(notes)

    def _attempt(self, number: int) -> str:
        return f"attempt {number} of {self._attempts}"


def _training_text(training: RunningTraining, session: int) -> str:
    """How far a training is: `epoch 40 of 100, loss 0.31`.

    Args:
        training: may be that of an earlier session, which is repeated where its weights are no longer in the store.
        session: index of the session that the trial computes.
    """
    curve = training.curve
    _, _, part = curve.name.partition(", ")
    again = "" if training.session == session else f"session {training.session + 1} again, "
    return f"{again}{part and f'{part} '}epoch {curve.epoch[-1]} of {curve.epochs}, loss {curve.loss[-1]:.3g}"


def _cost_key(trial: TrialState) -> CostKey:
    return trial.chain.method, trial.chain.backbone_spec
