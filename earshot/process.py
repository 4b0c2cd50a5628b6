"""What a call of the library changes in the user's process, and restores."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from datasets.utils.home import ensure_home

_LOGGERS = ("ray", "ray.data", "ray.tune", "mlflow")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@contextmanager
def settings_restored() -> Iterator[None]:
    """After the block, signal handlers, log levels, PyTorch's number of threads and Tune's settings are as before.

    Within it there is a home folder (`datasets.utils.home`).
    """
    variables = _of_tune()
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    in_main_thread = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS if in_main_thread}
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    try:
        ensure_home()
        yield
    finally:
        for number, handler in handlers.items():  # Tune leaves its own in place
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        if threads is not None:
            sys.modules["torch"].set_num_threads(threads)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for name in _of_tune():
            del os.environ[name]
        os.environ.update(variables)


def _of_tune() -> dict[str, str]:
    """The environment variables that Tune reads."""
    return {name: value for name, value in os.environ.items() if name.startswith("TUNE_")}
