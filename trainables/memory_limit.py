"""A memory limit that a trial enforces on its own process, so that other trials are not affected; and peak memory.

The limit counts the process's private memory. Memory-mapped files, which trials share and the system may drop, do not
count.
"""

import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from trainables.records import EXCEEDED_FILE

if TYPE_CHECKING:
    import torch

INTERVAL = 0.2  # seconds between two measurements
STATUS = 137  # exit status, as of a process that the system killed for its memory


class MemoryWatch:
    """Ends this process when its private memory exceeds a limit.

    The reason is written to the trial's folder first, for the process that retries the trial: a trial that exceeded the
    limit once would exceed it again, so it is not repeated within the same launch of the sweep.

    Args:
        folder: of the trial: a path or a URI.
        launch: identifies this launch of the sweep; another launch tries the trial again.
        limit: bytes; None for no limit.
    """

    def __init__(self, folder: str, launch: str, limit: int | None) -> None:
        self._file = Location.of(folder) / EXCEEDED_FILE
        self._launch = launch
        self._limit = limit
        self._stopped = threading.Event()

    def exceeded(self) -> str:
        """Why this trial must not run again in this launch; empty if it may."""
        if self._limit is None:
            return ""
        try:
            content = json.loads(self._file.read_bytes())
            return str(content["reason"]) if content["launch"] == self._launch else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def start(self) -> None:
        """Starts measuring in a background thread."""
        if self._limit is not None:
            threading.Thread(target=self._run, args=(self._limit,), name="earshot-memory", daemon=True).start()

    def stop(self) -> None:
        """Stops measuring."""
        self._stopped.set()

    def _run(self, limit: int) -> None:
        while not self._stopped.wait(INTERVAL):
            used = private_bytes()
            if used <= limit:
                continue
            reason = f"used {used / 1e9:.2f} GB of memory, more than --memory-per-trial {limit / 1e9:.2f} GB allows"
            with suppress(OSError, EarshotError):  # without the file the sweep retries the trial a few times
                self._file.write(json.dumps({"launch": self._launch, "reason": reason}).encode())
            os._exit(STATUS)


class PeakMemory:
    """Peak memory since this object was created: of this process, or on a GPU of its tensors.

    Args:
        device: where networks run; on a CPU the resident memory of the whole process counts.
    """

    def __init__(self, device: "torch.device") -> None:
        self._device = device
        if device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(device)
        else:
            with suppress(OSError):  # where this is not permitted, the peak is that since the process started
                Path("/proc/self/clear_refs").write_text("5")

    def bytes(self) -> int | None:
        """The peak so far; None where the system does not report it."""
        if self._device.type == "cuda":
            import torch

            return int(torch.cuda.max_memory_allocated(self._device))
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return 1024 * int(line.split()[1])
        return None


def private_bytes() -> int:
    """Private memory of this process: anonymous pages, resident or swapped out."""
    total = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(("RssAnon:", "VmSwap:")):
            total += 1024 * int(line.split()[1])
    return total
