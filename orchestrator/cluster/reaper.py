"""Clears up after a cluster whose owner was killed. Needs nothing but Python's own library, so that it starts at once.

    python reaper.py FOLDER

waits until its standard input ends, which the kernel sees to when the owner of the other end dies. Most of Ray's
processes share the fate of the process that started them; its agents stay for another minute.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

PATIENCE = 5.0  # seconds in which the processes of a cluster that goes down may still write into its folder


def clear(folder: Path) -> None:
    """Ends what is left of a cluster, and removes its folder."""
    for process in writers(folder):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    remove(folder)


def remove(folder: Path) -> None:
    """Removes a folder into which a process may still write its last words."""
    end = time.monotonic() + PATIENCE
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            time.sleep(0.05)


def writers(folder: Path) -> list[int]:
    """This user's other processes that have a file below the folder open for writing, as Ray's have their logs."""
    return [
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdecimal() and int(process.name) != os.getpid() and _writes(process, f"{folder}{os.sep}")
    ]


def _writes(process: Path, below: str) -> bool:
    try:
        for number in (process / "fd").iterdir():
            if str(number.readlink()).startswith(below):
                flags = (process / "fdinfo" / number.name).read_text().partition("flags:")[2].split()[0]
                if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY:
                    return True
    except OSError:  # another user's, or it has just ended
        pass
    return False


if __name__ == "__main__":
    sys.stdin.buffer.read()
    clear(Path(sys.argv[1]))
