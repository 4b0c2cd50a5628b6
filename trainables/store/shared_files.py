"""Finished files that all nodes share: a folder, or a place behind a URI with a copy on every machine that reads it.

A file is published as a whole and never changes: its name identifies its contents.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from datasets.utils.errors import EarshotError
from datasets.utils.files import atomic_path
from datasets.utils.location import Location
from datasets.utils.text import one_line
from trainables.store.lease import SUFFIX, Lease

Place: TypeAlias = str | Path | Location

MARK_SECONDS = 900.0  # a file in use is marked as used at most this often; eviction spares files for longer


class SharedFiles:
    """Files by name. Names are relative, use `/`, and never contain text from outside.

    Args:
        place: folder (NFS included) or URI of `pyarrow.fs`; a folder is created when first needed.

    Attributes:
        place: where all nodes find the files.
        folder: where the files are on this machine: the place itself, or its local copy.
    """

    def __init__(self, place: Place) -> None:
        self.place = Location.of(place)
        self.folder = self.place.local or _cache() / hashlib.sha256(self.place.address.encode()).hexdigest()[:16]

    @property
    def is_copied(self) -> bool:
        """Whether this machine reads a local copy."""
        return self.place.local is None

    def path(self, name: str) -> Path:
        """The path of a file on this machine, whether or not it exists."""
        return self.folder / name

    def at(self, name: str) -> Location:
        """The shared location of a file."""
        return self.place / name

    def has(self, name: str) -> bool:
        """Whether the file is published."""
        return self.at(name).size() is not None

    def fetch(self, name: str) -> Path | None:
        """The file on this machine, downloaded if necessary; None if it is not published.

        Raises:
            EarshotError: it cannot be downloaded.
        """
        path = self.path(name)
        if path.exists():
            return path
        if not self.is_copied:
            return None
        try:
            with self.at(name).open() as source:
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(path) as temporary, temporary.open("wb") as file:
                    while block := source.read(1 << 20):
                        file.write(block)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EarshotError(f"{self.at(name)}: cannot be read ({one_line(error)[:200]})") from None
        return path

    @contextmanager
    def publish(self, name: str, *, shared: bool = True) -> Iterator[Path]:
        """Yields a temporary path to write to; at the end of the block the file is published atomically.

        Args:
            name: of the file.
            shared: whether machines without this folder need the file; False saves an upload.
        """
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            yield temporary
        if shared and self.is_copied:
            self.at(name).upload(path)

    def mark_used(self, name: str) -> None:
        """Marks this machine's file as used, unless it was marked recently."""
        mark_used(self.path(name))

    def protect(self, name: str) -> bool:
        """Marks the published file as used, so that eviction spares it for a while.

        Returns:
            Whether the file is published.
        """
        if not self.is_copied:
            try:
                os.utime(self.path(name))
            except FileNotFoundError:
                return False
            except OSError:  # the file of another user, which cannot be marked
                return self.path(name).exists()
            return True
        modified = self.at(name).modified()
        if modified is None:
            return False
        if time.time() - modified > MARK_SECONDS:  # behind a URI, only writing a file marks it
            path = self.fetch(name)
            if path is None:
                return False
            self.at(name).upload(path)
        return True

    def remove_local(self, name: str) -> None:
        """Removes this machine's file, so that it is fetched again."""
        self.path(name).unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Removes the file for all nodes."""
        self.remove_local(name)
        if self.is_copied:
            self.at(name).remove()

    def lease(self, name: str) -> Lease:
        """The lease to compute a file, among all machines."""
        return Lease(self.at(name + SUFFIX))

    def local_lease(self, name: str) -> Lease:
        """The lease to compute a file, among the processes that share this machine's folder."""
        return Lease(Location.of(self.path(name + SUFFIX)))


def mark_used(path: Path) -> None:
    """Marks a file as used, unless it was marked recently; does nothing if that is not permitted."""
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > MARK_SECONDS:
            os.utime(path)


def _cache() -> Path:
    """The folder of local copies: `EARSHOT_CACHE`, or the user's cache folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(os.environ.get("EARSHOT_CACHE") or Path(caches) / "earshot")
