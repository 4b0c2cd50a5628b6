"""Runs a command and measures CPU time and memory of all processes that it starts, also detached ones (Linux)."""

import os
import subprocess
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

INTERVAL = 0.05  # seconds between two polls
PROCESSES_EVERY = 10  # polls between two readings of the processes, which take 20 ms of a core with all of Ray's

_MARK = "EARSHOT_WATCHED"
_TICKS = os.sysconf("SC_CLK_TCK")


class CommandError(Exception):
    """The command failed; the message ends with its standard error."""


@dataclass(frozen=True)
class Cost:
    """The cost of a command.

    Attributes:
        began: Unix time.
        ended: Unix time.
        cpu_seconds: of all its processes, user and system, up to the last reading of each.
        peak_bytes: peak of the memory of all its processes together; shared pages count once (PSS).
        processes: Unix time at which the first one of each name started.
        cpu_by_name: `cpu_seconds` by the last name of a process, of which Linux keeps 15 characters.
    """

    began: float
    ended: float
    cpu_seconds: float
    peak_bytes: int
    processes: dict[str, float]
    cpu_by_name: dict[str, float]

    @property
    def seconds(self) -> float:
        """From start to end."""
        return self.ended - self.began


def watch(
    command: Sequence[str],
    poll: Callable[[float], None] | None = None,
    *,
    started: Callable[[int], None] | None = None,
    output: Path | None = None,
) -> Cost:
    """Runs a command to its end.

    Args:
        command: with arguments.
        poll: called every 50 ms with the Unix time.
        started: called with the process ID of the command.
        output: file for its standard output.

    Raises:
        CommandError: its exit status is not 0.
    """
    mark = uuid.uuid4().hex
    tree, began, polls = _Tree(f"{_MARK}={mark}".encode()), time.time(), 0
    with (
        Path(output or os.devnull).open("wb") as stdout,
        subprocess.Popen(command, env={**os.environ, _MARK: mark}, stdout=stdout, stderr=subprocess.PIPE) as process,
    ):
        if started is not None:
            started(process.pid)
        while True:
            if polls % PROCESSES_EVERY == 0:
                tree.update()
            if poll is not None:
                poll(time.time())
            polls += 1
            try:
                status = process.wait(INTERVAL)
                break
            except subprocess.TimeoutExpired:
                continue
        ended = time.time()
        message = process.stderr.read().decode(errors="replace") if process.stderr else ""
    if status:
        raise CommandError(f"{' '.join(command)}: status {status}: {message[-2000:]}")
    by_name: dict[str, float] = defaultdict(float)
    for pid, ticks in tree.cpu.items():
        by_name[tree.names[pid]] += ticks
    seconds = {name: ticks / _TICKS for name, ticks in by_name.items()}
    return Cost(began, ended, sum(seconds.values()), tree.peak, tree.first, seconds)


@dataclass
class _Tree:
    """The processes that have a mark in their environment, or whose parent has it."""

    mark: bytes
    members: dict[int, bool] = field(default_factory=dict)
    cpu: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    peak: int = 0

    def update(self) -> None:
        """Reads all processes of the machine."""
        total = 0
        boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        for pid in sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()):
            if self.members.get(pid) is False:
                continue
            try:
                name, _, rest = (Path("/proc") / str(pid) / "stat").read_text().partition("(")[2].rpartition(") ")
                status = rest.split()
                if pid not in self.members:
                    self.members[pid] = self._belongs(pid, int(status[1]))
                if self.members[pid]:
                    self.names[pid] = name
                    self.cpu[pid] = int(status[11]) + int(status[12])
                    self.first.setdefault(name, boot + int(status[19]) / _TICKS)
                    total += _pss(pid)
            except (OSError, IndexError, ValueError):  # the process has just ended
                continue
        self.peak = max(self.peak, total)

    def _belongs(self, pid: int, parent: int) -> bool:
        # a process that renames itself (Ray's workers) overwrites its environment
        return self.members.get(parent, False) or self.mark in (Path("/proc") / str(pid) / "environ").read_bytes()


def _pss(pid: int) -> int:
    """Bytes of memory of a process; a page that n processes share counts 1/n."""
    for line in (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
