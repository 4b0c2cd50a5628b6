"""What a person sees while a sweep runs: what is running, what is left, what sharing saved, what went wrong.

    sessions  ━━━━━━━━━━━━━━━━━━━━━━━  131/240  4 min, about 3 min left
    26 of 48 trials ended, 2 running; 97 sessions computed, 34 found (saved 5 min); 1 failed, 3 stopped
      ede-1f0c22d4-s0             session 3 of 5     12 s  validation 41.2 %
      ede-1f0c22d4-s1             session 2 of 5      4 s  validation 44.9 %  attempt 2 of 4

It goes when the sweep ends; what failed or was tried again stays above it, a line each.
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

from datasets.utils.humanize import format_duration
from orchestrator.monitoring.remaining_time import Estimate
from orchestrator.monitoring.watcher import SessionResult, Status, Watched, Watcher

ROWS = 12  # trials that are shown at a time, at most


class SweepProgress(Watcher):
    """A live view on a terminal; elsewhere, one line per trial that ends.

    A result costs a few additions: the view is drawn by a thread of its own, four times a second.

    Args:
        console: where to draw.
        trials: number of trials of the sweep, by method.
        sessions: number of sessions of each.
        attempts: how often a trial is started whose worker dies.

    Attributes:
        saved: seconds that the sessions which were found had taken to compute.
    """

    def __init__(self, console: Console, trials: Mapping[str, int], sessions: int, attempts: int) -> None:
        super().__init__(attempts)
        self.saved = 0.0
        self._console = console
        self._sessions = sessions
        self._trials = sum(trials.values())
        self._estimate = Estimate(trials, sessions)
        self._started = time.monotonic()
        self._running: dict[str, Watched] = {}
        self._ended: Counter[Status] = Counter()
        self._computed = self._found = self._died = 0
        self._behind = 0  # sessions that are over: ended, or never to be
        self._live = Live(get_renderable=self._view, console=console, transient=True) if console.is_terminal else None

    def __enter__(self) -> "SweepProgress":
        self._started = time.monotonic()
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        if self._live:
            self._live.stop()

    def trial_started(self, trial: Watched) -> None:
        """Shows the trial."""
        self._running[trial.name] = trial

    def session_ended(self, trial: Watched, result: SessionResult) -> None:
        """Counts the session."""
        self._behind += 1
        self._found += result.found
        self._computed += not result.found
        if result.found:
            self.saved += result.seconds
        else:
            self._estimate.session_computed(trial.chain.method, result.index, result.seconds)

    def trial_died(self, trial: Watched) -> None:
        """Tells that the trial will be tried again."""
        self._running.pop(trial.name, None)
        self._died += 1
        self._print(f"[yellow]retried[/yellow] {trial.name}: its worker died; {self._attempt(trial.attempt + 1)}")

    def trial_ended(self, trial: Watched, status: Status) -> None:
        """Counts the trial and tells how it ended."""
        self._running.pop(trial.name, None)
        self._ended[status] += 1
        self._behind += max(self._sessions - trial.sessions, 0)
        self._estimate.trial_ended(trial.chain.method, time.monotonic() - trial.began, trial.computed)
        count = "" if self._live else f"{self._ended.total():>4}/{self._trials}  "
        if status == "failed":
            self._print(f"{count}[red]failed[/red]  {trial.name}: {escape(trial.failure)}")
        elif not self._live:
            self._print(count + self._line(trial, status))

    def sweep_restarted(self, why: str) -> None:
        """Tells that the trials which ran begin again."""
        self._died += len(self._running)
        self._running.clear()
        self._print(f"[yellow]restarted[/yellow] {escape(why)}; trials go on from their finished sessions")

    def _line(self, trial: Watched, status: Status) -> str:
        """What is printed of a trial that ended well, where there is no live view."""
        how = [f"validation {100 * trial.validation:5.1f} %"] if not math.isnan(trial.validation) else []
        if found := trial.sessions - trial.computed:
            how.append(f"{found} of {trial.sessions} sessions found")
        if status == "stopped":
            how.append(f"stopped after {trial.sessions} of {self._sessions} sessions")
        return f"{trial.name:<32} {', '.join(how)}  {self._times()}"

    def _print(self, line: str) -> None:
        with suppress(OSError):  # a full disk under stdout does not end the sweep
            self._console.print(line, highlight=False, soft_wrap=True)

    def _times(self) -> str:
        """Time that passed, and that is left."""
        now = time.monotonic()
        running = [(trial.chain.method, now - trial.began) for trial in list(self._running.values())]
        over = self._ended.total() >= self._trials
        left = None if over else self._estimate.seconds_left(running)
        return format_duration(now - self._started) + (
            f", about {format_duration(left)} left" if left is not None else ""
        )

    def _attempt(self, number: int) -> str:
        return f"attempt {number} of {self.attempts}"

    def _counts(self) -> str:
        trials = f"{self._ended.total()} of {self._trials} trials ended, {len(self._running)} running"
        saved = f" (saved {format_duration(self.saved)})" if self._found else ""
        sessions = f"{self._computed} sessions computed, {self._found} found{saved}"
        others = {"failed": self._ended["failed"], "stopped": self._ended["stopped"], "retried": self._died}
        wrong = ", ".join(f"{count} {name}" for name, count in others.items() if count)
        return "; ".join(part for part in (trials, sessions, wrong) if part)

    def _view(self) -> RenderableType:
        """The live view; called by the thread that draws, while Tune's calls back."""
        head = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=self._trials * self._sessions, completed=self._behind, width=28)
        head.add_row("[bold]sessions[/bold]", bar, f"{self._behind}/{self._trials * self._sessions}", self._times())
        running = list(self._running.values())
        rows = Table.grid(padding=(0, 1))
        rows.add_column(no_wrap=True)
        rows.add_column(no_wrap=True)
        rows.add_column(no_wrap=True, justify="right")
        rows.add_column(no_wrap=True)
        now = time.monotonic()
        shown = max(1, min(ROWS, self._console.height - 5))
        for trial in running[:shown]:
            session = min(trial.sessions + 1, self._sessions)
            note = [] if math.isnan(trial.validation) else [f"validation {100 * trial.validation:.1f} %"]
            note += [self._attempt(trial.attempt)] if trial.attempt > 1 else []
            rows.add_row(
                Text(f"  {trial.name}"),
                f"session {session} of {self._sessions}",
                format_duration(now - trial.began),
                ", ".join(note),
            )
        if not running and self._ended.total() < self._trials:
            rows.add_row("  starting workers")
        more = [Text(f"  and {len(running) - shown} more")] if len(running) > shown else []
        return Group(head, Text(self._counts()), rows, *more)
