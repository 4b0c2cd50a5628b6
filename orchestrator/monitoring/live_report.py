"""The page of a run while it runs: written now and then, so that it can be looked at before the end."""

import time
from contextlib import suppress
from pathlib import Path

from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from orchestrator.monitoring.watcher import Background, SessionResult, Watched
from orchestrator.results.ceilings import save_shared_clips
from orchestrator.results.run_folder import RunFolder

PAUSE = 20.0  # seconds between two writings
PAGE = Path("report") / "report.html"


class LivePage(Background):
    """Keeps RUN/report/report.html up to date, on a thread of its own.

    Args:
        folder: of the run.
        benchmark: that it runs on, for the ceilings.
    """

    def __init__(self, folder: RunFolder, benchmark: Location) -> None:
        super().__init__()
        self._folder = folder
        self._benchmark = benchmark
        self._next = 0.0

    def __enter__(self) -> "LivePage":
        super().__enter__()
        self.later(lambda: save_shared_clips(Shards(self._benchmark), self._folder.path))
        return self

    def session_ended(self, trial: Watched, result: SessionResult) -> None:
        """Writes the page, unless it was written a moment ago; what takes longer is written less often."""
        if time.monotonic() >= self._next:
            self._next = float("inf")  # until it is written
            self.later(self._write)

    def _write(self) -> None:
        from orchestrator.reporting.html import write_page  # Plotly and SciPy take a second
        from orchestrator.results.run import Run

        began = time.monotonic()
        with suppress(EarshotError):  # a record was read before its predictions came; the next writing has both
            self._folder.gather()
            write_page(Run.load(self._folder.path), self._folder.path / PAGE, live=True)
        took = time.monotonic() - began
        self._next = time.monotonic() + max(PAUSE, 20 * took)
