"""The inventory of a source folder: lists its recordings without reading them."""

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from datasets.audio.recordings import RejectedError, checked_path
from datasets.utils.errors import EarshotError
from datasets.utils.posix_path import suffix
from datasets.utils.text import first_few, plural, printable

_PART, _THREADS = 500, 8  # recordings whose sizes are asked for at a time
_SLOW = 1e-4  # seconds for a size, above which threads are worth their cost


class SourceFile(NamedTuple):
    """A recording: POSIX path relative to the source folder, size in bytes, modification time in nanoseconds."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """A file that produces no clips, and the reason. Both are printable text."""

    file: str
    reason: str


@dataclass(frozen=True)
class Inventory:
    """The files in a source folder.

    Attributes:
        files: usable recordings, as far as can be determined without decoding, sorted by path.
        rejected: files with the right suffix that cannot be used, sorted by path.
        ignored: number of other files (hidden files and folders are not counted).
        others: paths of these other files, sorted; empty if they are not listed.
        folders: names of the folders directly in the source folder, links included, sorted.
        links: paths of symbolic links to folders, which are not followed, sorted.
    """

    files: tuple[SourceFile, ...]
    rejected: tuple[Rejection, ...]
    ignored: int
    others: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    links: tuple[str, ...] = ()

    def __hash__(self) -> int:
        """Of the numbers of files only: inventories are keys of caches, and may have 300,000 files."""
        return hash((len(self.files), len(self.rejected), self.ignored))

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the path, size and modification time of every recording, and of the rejections."""
        content = [
            [[file.path, file.size, file.mtime_ns] for file in self.files],
            [[rejection.file, rejection.reason] for rejection in self.rejected],
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def unusable(self) -> tuple[str, ...]:
        """Why a source folder may seem to hold no recordings: '1 file that cannot be used (name: reason)', ..."""
        found = []
        if self.rejected:
            first = self.rejected[0]
            found.append(f"{plural(len(self.rejected), 'file')} that cannot be used ({first.file}: {first.reason})")
        if self.links:
            links = first_few([printable(link) for link in self.links])
            found.append(f"links to folders, which are not followed ({links})")
        return tuple(found)


def scan(root: Path, suffixes: frozenset[str]) -> Inventory:
    """Lists the recordings under `root`, including subfolders.

    Recordings are recognized by suffix (any case); hidden files and folders are skipped; symbolic links to folders are
    not followed. Where the sizes take long, as on a network file system, they are asked for in threads.

    Raises:
        EarshotError: `root` is not a folder that can be read.
    """
    found: list[SourceFile | Rejection] = []
    checked: list[Future[list[SourceFile | Rejection]]] = []
    waiting: list[tuple[str, os.DirEntry[str]]] = []
    slow = False
    others: list[str] = []
    folders: list[str] = []
    links: list[str] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for relative, entry, kind in _walk(root):
            if kind != "file":
                if "/" not in relative:
                    folders.append(relative)
                if kind == "link":
                    links.append(relative)
            elif suffix(entry.name).lower() not in suffixes:
                others.append(relative)
            else:
                waiting.append((relative, entry))
                if len(waiting) == _PART:
                    if slow:
                        checked.append(pool.submit(_check, root, waiting))
                    else:
                        began = time.perf_counter()
                        found += _check(root, waiting)
                        slow = time.perf_counter() - began > _SLOW * _PART
                    waiting = []
        found += _check(root, waiting)
        for part in checked:
            found += part.result()
    return Inventory(
        tuple(sorted((item for item in found if isinstance(item, SourceFile)), key=lambda file: file.path)),
        tuple(sorted((item for item in found if isinstance(item, Rejection)), key=lambda rejection: rejection.file)),
        ignored=len(others),
        others=tuple(sorted(others)),
        folders=tuple(sorted(folders)),
        links=tuple(sorted(links)),
    )


def check_folder(root: Path) -> None:
    """Checks that a folder can be listed.

    Raises:
        EarshotError: it cannot; the same error as that of `scan`.
    """
    try:
        os.scandir(root).close()
    except OSError as error:
        raise _unreadable(error, root) from None


def _unreadable(error: OSError, folder: Path | str) -> EarshotError:
    return EarshotError(
        f"{printable(str(error.filename or folder))}: expected a folder of recordings, found: {error.strerror}; "
        "check --source"
    )


def _check(root: Path, recordings: Sequence[tuple[str, "os.DirEntry[str]"]]) -> list[SourceFile | Rejection]:
    """Sizes and modification times of recordings, or why they cannot be used."""
    found: list[SourceFile | Rejection] = []
    for relative, entry in recordings:
        try:
            found.append(_source_file(root, relative, entry))
        except RejectedError as error:
            found.append(Rejection(printable(relative), str(error)))
    return found


def _source_file(root: Path, relative: str, entry: "os.DirEntry[str]") -> SourceFile:
    try:
        relative.encode()
        status = entry.stat(follow_symlinks=False)
        # Links to folders are not followed, so only a link can lead out of the source folder.
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            raise ValueError
    except (OSError, ValueError):  # a link, or a file that cannot be used: `checked_path` finds the reason
        status = checked_path(root, relative).stat()
    return SourceFile(relative, status.st_size, status.st_mtime_ns)


def _walk(root: Path) -> Iterator[tuple[str, "os.DirEntry[str]", Literal["file", "folder", "link"]]]:
    """Yields POSIX paths below `root`, and whether they are files, folders, or links to folders."""
    waiting = [(os.fspath(root), "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    relative = prefix + entry.name
                    if not _is_folder(entry):
                        yield relative, entry, "file"
                    elif entry.is_symlink():
                        yield relative, entry, "link"
                    else:
                        yield relative, entry, "folder"
                        waiting.append((entry.path, f"{relative}/"))
        except OSError as error:
            raise _unreadable(error, folder) from None


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a loop of links
        return False
