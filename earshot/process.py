"""What a call of the library changes in the user's process, and restores."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from datasets.utils.home import ensure_home

_LOGGERS = ("ray", "ray.data", "ray.tune", "mlflow")


@contextmanager
def settings_restored() -> Iterator[None]:
    """After the block, Tune's settings, the levels of loggers and PyTorch's number of threads are as before it.

    Within it there is a home folder (`datasets.utils.home`).
    """
    variables = _of_tune()
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    try:
        ensure_home()
        yield
    finally:
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
