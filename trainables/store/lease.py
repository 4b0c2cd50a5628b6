"""Leases: one of many processes computes, on any number of machines, and the dead hold nothing up.

A lease is one small file beside what is to be computed, on storage that all of them share:

    {"owner": ..., "host": ..., "process": ..., "beat": 3}

Its owner counts `beat` up from a thread of its own, several times in `EARSHOT_LEASE_SECONDS` (60). Whoever waits takes
it over once the beat has stood still for that long by the waiter's own clock (so clocks need not agree), or at once
where the owner was a process of this machine that is gone.

On a file system, NFS included, taking is the atomic `link`. An object store has no such thing that `pyarrow.fs` offers,
so there it is Fischer's algorithm: write, wait for a moment, read back whose it is. What leases guard is addressed by
content and published whole, so if two should ever hold one, work is done twice and nothing is wrong.
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
from datasets.utils.location import Location

Found = TypeVar("Found")

SUFFIX = ".lease"
SETTLE = 0.3  # seconds until a write to an object store is seen by whoever wrote at the same time
NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EMLINK)  # of file systems that have none
PAUSES = (0.02, 1.0)  # seconds between two looks at somebody else's lease: at first, and at most


class Lease:
    """The right to do something alone.

    Args:
        place: the file; its folder is made when first needed.
        seconds: how long a beat may stand still (default: `EARSHOT_LEASE_SECONDS`, or 60).
    """

    def __init__(self, place: Location, seconds: float | None = None) -> None:
        self.place = place
        self.seconds = float(os.environ.get("EARSHOT_LEASE_SECONDS", "60")) if seconds is None else seconds
        self._owner = uuid.uuid4().hex
        self._beat = 0
        self._held = False
        self._writing = threading.Lock()
        self._seen: tuple[Any, float] = (None, 0.0)  # somebody else's content, and when it was new to us
        self._pause = PAUSES[0]

    def take(self) -> bool:
        """Takes the lease if it is free or its owner is dead; does not wait.

        Raises:
            OSError: the storage does not take a file.
        """
        if (other := self.holder()) is not None:
            if not self._is_dead(other):
                return False
            self._clear(other)
        if not self._claim():
            return False
        self._held = True
        self._seen = (None, 0.0)
        self._pause = PAUSES[0]
        _BEATS.keep(self)
        return True

    def release(self) -> None:
        """Gives the lease back, if it is still ours."""
        _BEATS.drop(self)
        with self._writing:  # a beat that is under way would bring it back
            self._held = False
            if self._is_ours():
                self.place.remove()

    def pause(self) -> None:
        """Waits for a moment before the next look; longer each time."""
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, PAUSES[1])

    def holder(self) -> dict[str, Any] | None:
        """Who holds the lease, in the words of its file; None if nobody does."""
        try:
            return _described(self.place.read_bytes())
        except FileNotFoundError:
            return None
        except OSError:
            return {}

    def is_held_here(self) -> bool:
        """Whether a process of this machine holds the lease, and lives."""
        other = self.holder() or {}
        process = other.get("process")
        return other.get("host") == _host() != "" and isinstance(process, list) and _process(*process[:1]) == process

    def is_abandoned(self) -> bool:
        """Whether the holder was a process of this machine that is gone."""
        return _is_gone(self.holder() or {})

    def beat(self) -> None:
        """Tells the others that the owner lives."""
        with self._writing:
            if self._held and self._is_ours():
                self._beat += 1
                self.place.write(self._content())

    def _is_ours(self) -> bool:
        return (self.holder() or {}).get("owner") == self._owner

    def _content(self) -> bytes:
        described = {"owner": self._owner, "host": _host(), "process": _process(os.getpid()), "beat": self._beat}
        return json.dumps(described).encode()

    def _is_dead(self, other: dict[str, Any]) -> bool:
        if _is_gone(other):
            return True
        if other != self._seen[0]:
            self._seen = (other, time.monotonic())
        return time.monotonic() - self._seen[1] >= self.seconds

    def _claim(self) -> bool:
        path = self.place.local
        if path is None:
            self.place.write(self._content())
            time.sleep(SETTLE)
            return self._is_ours()
        aside = self._aside(path)
        tries = 10
        while True:
            with suppress(FileExistsError):  # it went while mkdir looked at it
                path.parent.mkdir(parents=True, exist_ok=True)
            try:
                aside.write_bytes(self._content())
                _link(aside, path)
                return True
            except FileExistsError:
                return False
            except FileNotFoundError:  # whoever makes room has removed the empty folder in between
                tries -= 1
                if not tries:
                    raise
            finally:
                aside.unlink(missing_ok=True)

    def _clear(self, dead: dict[str, Any]) -> None:
        """Removes the lease of a dead owner, unless somebody was quicker and it is a living one's by now."""
        path = self.place.local
        if path is None:
            return  # it is written over
        aside = self._aside(path)
        try:
            path.rename(aside)
            if _described(aside.read_bytes()) != dead:
                _link(aside, path)
        except (FileNotFoundError, FileExistsError):
            pass
        finally:
            aside.unlink(missing_ok=True)

    def _aside(self, path: Path) -> Path:
        return path.parent / f".{path.name}.{uuid.uuid4().hex}.aside"


def find_or_compute(lease: Lease, find: Callable[[], Found | None], compute: Callable[[], Found]) -> tuple[Found, bool]:
    """What is there already, or else what is computed here, while all others that want it wait.

    Args:
        lease: guards the computation.
        find: looks for the result; None where there is none yet.
        compute: makes the result, so that `find` finds it.

    Returns:
        The result, and whether it was found.
    """
    while True:
        if (found := find()) is not None:
            return found, True
        if not lease.take():
            lease.pause()
            continue
        try:
            if (found := find()) is not None:  # published between our look and our taking
                return found, True
            return compute(), False
        finally:
            lease.release()


class _Beats:
    """The thread that beats for all leases of this process."""

    def __init__(self) -> None:
        self._due: dict[Lease, float] = {}  # when each wants its next beat
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def keep(self, lease: Lease) -> None:
        with self._changed:
            self._due[lease] = time.monotonic() + lease.seconds / 4
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="earshot-leases", daemon=True)
                self._thread.start()
            self._changed.notify()

    def drop(self, lease: Lease) -> None:
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
            with suppress(OSError, EarshotError):  # the storage is away: the lease may be lost, not the work
                first.beat()


_BEATS = _Beats()


def _is_gone(holder: dict[str, Any]) -> bool:
    """Whether a holder was a process of this machine that is gone; false where one cannot tell."""
    process = holder.get("process")
    return holder.get("host") == _host() != "" and isinstance(process, list) and _process(*process[:1]) != process


def _link(aside: Path, path: Path) -> None:
    """Gives a file a second name, unless that is taken.

    Raises:
        FileExistsError: it is.
    """
    try:
        os.link(aside, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        with path.open("xb") as file:  # as atomic, but for a moment in which the lease says nothing
            file.write(aside.read_bytes())


def _described(content: bytes) -> dict[str, Any]:
    """What a lease's file says; empty where it is damaged."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _host() -> str:
    """This machine since its last start, and the process numbers that are valid in here."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{os.uname().nodename} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""  # no way to tell: then the beat alone says who lives


def _process(number: object = None) -> list[Any]:
    """A process by number and start time, as numbers are used again; empty if there is none."""
    try:
        fields = Path(f"/proc/{int(str(number))}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return []
    return [number, fields[19]] if fields[0] not in "ZX" else []
