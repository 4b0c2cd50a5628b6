"""Ends a block in which Ray is used when Ray itself has died: its calls would wait without end, or end this process."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from datasets.utils import signals
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable

PERIOD = 1.0  # seconds between two checks
GRACE = 3.0  # seconds that this process has to end after a signal, before it is interrupted again
PATIENCE = 20.0  # seconds that this process has to end by itself, before it is ended


class Health(Protocol):
    """Whether Ray is alive."""

    def loss(self, at_once: bool = False) -> str | None:
        """What has died; None if Ray is alive.

        Args:
            at_once: no answer is a loss already, because a call of Ray has failed. Otherwise a cluster has some time.
        """


class _ClusterLost(KeyboardInterrupt):
    """Raised in the main thread. It is no `Exception`, so the handlers of Ray and Tune let it pass."""


@contextmanager
def watchdog(
    health: Health, advice: str, *, shut_down: Callable[[], None], clean_up: Callable[[], None]
) -> Iterator[None]:
    """Checks once a second, from another thread, that Ray is alive; shuts it down after the block.

    If Ray is not alive, the block is interrupted; so is one that continues after a signal, because code that ignores
    exceptions was interrupted. Where that has no effect because the main thread waits in C++ code, one line is printed
    and the process ends, if it runs a command; the process of a program that uses the library is not ended. A block in
    another thread cannot be interrupted, and is not checked.

    Args:
        health: of Ray.
        advice: what the user can do, the end of the error.
        shut_down: of Ray, in this process.
        clean_up: ends what is left of Ray; called before the process is ended.

    Raises:
        EarshotError: a part of Ray has died.
    """
    if threading.current_thread() is not threading.main_thread():
        try:
            yield
        finally:
            shut_down()
        return
    watch = _Watch(health, advice, clean_up)
    before = signal.signal(signal.SIGUSR2, watch.interrupt)
    thread = threading.Thread(target=watch.run, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:  # an error of Ray may come first; Tune ends without one
        if signals.received() is None and (reason := health.loss(at_once=True)):
            raise EarshotError(_message(reason, advice)) from error
        raise
    finally:
        watch.block_ended.set()
        shut_down()
        watch.shut_down.set()
        thread.join()
        signal.signal(signal.SIGUSR2, before)


class _Watch:
    """The thread that checks that Ray is alive, and interrupts or ends the main thread.

    Attributes:
        block_ended: set when the block has ended.
        shut_down: set when Ray has been shut down after it.
    """

    def __init__(self, health: Health, advice: str, clean_up: Callable[[], None]) -> None:
        self.health = health
        self.advice = advice
        self.clean_up = clean_up
        self.block_ended = threading.Event()
        self.shut_down = threading.Event()

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """The signal handler, in the main thread."""
        if not self.block_ended.is_set():
            raise _ClusterLost

    def run(self) -> None:
        waited = 0.0
        while not self.block_ended.wait(PERIOD):
            waited += PERIOD if signals.received() is not None else 0.0
            reason = self.health.loss()
            if reason is None and waited < PATIENCE:
                continue
            # after a signal that also ended Ray's processes, the main thread may end by itself
            if signals.received() is None or not self.block_ended.wait(GRACE):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)
            message = _message(reason or "interrupted", self.advice)
            self._end_process(f"error: {message}" if reason else message)
            return
        if signals.received() is not None:  # the shutdown of Ray may wait for a call that was interrupted
            self._end_process(_message("interrupted", self.advice))

    def _end_process(self, line: str) -> None:
        """Ends this process if it runs a command, unless the main thread does."""
        if not self.shut_down.wait(PATIENCE) and signals.is_command():
            standard_error = os.dup(2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where Ray's C++ code in this process reports what it lost
            self.clean_up()
            os.write(standard_error, f"{line}\n".encode())
            os._exit(2 if signals.received() is None else signals.status())


def _message(reason: str, advice: str) -> str:
    return printable(f"{reason}; completed work is saved. {advice}")
