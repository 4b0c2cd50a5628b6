"""Ray's temporary folder: each cluster of this machine has one of its own, and none outlives its owner for long.

Ray itself never removes what it writes below /tmp/ray, and lets everybody write there. Here a cluster's folder is open
to its owner alone, locked (`flock`) as long as the process that started the cluster lives, and removed when the cluster
is shut down. Where the owner is killed, its reaper (`orchestrator.cluster.reaper`) does that; where that is killed too,
the kernel has taken the lock away: whoever starts a cluster next clears the folders that are not locked.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from orchestrator.cluster import reaper

PREFIX = "ear-ray-"
LONGEST = 22  # bytes of the place: the paths of Ray's sockets, up to 85 bytes longer, must stay under 108


@contextmanager
def ray_folder(place: Path | None = None) -> Iterator[Path]:
    """A folder for Ray's `_temp_dir`, in one that its owner alone may enter; gone after the `with` block.

    Args:
        place: where it is made, a short path (default: `EARSHOT_RAY_TMP`, or the system's folder for such things).
            Folders there whose owners are dead are removed first.

    Raises:
        EarshotError: `EARSHOT_RAY_TMP` is too long.
    """
    place = _place() if place is None else place
    place.mkdir(parents=True, exist_ok=True)
    prune(place)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        lock = _locked(folder)
        if lock is not None:
            break  # else somebody who prunes came between the two lines
    try:
        with _caretaker(folder):
            yield folder / "r"  # Ray gives everybody leave to write into the folder itself
    finally:
        os.close(lock)


def prune(place: Path) -> list[Path]:
    """Clears what this user's clusters whose owners are dead have left; returns the folders that were removed."""
    removed = []
    for folder in sorted(place.glob(f"{PREFIX}*")):
        lock = _locked(folder)
        if lock is not None:
            reaper.clear(folder)
            os.close(lock)
            removed.append(folder)
    return removed


@contextmanager
def _caretaker(folder: Path) -> Iterator[None]:
    """Removes the folder at the end of the block; another process does so if this one is killed."""
    command = [sys.executable, "-I", "-S", reaper.__file__, str(folder)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True
    ) as process:
        try:
            yield
        finally:
            process.terminate()  # nobody needs to be killed
            reaper.remove(folder)


def _place() -> Path:
    given = os.environ.get("EARSHOT_RAY_TMP")
    place = Path(given or tempfile.gettempdir()).absolute()
    if len(os.fsencode(place)) <= LONGEST:
        return place
    if given:
        raise EarshotError(
            f"EARSHOT_RAY_TMP {printable(given)}: expected a folder whose path has {LONGEST} bytes at most, found "
            f"{len(os.fsencode(place))}; paths of sockets are limited, so give a shorter one"
        )
    return Path("/tmp")


def _locked(folder: Path) -> int | None:
    """The lock on a folder, as an open file; None if it is another user's, no folder, locked, or no longer there."""
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
