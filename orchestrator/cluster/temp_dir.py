"""Ray's temporary folder: each cluster on this machine has its own, which is removed after its owner has exited.

Ray never removes what it writes below /tmp/ray, and makes that folder writable for all users. Here, a cluster's folder
is accessible to its owner only, locked (`flock`) while the process that started the cluster runs, and removed when the
cluster is shut down. If the owner is killed, its reaper (`orchestrator.cluster.reaper`) removes the folder. If the
reaper is killed too, the kernel has released the lock, and the next start of a cluster removes folders without a lock.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets.utils.errors import EarshotError
from datasets.utils.humanize import format_size
from datasets.utils.text import printable
from orchestrator.cluster import reaper

PREFIX = "ear-ray-"
MIN_FREE = 20_000_000  # bytes: Ray's logs of a short run take a few MB
MAX_LENGTH = 22  # bytes of the parent's path: paths of Ray's sockets, up to 85 bytes longer, must stay below 108


@contextmanager
def ray_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder for Ray's `_temp_dir` inside one that only its owner can access; removed after the `with` block.

    Args:
        parent: where it is created, a short path (default: `EARSHOT_RAY_TMP`, or the system's temporary folder).
            Folders there whose owners have exited are removed first.

    Raises:
        EarshotError: `EARSHOT_RAY_TMP` is too long, or the temporary folder is full.
    """
    parent = _default_parent() if parent is None else parent
    parent.mkdir(parents=True, exist_ok=True)
    prune(parent)
    _check_space(parent)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        lock = _try_lock(folder)
        if lock is not None:
            break  # otherwise another process has pruned the folder between the two lines
    try:
        with _reaper(folder):
            yield folder / "r"  # Ray makes this one writable for all users
    finally:
        os.close(lock)


def prune(parent: Path) -> list[Path]:
    """Removes folders of this user's clusters whose owners have exited; returns the removed folders."""
    removed = []
    for folder in sorted(parent.glob(f"{PREFIX}*")):
        lock = _try_lock(folder)
        if lock is not None:
            reaper.clear(folder)
            os.close(lock)
            removed.append(folder)
    return removed


@contextmanager
def _reaper(folder: Path) -> Iterator[None]:
    """Removes the folder at the end of the block; if this process is killed, the reaper process does."""
    command = [sys.executable, "-I", "-S", reaper.__file__, str(folder)]
    null = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True) as process:
        try:
            yield
        finally:
            reaper.clear(folder)  # Ray has been shut down, or has died and left processes behind
            process.terminate()


def _default_parent() -> Path:
    variable = os.environ.get("EARSHOT_RAY_TMP")
    parent = Path(variable or tempfile.gettempdir()).absolute()
    if len(os.fsencode(parent)) <= MAX_LENGTH:
        return parent
    if variable:
        raise EarshotError(
            f"EARSHOT_RAY_TMP {printable(variable)}: expected a folder whose path has {MAX_LENGTH} bytes at most, "
            f"found {len(os.fsencode(parent))}; paths of sockets are limited, so choose a shorter one"
        )
    return Path("/tmp")


def _check_space(parent: Path) -> None:
    """Checks that there is room for Ray's logs: without, Ray waits for its processes and reports only that."""
    free = shutil.disk_usage(parent).free
    if free < MIN_FREE:
        raise EarshotError(
            f"{printable(str(parent))}: expected {format_size(MIN_FREE)} of free space at least for Ray's temporary "
            f"files, found {format_size(free)}; make room there, or set EARSHOT_RAY_TMP to another folder"
        )


def _try_lock(folder: Path) -> int | None:
    """Locks a folder; returns the open file that holds the lock.

    Returns:
        None if it is another user's, a link, no folder, locked by another process, or no longer there.
    """
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), folder.stat(follow_symlinks=False)):
                return lock
    except OSError:
        pass
    os.close(lock)
    return None
