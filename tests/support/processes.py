"""Inspects processes of this machine: descendants, states, listening sockets."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


def descendants(process: int) -> list[int]:
    """Children of a process, their children and so on."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    descendants, generation = [], [process]
    while generation:
        generation = [child for child, parent in parents.items() if parent in generation]
        descendants += generation
    return descendants


def running(processes: list[int]) -> list[int]:
    """The processes that are running; zombies are not."""
    return [process for process in processes if _state(process) not in ("", "Z")]


def listening(processes: list[int]) -> set[str]:
    """Hexadecimal addresses on which the processes listen for TCP connections."""
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


def wait_for(condition: Callable[[], Value], seconds: float) -> Value:
    """Waits until a condition holds, and returns its value.

    Raises:
        AssertionError: it does not hold after so many seconds.
    """
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "the condition does not hold in time"
        time.sleep(0.05)
    return value


def _state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def free_ports(count: int) -> list[int]:
    """Ports that are not in use."""
    sockets = [socket.socket() for _ in range(count)]
    for unused in sockets:
        unused.bind(("127.0.0.1", 0))
    ports = [unused.getsockname()[1] for unused in sockets]
    for unused in sockets:
        unused.close()
    return ports
