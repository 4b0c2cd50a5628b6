"""Ends a block in which Ray is used when Ray itself has died: its calls would wait for ever, or end this process."""

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

    If Ray is not alive, the block is interrupted; so is one that goes on after a signal, because code that ignores
    exceptions was interrupted. Where that has no effect because the main thread waits in C++ code, one line is printed
    and the process ends. A block in another thread cannot be interrupted, and is not checked.

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
    block_ended, stop = threading.Event(), threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not block_ended.is_set():
            raise _ClusterLost

    def end(line: str) -> None:
        """Ends this process, unless the main thread does."""
        if not stop.wait(PATIENCE):
            standard_error = os.dup(2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where Ray's C++ code in this process reports what it lost
            clean_up()
            os.write(standard_error, f"{line}\n".encode())
            os._exit(2 if signals.received() is None else signals.status())

    def watch() -> None:
        waited = 0.0
        while not block_ended.wait(PERIOD):
            waited += PERIOD if signals.received() is not None else 0.0
            reason = health.loss()
            if reason is None and waited < PATIENCE:
                continue
            # after a signal that also ended Ray's processes, the main thread may end by itself
            if signals.received() is None or not block_ended.wait(GRACE):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)
            end(f"error: {_message(reason, advice)}" if reason else _message("interrupted", advice))
            return
        if signals.received() is not None:  # the shutdown of Ray may wait for a call that was interrupted
            end(_message("interrupted", advice))

    before = signal.signal(signal.SIGUSR2, interrupt)
    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:  # an error of Ray may come first; Tune ends without one
        if signals.received() is None and (reason := health.loss(at_once=True)):
            raise EarshotError(_message(reason, advice)) from error
        raise
    finally:
        block_ended.set()
        shut_down()
        stop.set()
        thread.join()
        signal.signal(signal.SIGUSR2, before)


def _message(reason: str, advice: str) -> str:
    return printable(f"{reason}; completed work is saved. {advice}")
