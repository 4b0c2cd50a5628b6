"""Finished files that all nodes share: a folder, or a place behind a URI with a copy on every machine that reads it.

A file is there whole or not at all, and never changes: its name says what is in it.
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
from trainables.store.lease import SUFFIX, Lease

Place: TypeAlias = str | Path | Location

MARK = 900.0  # seconds after which a file that is in use is marked as used again; whoever makes room waits longer


class SharedFiles:
    """Files by name, relative and with `/`; names are ours, never outside text.

    Args:
        place: folder (NFS included) or URI of `pyarrow.fs`; a folder is made when first needed.

    Attributes:
        place: where all nodes find the files.
        folder: where they lie on this machine: the place itself, or its copy.
    """

    def __init__(self, place: Place) -> None:
        self.place = Location.of(place)
        self.folder = self.place.local or _cache() / hashlib.sha256(self.place.address.encode()).hexdigest()[:16]

    @property
    def is_copied(self) -> bool:
        """Whether this machine reads a copy."""
        return self.place.local is None

    def path(self, name: str) -> Path:
        """Where a file lies on this machine, once it is there."""
        return self.folder / name

    def at(self, name: str) -> Location:
        """Where a file lies for all."""
        return self.place / name

    def has(self, name: str) -> bool:
        """Whether the file is there for all."""
        return self.at(name).size() is not None

    def fetch(self, name: str) -> Path | None:
        """The file on this machine, brought here if need be; None where nobody has published it."""
        path = self.path(name)
        if path.exists():
            return path
        if not self.is_copied:
            return None
        try:
            with self.at(name).open() as source:
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(path) as aside, aside.open("wb") as file:
                    while block := source.read(1 << 20):
                        file.write(block)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EarshotError(f"{self.at(name)}: cannot be read ({' '.join(str(error).split())[:200]})") from None
        return path

    @contextmanager
    def published(self, name: str, *, shared: bool = True) -> Iterator[Path]:
        """Gives a path to write to; at the end of the block the file is there for all, at once and whole.

        Args:
            name: of the file.
            shared: whether other machines should have it too; false saves an upload.
        """
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as aside:
            yield aside
        if shared and self.is_copied:
            self.at(name).upload(path)

    def mark(self, name: str) -> None:
        """Marks this machine's file as used, unless that was done a short while ago."""
        mark(self.path(name))

    def keep(self, name: str) -> bool:
        """Whether the file is there for all; from then on, whoever makes room leaves it alone for a while."""
        if not self.is_copied:
            try:
                os.utime(self.path(name))
            except FileNotFoundError:
                return False
            except OSError:  # another user's: it cannot be marked
                return self.path(name).exists()
            return True
        modified = self.at(name).modified()
        if modified is None:
            return False
        if time.time() - modified > MARK:  # behind a URI the only mark is the time of writing
            path = self.fetch(name)
            if path is None:
                return False
            self.at(name).upload(path)
        return True

    def forget(self, name: str) -> None:
        """Removes this machine's file, so that it is fetched again."""
        self.path(name).unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Removes the file for all."""
        self.forget(name)
        if self.is_copied:
            self.at(name).remove()

    def lease(self, name: str) -> Lease:
        """The right to compute a file, among all machines."""
        return Lease(self.at(name + SUFFIX))

    def lease_here(self, name: str) -> Lease:
        """The same among all that share this machine's folder: everybody, unless it is a copy."""
        return Lease(Location.of(self.path(name + SUFFIX)))


def mark(path: Path) -> None:
    """Marks a file as used, unless that was done a short while ago; not an error where it cannot be done."""
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > MARK:
            os.utime(path)


def _cache() -> Path:
    """Where copies lie: `EARSHOT_CACHE`, or the user's folder for such things."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(os.environ.get("EARSHOT_CACHE") or Path(caches) / "earshot")
