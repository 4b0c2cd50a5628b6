"""What a person sees while a sweep runs: what is running, what is left."""

import time
from typing import Any

from ray import tune
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from trainables.trial import OBJECTIVE


class SweepProgress(tune.Callback):
    """A live view on a terminal; elsewhere, one line per trial that ends.

    Args:
        console: where to draw.
        trials: number of trials of the sweep.
        sessions: number of sessions of each.
    """

    def __init__(self, console: Console, trials: int, sessions: int) -> None:
        self._console = console
        self._sessions = sessions
        self._trials = trials
        self._ended = 0
        self._failed = 0
        self._started = time.monotonic()
        self._rows: dict[str, TaskID] = {}
        self._behind: dict[str, int] = {}  # sessions that a trial has behind it
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._all = self._bar.add_task("sessions", total=trials * sessions, note="")

    def __enter__(self) -> "SweepProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks for a restore that we never ask for; a view has no state to keep

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial begins, or begins again after its worker died."""
        name = trial_name(trial)
        if name not in self._rows:
            self._rows[name] = self._bar.add_task(f"  {name}", total=self._sessions, note="")
        self._bar.update(self._rows[name], completed=0)
        self._behind[name] = 0
        self._refresh()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A session ended."""
        if "session" not in result:
            return
        name = trial_name(trial)
        self._behind[name] = result["session"] + 1
        if name in self._rows:
            note = f"validation {100 * result[OBJECTIVE]:.1f} %"
            self._bar.update(self._rows[name], completed=self._behind[name], note=note)
        self._refresh()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended, well or with a reason."""
        self._end(trial, trial.last_result.get("failed"))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial's worker died more often than is retried."""
        self._end(trial, "its worker process died")

    def _end(self, trial: Any, failure: str | None) -> None:
        name = trial_name(trial)
        self._ended += 1
        self._failed += bool(failure)
        if name in self._rows:
            self._bar.remove_task(self._rows.pop(name))
        self._behind[name] = self._sessions
        if failure:
            self._console.print(f"[red]failed[/red]  {name}: {escape(failure)}", highlight=False, soft_wrap=True)
        elif not self._console.is_terminal:
            seconds = time.monotonic() - self._started
            value = 100 * trial.last_result.get(OBJECTIVE, float("nan"))
            self._console.print(
                f"{self._ended:>4}/{self._trials}  {name:<32} validation {value:5.1f} %  {seconds:6.0f} s",
                highlight=False,
            )
        self._refresh()

    def _refresh(self) -> None:
        left = self._trials - self._ended
        note = f"{left} trial{'s' if left != 1 else ''} left" + (f", {self._failed} failed" if self._failed else "")
        self._bar.update(self._all, completed=sum(self._behind.values()), note=note)


def trial_name(trial: Any) -> str:
    """Our name of a Tune trial."""
    return str(trial.config["name"])
