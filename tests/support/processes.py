"""Looking at processes of this machine: who descends from whom, and what listens where."""

import time
from collections.abc import Callable
from pathlib import Path


def descendants(process: int) -> list[int]:
    """Children of a process, their children and so on."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found, newest = [], [process]
    while newest:
        newest = [child for child, parent in parents.items() if parent in newest]
        found += newest
    return found


def running(processes: list[int]) -> list[int]:
    """Those that have not ended (one that nobody has waited for yet has)."""
    return [process for process in processes if _state(process) not in ("", "Z")]


def listening(processes: list[int]) -> set[str]:
    """The addresses, in hexadecimal, on which processes listen for TCP."""
    sockets = set()
    for process in processes:
        for number in Path(f"/proc/{process}/fd").glob("*"):
            try:
                sockets.add(str(number.readlink()))
            except OSError:
                continue
    lines = [
        line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]
    ]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def _state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
