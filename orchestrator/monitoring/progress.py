"""The progress view of a sweep on the console: running trials, what is left, what sharing saved, failures.

    sessions  ━━━━━━━━━━━━━━━━━━━━━━━  131/240  4 min, about 3 min left
    26 of 48 trials ended, 2 running; 97 sessions computed, 34 cached (saved 5 min); 1 failed, 3 stopped
      ede-1f0c22d4-s0             session 3 of 5     12 s  validation 41.2 %, epoch 40 of 100, loss 0.31
      ede-1f0c22d4-s1             session 2 of 5      4 s  validation 44.9 %  attempt 2 of 4

The view is removed at the end of the sweep; one line per failure and retry remains above it.
"""

import math
from collections.abc import Mapping
from contextlib import suppress

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from datasets.utils.console import shows_live
from orchestrator.monitoring.listener import Status, TrialState
from orchestrator.monitoring.remaining_time import CostKey
from orchestrator.monitoring.sweep_state import SweepState

ROWS = 12  # trials shown at a time, at most


class SweepProgress(SweepState):
    """A live view on a terminal or in a notebook; elsewhere, one line per trial that ends.

    The view is drawn by its own thread, four times a second.

    Args:
        console: where to draw.
        trials: number of trials of the sweep, by method and backbone.
        sessions: number of sessions of each.
        attempts: how many times a trial is started if its worker dies.
    """

    def __init__(self, console: Console, trials: Mapping[CostKey, int], sessions: int, attempts: int) -> None:
        super().__init__(trials, sessions, attempts)
        self._console = console
        live = shows_live(console)
        self._live = Live(get_renderable=self._view, console=console, transient=True) if live else None

    def __enter__(self) -> "SweepProgress":
        super().__enter__()
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def worker_died(self, trial: TrialState) -> None:
        """Prints that the trial will be retried."""
        super().worker_died(trial)
        self._print(f"[yellow]retried[/yellow] {trial.name}: its worker died; {self._attempt(trial.attempt + 1)}")

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        """Prints a failure, or without a live view the result."""
        super().trial_ended(trial, status)
        count = "" if self._live else f"{self._ended.total():>4}/{self._trials}  "
        if status == "failed":
            self._print(f"{count}[red]failed[/red]  {trial.name}: {escape(trial.failure)}")
        elif not self._live:
            self._print(count + self._line(trial, status))

    def sweep_restarted(self, reason: str) -> None:
        """Prints that the running trials start again."""
        super().sweep_restarted(reason)
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

    def _view(self) -> RenderableType:
        """The live view; called by the thread that draws, concurrently with the events."""
        head = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=self._total, completed=self._done, width=28)
        head.add_row("[bold]sessions[/bold]", bar, f"{self._done}/{self._total}", self._times())
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
        for trial in trials:
            rows.add_row(Text(f"  {trial.name}"), *self._cells(trial))
        return rows
