"""Leases: one process computes while all others wait, on any number of machines. Crashed owners block none.

A lease is a small file beside the result that it guards, on storage that all processes share:

    {"owner": ..., "host": ..., "process": ..., "beat": 3}

A thread of the owner increments `beat` several times in `EARSHOT_LEASE_SECONDS` (60). A waiter takes the lease over
once `beat` has not changed for that long by the waiter's own clock (so clocks need not agree), or at once if the owner
was a process on this machine that has exited.

On a file system, NFS included, the atomic `link` creates a lease. `pyarrow.fs` offers no such operation for object
stores, so there it is Fischer's algorithm: write, wait, and read back whose lease it is. Results are addressed by
content and published as a whole: if two processes should ever own one lease, work is done twice and nothing is wrong.

`filelock.SoftFileLease` does not replace this: two machines of the same host name break each other's live leases, an
owner that has exited but was not yet reaped counts as alive, and different lease times raise an error
(`python -m benchmarks.lease` measures this).
"""

import errno
import json
import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import Location

Result = TypeVar("Result")

SUFFIX = ".lease"
SETTLE_SECONDS = 0.3  # until concurrent writers to an object store see which write was the last one
NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EMLINK)  # errors of file systems without hard links
POLL_SECONDS = (0.02, 1.0)  # between two attempts to take a lease: the first and the longest pause
ATTEMPTS = 10  # to create a lease in a folder that eviction keeps removing


class Lease:
    """The exclusive right to compute something.

    Args:
        place: the lease file; its folder is created when first needed.
        seconds: how long `beat` may stay unchanged before the lease expires (default: `EARSHOT_LEASE_SECONDS`, or 60).
        now: the clock, in seconds, by which other owners' leases expire.

    Attributes:
        waited: seconds in `wait`.
    """

    def __init__(
        self, place: Location, seconds: float | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.place = place
        self.waited = 0.0
        self.seconds = float(os.environ.get("EARSHOT_LEASE_SECONDS", "60")) if seconds is None else seconds
        self._now = now
        self._owner = uuid.uuid4().hex
        self._beat = 0
        self._held = False
        self._writing = threading.Lock()
        self._seen: tuple[Any, float] = (None, 0.0)  # another owner's content, and when we first saw it
        self._pause = POLL_SECONDS[0]

    def take(self) -> bool:
        """Takes the lease if it is free or has expired; does not wait.

        Raises:
            OSError: the file cannot be written.
        """
        if (other := self.holder()) is not None:
            if not self._has_expired(other):
                return False
            self._remove_expired(other)
        if not self._create():
            return False
        self._held = True
        self._seen = (None, 0.0)
        self._pause = POLL_SECONDS[0]
        _HEARTBEAT.add(self)
        return True

    def release(self) -> None:
        """Releases the lease, if this process still holds it."""
        _HEARTBEAT.remove(self)
        with self._writing:  # a renewal in progress would write the file again
            self._held = False
            if self._is_ours():
                self.place.remove()

    def wait(self) -> None:
        """Waits before the next attempt, longer each time."""
        time.sleep(self._pause)
        self.waited += self._pause
        self._pause = min(2 * self._pause, POLL_SECONDS[1])

    def holder(self) -> dict[str, Any] | None:
        """The contents of the lease file; empty if it is damaged or cannot be read, None if there is none."""
        try:
            return _parse(self.place.read_bytes())
        except FileNotFoundError:
            return None
        except OSError:
            return {}

    def is_held_here(self) -> bool:
        """Whether the owner is a running process on this machine."""
        other = self.holder() or {}
        process = other.get("process")
        return other.get("host") == _host() != "" and isinstance(process, list) and _process(*process[:1]) == process

    def is_abandoned(self) -> bool:
        """Whether the owner was a process on this machine that has exited."""
        return _has_exited(self.holder() or {})

    def renew(self) -> None:
        """Increments `beat`, if this process still holds the lease."""
        with self._writing:
            if self._held and self._is_ours():
                self._beat += 1
                self.place.write(self._content())

    def _is_ours(self) -> bool:
        return (self.holder() or {}).get("owner") == self._owner

    def _content(self) -> bytes:
        content = {"owner": self._owner, "host": _host(), "process": _process(os.getpid()), "beat": self._beat}
        return json.dumps(content).encode()

    def _has_expired(self, other: dict[str, Any]) -> bool:
        if _has_exited(other):
            return True
        if other != self._seen[0]:
            self._seen = (other, self._now())
        return self._now() - self._seen[1] >= self.seconds

    def _create(self) -> bool:
        """Creates the lease file; False if another process was faster."""
        path = self.place.local
        if path is None:
            self.place.write(self._content())
            time.sleep(SETTLE_SECONDS)
            return self._is_ours()
        temporary = _temporary(path)
        attempts = ATTEMPTS
        while True:
            with suppress(FileExistsError):  # the folder was removed between mkdir's two steps
                path.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(self._content())
                _link(temporary, path)
                return True
            except FileExistsError:
                return False
            except FileNotFoundError:  # eviction has removed the empty folder in between
                attempts -= 1
                if not attempts:
                    raise
            finally:
                temporary.unlink(missing_ok=True)

    def _remove_expired(self, expired: dict[str, Any]) -> None:
        """Removes an expired lease; one that another process has created since then is put back."""
        path = self.place.local
        if path is None:
            return  # `_create` overwrites it
        temporary = _temporary(path)
        try:
            path.rename(temporary)
            if _parse(temporary.read_bytes()) != expired:
                _link(temporary, path)
        except (FileNotFoundError, FileExistsError):
            pass
        finally:
            temporary.unlink(missing_ok=True)


def find_or_compute(
    lease: Lease, find: Callable[[], Result | None], compute: Callable[[], Result]
) -> tuple[Result, bool]:
    """Returns the stored result, or computes it while all other processes that need it wait.

    Args:
        lease: guards the computation.
        find: reads the result; None if there is none yet.
        compute: computes and stores the result, so that `find` returns it.

    Returns:
        The result, and whether it was cached.
    """
    while True:
        if (result := find()) is not None:
            return result, True
        if not lease.take():
            lease.wait()
            continue
        try:
            if (result := find()) is not None:  # published after the first look
                return result, True
            return compute(), False
        finally:
            lease.release()


class _Heartbeat:
    """The thread that renews all leases of this process."""

    def __init__(self) -> None:
        self._due: dict[Lease, float] = {}  # when each lease is renewed next
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, lease: Lease) -> None:
        with self._changed:
            self._due[lease] = time.monotonic() + lease.seconds / 4
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="earshot-leases", daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, lease: Lease) -> None:
        with self._changed:
            self._due.pop(lease, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                first = min(self._due, key=self._due.__getitem__, default=None)
                wait = None if first is None else self._due[first] - time.monotonic()
                if first is None or (wait is not None and wait > 0):
                    self._changed.wait(wait)
                    continue
                self._due[first] = time.monotonic() + first.seconds / 4
            with suppress(OSError, EarshotError):  # the storage is unreachable: the lease may expire, work is not lost
                first.renew()


_HEARTBEAT = _Heartbeat()


def _has_exited(holder: dict[str, Any]) -> bool:
    """Whether the owner was a process on this machine that has exited; False if that is unknown."""
    process = holder.get("process")
    return holder.get("host") == _host() != "" and isinstance(process, list) and _process(*process[:1]) != process


def _link(source: Path, path: Path) -> None:
    """Gives a file a second name.

    Raises:
        FileExistsError: the name is taken.
    """
    try:
        os.link(source, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        with path.open("xb") as file:  # atomic too, except that the lease is empty for a moment
            file.write(source.read_bytes())


def _temporary(path: Path) -> Path:
    return path.parent / f".{path.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"


def _parse(content: bytes) -> dict[str, Any]:
    """The contents of a lease file; empty if it is damaged."""
    try:
        parsed = json.loads(content)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _host() -> str:
    """This machine since its last boot, and the namespace of its process numbers; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{os.uname().nodename} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""  # then only `beat` shows whether the owner is alive


def _process(number: object = None) -> list[Any]:
    """A process by number and start time, as numbers are reused; empty if there is none."""
    try:
        fields = Path(f"/proc/{int(str(number))}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return []
    return [number, fields[19]] if fields[0] not in "ZX" else []
