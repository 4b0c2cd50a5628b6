"""Reads how far the running trainings are, for the view on the console."""

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from orchestrator.monitoring.listener import Listener, RunningTraining, Status, TrialState
from orchestrator.monitoring.progress import ROWS
from trainables.live_curves import live_interval
from trainables.training_curves import LIVE_FILE, parse_curves

if TYPE_CHECKING:  # it imports PyArrow
    from orchestrator.results.run_folder import RunFolder


class LiveTraining(Listener):
    """Sets `TrialState.training` of the trials that the console shows.

    Workers write the curves of the session that they compute to a small file in the folder of their trial
    (`trainables.live_curves`). A thread reads these files as often as they are written; neither a worker nor the view
    ever waits for it. Where nodes do not share the folder, the files are in the storage.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: "RunFolder") -> None:
        self._folder = folder
        self._running: dict[str, TrialState] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read_all, name="earshot-live-training", daemon=True)

    def __enter__(self) -> "LiveTraining":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()  # a thread that waits for a slow storage ends with this process

    def trial_started(self, trial: TrialState) -> None:
        """Follows the trial."""
        self._running[trial.name] = trial

    def worker_died(self, trial: TrialState) -> None:
        """Follows the trial no longer, until it is started again."""
        self._forget(trial)

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        """Follows the trial no longer."""
        self._forget(trial)

    def sweep_restarted(self, reason: str) -> None:
        """Follows no trial, until it is started again."""
        for trial in list(self._running.values()):
            self._forget(trial)

    def _forget(self, trial: TrialState) -> None:
        self._running.pop(trial.name, None)
        trial.training = None

    def _read_all(self) -> None:
        output = self._folder.output("")
        while not self._stopped.wait(live_interval(output)):
            for trial in list(self._running.values())[:ROWS]:
                if not self._stopped.is_set():
                    self._read(trial, self._folder.output(trial.name) / LIVE_FILE)

    def _read(self, trial: TrialState, file: Location) -> None:
        sessions = trial.sessions
        training = None
        with suppress(OSError, EarshotError):  # there is none before a session has trained for a while
            session, curves = parse_curves(file.read_bytes(), LIVE_FILE)
            training = RunningTraining(session, curves[-1]) if curves else None
        if trial.name in self._running and trial.sessions == sessions:  # the file is not that of a completed session
            trial.training = training
