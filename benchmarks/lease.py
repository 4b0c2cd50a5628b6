"""Our leases compared with `filelock.SoftFileLease`, on a folder: speed, and takeover from owners that are gone.

    python -m benchmarks.lease                     about a minute

Every owner is a real process. Another node is a process in a PID namespace of its own (`unshare`). A node of the same
host name, as cloned virtual machines have, is such a process that also sees another boot of the kernel. "respected"
means that a waiter did not get the lease of a live owner within three lease times.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import filelock

from datasets.utils.location import Location
from orchestrator.reporting.markdown import table
from trainables.store import lease as ours

POLL = 0.002  # seconds between two attempts of a waiter
NAMESPACE = ("unshare", "--user", "--pid", "--fork", "--mount-proc", "--kill-child")
RESPECTED = "respected"


class _Lease(Protocol):
    def take(self) -> bool: ...

    def release(self) -> None: ...


class _SoftFileLease:
    """`filelock.SoftFileLease` with our interface."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._lease = filelock.SoftFileLease(path, lease_duration=seconds, thread_local=False)

    def take(self) -> bool:
        """Takes the lease; the first attempt only removes the file of an owner that is gone."""
        for _ in range(2):
            try:
                self._lease.acquire(blocking=False)
            except filelock.Timeout:
                continue
            return True
        return False

    def release(self) -> None:
        """Releases the lease."""
        self._lease.release()


def _our_lease(path: Path, seconds: float) -> ours.Lease:
    return ours.Lease(Location.of(path), seconds)


LEASES: dict[str, Callable[[Path, float], _Lease]] = {"ours": _our_lease, "filelock": _SoftFileLease}


def _hold(kind: str, path: Path, seconds: float, *, same_name: bool) -> None:
    """The owner's process: holds the lease until it is killed."""
    if same_name:  # the node's own kernel: its initial PID namespace, since another boot
        import filelock._identity as identity

        vars(identity).update(_pid_namespace_suffix=lambda: "", _BOOT_ID=1)
        ours._host = lambda: f"{os.uname().nodename} another-boot pid:[4026531836]"
    lease = LEASES[kind](path, seconds)
    assert lease.take()
    print("held", flush=True)
    for _ in sys.stdin:
        print("running", flush=True)


@contextmanager
def _owner(kind: str, path: Path, seconds: float, *options: str, node: bool = False) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.lease", "--hold", kind, str(path), str(seconds), *options]
    with subprocess.Popen(
        [*NAMESPACE, *command] if node else command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "held\n":
            raise RuntimeError("the owner's process did not start")
        try:
            yield process
        finally:
            process.kill()


def _takeover(kind: str, path: Path, seconds: float, limit: float) -> str:
    """Seconds until a waiter gets the lease."""
    lease = LEASES[kind](path, seconds)
    started = time.monotonic()
    try:
        while not lease.take():
            if time.monotonic() - started > limit:
                return RESPECTED
            time.sleep(POLL)
    except filelock.LeaseSettingsMismatch as error:
        return type(error).__name__
    taken = time.monotonic() - started
    lease.release()
    return f"{taken:.3f}"


def _take_and_release(kind: str, folder: Path, repeat: int) -> str:
    """Median milliseconds."""
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        lease = LEASES[kind](folder / "x.lease", 60.0)
        assert lease.take()
        lease.release()
        times.append(time.perf_counter() - started)
    return f"{1000 * statistics.median(times):.2f}"


def _threads(kind: str, folder: Path, count: int = 50) -> str:
    before = threading.active_count()
    leases = [LEASES[kind](folder / f"{index}.lease", 60.0) for index in range(count)]
    assert all(lease.take() for lease in leases)
    started = threading.active_count() - before
    for lease in leases:
        lease.release()
    return str(started)


def _killed(kind: str, path: Path, seconds: float, *, reaped: bool = True, other_time: bool = False) -> str:
    with _owner(kind, path, seconds) as process:
        process.kill()
        if reaped:
            process.wait()
        else:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
        return _takeover(kind, path, seconds * (2 if other_time else 1), 3 * seconds)


def _stopped(kind: str, path: Path, seconds: float) -> tuple[str, str]:
    """Seconds until the lease of a stopped owner is taken, and whether it takes the lease back once it resumes."""
    with _owner(kind, path, seconds) as process:
        process.send_signal(signal.SIGSTOP)
        taken = _takeover(kind, path, seconds, 3 * seconds)
        lease = LEASES[kind](path, seconds)
        assert lease.take()
        process.send_signal(signal.SIGCONT)
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        time.sleep(seconds)  # several renewals of the owner
        content = path.read_bytes()
        lease.release()
        return taken, "no" if str(os.getpid()).encode() in content and not path.exists() else "yes"


def _live_node(kind: str, path: Path, seconds: float, *options: str) -> str:
    try:
        with _owner(kind, path, seconds, *options, node=True):
            return _takeover(kind, path, seconds, 3 * seconds)
    except (OSError, RuntimeError):
        return "not measured"  # namespaces are not permitted here


def measure(kind: str, seconds: float, repeat: int) -> dict[str, str]:
    """All figures of one implementation.

    Args:
        kind: a key of `LEASES`.
        seconds: lease time.
        repeat: how often the lease is taken and released.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        taken, back = _stopped(kind, folder / "d", seconds)
        return {
            "take and release, ms": _take_and_release(kind, folder, repeat),
            "takeover after kill -9, s": _killed(kind, folder / "a", seconds),
            "the same, owner not reaped, s": _killed(kind, folder / "b", seconds, reaped=False),
            "the same, owner with another lease time, s": _killed(kind, folder / "c", seconds, other_time=True),
            f"takeover after SIGSTOP, lease of {seconds:g} s": taken,
            "a stopped owner that resumes takes it back": back,
            "live owner on another node": _live_node(kind, folder / "e", seconds),
            "live owner on a node of the same name": _live_node(kind, folder / "f", seconds, "--same-name"),
            "threads for 50 leases": _threads(kind, folder),
        }


def _ratio(first: str, second: str) -> str:
    try:
        return f"{float(second) / float(first):.2f}"
    except (ValueError, ZeroDivisionError):
        return "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.lease`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lease", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="lease time (default: 2)")
    parser.add_argument("--repeat", type=int, default=1000, help="times a lease is taken and released (default: 1000)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--hold", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--same-name", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.hold:
        kind, path, seconds = options.hold
        _hold(kind, Path(path), float(seconds), same_name=options.same_name)
        return 0
    figures = {kind: measure(kind, options.seconds, options.repeat) for kind in LEASES}
    if options.json:
        print(json.dumps(figures, indent=1))
        return 0
    rows = [
        [name, value, figures["filelock"][name], _ratio(value, figures["filelock"][name])]
        for name, value in figures["ours"].items()
    ]
    print(table([f"leases on a folder, filelock {filelock.__version__}", ">ours", ">filelock", ">ratio"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
