"""The progress view of a sweep on the console: running trials, what is left, what sharing saved, failures.

    sessions  ━━━━━━━━━━━━━━━━━━━━━━━  131/240  4 min, about 3 min left
    26 of 48 trials ended, 2 running; 97 sessions computed, 34 cached (saved 5 min); 1 failed, 3 stopped
      ede-1f0c22d4-s0             session 3 of 5     12 s  validation 41.2 %, epoch 40 of 100, loss 0.31
      ede-1f0c22d4-s1             session 2 of 5      4 s  validation 44.9 %  attempt 2 of 4

The view is removed at the end of the sweep; one line per failure and retry remains above it.
"""

import math
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from datasets.utils.console import shows_live
from datasets.utils.humanize import format_duration
from orchestrator.monitoring.listener import Listener, RunningTraining, SessionResult, Status, TrialState
from orchestrator.monitoring.remaining_time import CostKey, RemainingTime

ROWS = 12  # trials shown at a time, at most


class SweepProgress(Listener):
    """A live view on a terminal or in a notebook; elsewhere, one line per trial that ends.

    A result costs a few additions: the view is drawn by its own thread, four times a second.

    Args:
        console: where to draw.
        trials: number of trials of the sweep, by method and backbone.
        sessions: number of sessions of each.
        attempts: how many times a trial is started if its worker dies.

    Attributes:
        saved: seconds that the cached sessions had taken to compute.
    """

    def __init__(self, console: Console, trials: Mapping[CostKey, int], sessions: int, attempts: int) -> None:
        self.saved = 0.0
        self._console = console
        self._attempts = attempts
        self._sessions = sessions
        self._trials = sum(trials.values())
        self._remaining = RemainingTime(trials, sessions)
        self._started = time.monotonic()
        self._running: dict[str, TrialState] = {}
        self._ended: Counter[Status] = Counter()
        self._computed = self._cached = self._retried = 0
        self._done = 0  # sessions that are completed, or that their trial will never reach
        live = shows_live(console)
        self._live = Live(get_renderable=self._view, console=console, transient=True) if live else None

    def __enter__(self) -> "SweepProgress":
        self._started = time.monotonic()
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def trial_started(self, trial: TrialState) -> None:
        """Shows the trial."""
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
        """Prints that the trial will be retried."""
        self._running.pop(trial.name, None)
        self._retried += 1
        self._print(f"[yellow]retried[/yellow] {trial.name}: its worker died; {self._attempt(trial.attempt + 1)}")

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        """Counts the trial; prints a failure, or without a live view the result."""
        self._running.pop(trial.name, None)
        self._ended[status] += 1
        self._done += max(self._sessions - trial.sessions, 0)
        self._remaining.trial_ended(_cost_key(trial), time.monotonic() - trial.began, trial.computed)
        count = "" if self._live else f"{self._ended.total():>4}/{self._trials}  "
        if status == "failed":
            self._print(f"{count}[red]failed[/red]  {trial.name}: {escape(trial.failure)}")
        elif not self._live:
            self._print(count + self._line(trial, status))

    def sweep_restarted(self, reason: str) -> None:
        """Prints that the running trials start again."""
        self._retried += len(self._running)
        self._running.clear()
        self._print(f"[yellow]restarted[/yellow] {escape(reason)}; trials resume from their completed sessions")

    def _line(self, trial: TrialState, status: Status) -> str:
        """The line of a trial that did not fail, where there is no live view."""
        notes = [f"validation {100 * trial.validation:5.1f} %"] if not math.isnan(trial.validation) else []
        if cached := trial.sessions - trial.computed:
            notes.append(f"{cached} of {trial.sessions} sessions cached")
        if status == "stopped":
            notes.append(f"stopped after {trial.sessions} of {self._sessions} sessions")
        return f"{trial.name:<32} {', '.join(notes)}  {self._times()}"

    def _print(self, line: str) -> None:
        with suppress(OSError):  # a full disk under stdout does not end the sweep
            self._console.print(line, highlight=False, soft_wrap=True)

    def _times(self) -> str:
        """The time since the start, and the time left."""
        now = time.monotonic()
        running = [(_cost_key(trial), now - trial.began) for trial in list(self._running.values())]
        over = self._ended.total() >= self._trials
        left = None if over else self._remaining.estimate(running)
        return format_duration(now - self._started) + (f", {left}" if left else "")

    def _attempt(self, number: int) -> str:
        return f"attempt {number} of {self._attempts}"

    def _counts(self) -> str:
        trials = f"{self._ended.total()} of {self._trials} trials ended, {len(self._running)} running"
        saved = f" (saved {format_duration(self.saved)})" if self._cached else ""
        sessions = f"{self._computed} sessions computed, {self._cached} cached{saved}"
        others = {"failed": self._ended["failed"], "stopped": self._ended["stopped"], "retried": self._retried}
        return "; ".join(filter(None, (trials, sessions, ", ".join(f"{n} {name}" for name, n in others.items() if n))))

    def _view(self) -> RenderableType:
        """The live view; called by the thread that draws, concurrently with the events."""
        total = self._trials * self._sessions
        head = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=total, completed=self._done, width=28)
        head.add_row("[bold]sessions[/bold]", bar, f"{self._done}/{total}", self._times())
        running = list(self._running.values())
        shown = max(1, min(ROWS, self._console.height - 5))
        rows = self._rows(running[:shown])
        if not running and self._ended.total() < self._trials:
            rows.add_row("  starting workers")
        more = [Text(f"  and {len(running) - shown} more")] if len(running) > shown else []
        return Group(head, Text(self._counts()), rows, *more)

    def _rows(self, trials: list[TrialState]) -> Table:
        """A row per running trial."""
        rows = Table.grid(padding=(0, 1))
        for justify in ("left", "left", "right", "left"):
            rows.add_column(no_wrap=True, justify=justify)
        now = time.monotonic()
        for trial in trials:
            session = min(trial.sessions + 1, self._sessions)
            notes = [] if math.isnan(trial.validation) else [f"validation {100 * trial.validation:.1f} %"]
            notes += [_training(trial.training, session - 1)] if trial.training else []
            notes += [self._attempt(trial.attempt)] if trial.attempt > 1 else []
            rows.add_row(
                Text(f"  {trial.name}"),
                f"session {session} of {self._sessions}",
                format_duration(now - trial.began),
                ", ".join(notes),
            )
        return rows


def _training(training: RunningTraining, session: int) -> str:
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
