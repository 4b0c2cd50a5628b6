"""Ends a Ray cluster whose owner was killed, and removes its folder. Standard library only, so that it starts fast.

    python reaper.py FOLDER

waits for the end of its standard input, which the kernel closes when the owner at the other end of the pipe exits. Most
of Ray's processes exit with the process that started them; its agents continue for another minute.

Threat model. The reaper sends SIGKILL, so it must end Ray's processes and no others.

- It kills the processes that have a file below FOLDER open for writing, as Ray's have their logs. `mkdtemp` has created
  FOLDER under a random name and with mode 0700, so other users can neither place nor open files in it. The kernel
  itself resolves `/proc/PID/fd`, so no process can pretend to have such a file open.
- Processes of other users are out of reach: their `/proc/PID/fd` cannot be read, nor can they be signalled. If root
  runs a sweep, the first point protects them.
- Processes that only read a file below FOLDER, such as `tail -f` on a log, are spared.
- `temp_dir.prune` passes only folders that belong to this user, are no links, and are not locked by a living owner.
- `shutil.rmtree` does not follow links out of FOLDER.
- Accepted: between the look into `/proc` and the signal a process number could be reused by another process of this
  user, which takes as many process starts as there are process numbers within microseconds.
- Not defended against: this user's own processes, which may kill each other anyway.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

TIMEOUT = 5.0  # seconds during which processes of a cluster that shuts down may still write into its folder


def clear(folder: Path) -> None:
    """Ends the remaining processes of a cluster, and removes its folder."""
    for process in writers(folder):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    remove(folder)


def remove(folder: Path) -> None:
    """Removes a folder into which exiting processes may still write."""
    end = time.monotonic() + TIMEOUT
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            time.sleep(0.05)


def writers(folder: Path) -> list[int]:
    """This user's other processes that have a file below the folder open for writing."""
    return [
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdecimal() and int(process.name) != os.getpid() and _writes(process, f"{folder}{os.sep}")
    ]


def _writes(process: Path, prefix: str) -> bool:
    try:
        for descriptor in (process / "fd").iterdir():
            if str(descriptor.readlink()).startswith(prefix):
                flags = (process / "fdinfo" / descriptor.name).read_text().partition("flags:")[2].split()[0]
                if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY:
                    return True
    except OSError:  # the process of another user, or one that has just exited
        pass
    return False


if __name__ == "__main__":
    sys.stdin.buffer.read()
    clear(Path(sys.argv[1]))
