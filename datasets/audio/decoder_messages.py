"""Keeps the messages of libmpg123 away from the console.

The decoder of MPEG audio inside libsndfile writes notes and warnings ("Xing stream size off by more than 1%") to the
standard error stream of the process, and libsndfile offers no way to turn this off.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STANDARD_ERROR = 2
_LOCK = threading.Lock()


@contextmanager
def silent_decoder(mpeg: bool) -> Iterator[None]:
    """Discards what native code writes to the standard error stream; for short calls, as it affects all threads.

    Args:
        mpeg: whether MPEG audio is decoded; if not, nothing is discarded.
    """
    if not mpeg:
        yield
        return
    with _LOCK:
        try:
            saved = os.dup(_STANDARD_ERROR)
        except OSError:  # the stream is closed: nothing can be written to it
            saved = None
        try:
            if saved is not None:
                sink = os.open(os.devnull, os.O_WRONLY)
                os.dup2(sink, _STANDARD_ERROR)
                os.close(sink)
            yield
        finally:
            if saved is not None:
                os.dup2(saved, _STANDARD_ERROR)
                os.close(saved)
