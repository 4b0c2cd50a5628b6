"""Ctrl-C, SIGTERM and SIGHUP end a command with one line and the status 128 + number of the signal.

SIGTERM is what Slurm, Kubernetes, systemd and `timeout` send; SIGHUP is sent when a terminal is closed. Signals that
the parent process made this one ignore, as `nohup` does, stay ignored.

Imports only the standard library, because the first import of a command is this module.
"""

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = "interrupted; run the same command again"
IGNORED = 10.0  # seconds that a command has to end after a signal during an import
REPEATED = 2.0  # seconds: `timeout` sends its signal to the process and then to its group

_received: list[int] = []  # the first signal, once one was received
_commands: list[None] = []  # one entry within `signals_interrupt`


def received() -> int | None:
    """The signal that ends this command; None if there was none."""
    return _received[0] if _received else None


def status() -> int:
    """The exit status of an interrupted command: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + (received() or signal.SIGINT)


def is_command() -> bool:
    """Whether this process runs a command, which may end it; False where a program uses the library."""
    return bool(_commands)


def end_at_once_when_interrupted() -> None:
    """Signals end this process at once, with one line: for the imports before a command, which has started nothing."""
    for number in _caught():
        signal.signal(number, _end)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Within the block, signals raise `KeyboardInterrupt` in the main thread; has no effect in other threads.

    SIGTERM and SIGHUP call the handler of Ctrl-C, which a library may have replaced by its own. After the block they
    are ignored if there was a signal: the process ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _caught()}
    last = 0.0

    with ExitStack() as stack:

        def interrupt(number: int, frame: FrameType | None) -> None:
            nonlocal last
            now = time.monotonic()
            repeated = number != signal.SIGINT and now - last < REPEATED
            last = now
            if repeated:
                return
            if not _received:
                _received.append(number)
                if _imports(frame):
                    stack.enter_context(_interrupted_import(number))
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler) and handler is not interrupt:
                handler(signal.SIGINT, frame)
            else:
                raise KeyboardInterrupt

        for number in before:
            signal.signal(number, interrupt)
        _commands.append(None)
        try:
            yield
        finally:
            _commands.pop()
            for number, handler in before.items():
                ending = signal.SIG_DFL if number == signal.SIGINT else signal.SIG_IGN
                signal.signal(number, ending if _received else handler)
            _received.clear()


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


@contextmanager
def _interrupted_import(number: int) -> Iterator[None]:
    """Hides what C extensions print when their import is interrupted; ends the process if one continues regardless."""
    hooks = sys.excepthook, sys.unraisablehook
    sys.excepthook = lambda *_: None
    sys.unraisablehook = lambda _: None
    timer = threading.Timer(IGNORED, _end, (number, None))
    timer.daemon = True
    timer.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    timer.cancel()
    sys.excepthook, sys.unraisablehook = hooks


def _caught() -> list[signal.Signals]:
    """The signals that this process does not ignore."""
    return [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]


def _end(number: int, frame: FrameType | None) -> None:
    try:
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{INTERRUPTED}\n".encode())
    finally:
        os._exit(128 + number)
