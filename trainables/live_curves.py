"""The curves of the session that is computed at the moment, in a file that other processes read meanwhile."""

import threading
from contextlib import suppress

from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from trainables.learners.training_listener import Epoch
from trainables.training_curves import LIVE_FILE, CurveRecorder, Curves, write_curves

INTERVAL = 1.0  # seconds between two writes, at least
REMOTE_INTERVAL = 15.0  # the same behind a URI, where each write is a request that costs money


def live_interval(folder: Location) -> float:
    """Seconds between two writes of a live file in a folder, and so between two reads that make sense."""
    return INTERVAL if folder.local is not None else REMOTE_INTERVAL


class LiveCurves:
    """A listener to the trainings of a session, inside of a `with` block around them.

    Keeps their curves, and writes them to `training.json` in the folder of the trial while the block lasts. The file is
    written by a thread that starts with the first epoch; a session that ends within `INTERVAL` writes none. No error of
    the file system ends the session.

    Args:
        folder: of the trial.
        session: index of the session.
    """

    def __init__(self, folder: Location, session: int) -> None:
        self._folder = folder
        self._session = session
        self._recorder = CurveRecorder()
        self._changed = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "LiveCurves":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def __call__(self, epoch: Epoch) -> None:
        """Adds an epoch."""
        self._recorder(epoch)
        self._changed = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="earshot-curves", daemon=True)
            self._thread.start()

    def curves(self) -> Curves:
        """The curves so far."""
        return self._recorder.curves()

    def _write(self) -> None:
        file = self._folder / LIVE_FILE
        written = False
        while not self._stopped.wait(live_interval(self._folder)):
            if self._changed:
                self._changed, written = False, True
                with suppress(OSError, EarshotError):
                    file.write(write_curves(self._session, self.curves()))
        if written:
            with suppress(OSError, EarshotError):
                file.remove()
