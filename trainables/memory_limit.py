"""A limit on the memory of a trial, kept by the trial itself: the one that breaks it dies, and not its neighbours; and
how much a session took.

Counted is what the process has for itself. Memory-mapped files, which trials share and the system may drop, are not.
"""

import json
import os
import threading
from contextlib import suppress
from pathlib import Path

import torch

from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from trainables.records import FILE_NAME

POLL = 0.2  # seconds between two looks
STATUS = 137  # of a process that ended itself, as of one that the system killed for its memory


class MemoryWatch:
    """Ends this process when it has more memory for itself than it may.

    Why is written into the trial's folder first, for the process that takes the trial over: a trial that was too large
    once would be so again, so it is not repeated within the same run of the sweep.

    Args:
        folder: of the trial: a path or a URI.
        launch: names this run of the sweep; another one tries again.
        limit: bytes; None for no limit.
    """

    def __init__(self, folder: str, launch: str, limit: int | None) -> None:
        self._file = Location.of(folder) / FILE_NAME
        self._launch = launch
        self._limit = limit
        self._ended = threading.Event()

    def verdict(self) -> str:
        """Why this trial must not run again; empty where it may."""
        if self._limit is None:
            return ""
        try:
            found = json.loads(self._file.read_bytes())
            return str(found["reason"]) if found["launch"] == self._launch else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def start(self) -> None:
        """Watches from a thread of its own."""
        if self._limit is not None:
            threading.Thread(target=self._run, args=(self._limit,), name="earshot-memory", daemon=True).start()

    def stop(self) -> None:
        """Watches no longer."""
        self._ended.set()

    def _run(self, limit: int) -> None:
        while not self._ended.wait(POLL):
            used = private_bytes()
            if used <= limit:
                continue
            reason = f"used {used / 1e9:.2f} GB of memory, more than --memory-per-trial {limit / 1e9:.2f} GB allows"
            with suppress(OSError, EarshotError):  # else the sweep tries it a few times more
                self._file.write(json.dumps({"launch": self._launch, "reason": reason}).encode())
            os._exit(STATUS)


class Peak:
    """The most memory that this process, or on a GPU its tensors, had at a time since the object was made.

    Args:
        device: where networks run; on a CPU the resident memory of the whole process is meant.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            with suppress(OSError):  # where it is not allowed the peak is that since the process began
                Path("/proc/self/clear_refs").write_text("5")

    def bytes(self) -> int | None:
        """The peak so far; None where the system does not tell."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return 1024 * int(line.split()[1])
        return None


def private_bytes() -> int:
    """Memory that this process has for itself: anonymous and resident, or swapped out."""
    found = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(("RssAnon:", "VmSwap:")):
            found += 1024 * int(line.split()[1])
    return found
