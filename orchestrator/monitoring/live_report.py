"""The report page of a run, updated while the run is in progress."""

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.utils.errors import EarshotError
from orchestrator.monitoring.listener import BackgroundListener, SessionResult, Status, TrialState
from orchestrator.monitoring.sweep_state import SweepState

if TYPE_CHECKING:  # these import PyArrow
    from datasets.utils.location import Location
    from orchestrator.results.run_folder import RunFolder

INTERVAL = 20.0  # seconds between two updates, at least
ROWS = 30  # running trials that the page lists, at most
PAGE = Path("report") / "report.html"


class LiveReport(BackgroundListener):
    """Keeps RUN/report/report.html up to date, with the progress of the sweep.

    Args:
        folder: of the run.
        benchmark: of the run, to compute the ceilings of its accuracies.
        state: of the sweep; this passes all events on to it.
    """

    def __init__(self, folder: "RunFolder", benchmark: "Location", state: SweepState) -> None:
        super().__init__()
        self._folder = folder
        self._benchmark = benchmark
        self._state = state
        self._next = 0.0

    def __enter__(self) -> "LiveReport":
        self._state.__enter__()
        self.submit(self._write_ceilings)
        return self

    def trial_started(self, trial: TrialState) -> None:
        """Passed on."""
        self._state.trial_started(trial)

    def session_finished(self, trial: TrialState, result: SessionResult) -> None:
        """Updates the page, at most every `INTERVAL`, and less often where writing it takes long."""
        self._state.session_finished(trial, result)
        self._update()

    def worker_died(self, trial: TrialState) -> None:
        """Passed on."""
        self._state.worker_died(trial)

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        """Updates the page, likewise: a trial may fail before its first session is finished."""
        self._state.trial_ended(trial, status)
        self._update()

    def sweep_restarted(self, reason: str) -> None:
        """Passed on."""
        self._state.sweep_restarted(reason)

    def _update(self) -> None:
        if time.monotonic() >= self._next:
            self._next = float("inf")  # until the page is written
            self.submit(self._write_page)

    def _write_ceilings(self) -> None:
        from datasets.benchmark.shards import Shards
        from orchestrator.results.ceilings import save_shared_clips

        save_shared_clips(Shards(self._benchmark), self._folder.path)

    def _write_page(self) -> None:
        from orchestrator.reporting.html import write_page  # Plotly and SciPy take a second
        from orchestrator.results.run import Run

        began = time.monotonic()
        with suppress(EarshotError):  # a record was read before its predictions arrived; the next update has both
            self._folder.gather()
            write_page(Run.load(self._folder.path), self._folder.path / PAGE, progress=self._state.describe(ROWS))
        seconds = time.monotonic() - began
        self._next = time.monotonic() + max(INTERVAL, 20 * seconds)
