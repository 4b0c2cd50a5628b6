"""The inventory of a source folder: lists its recordings without reading them."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from datasets.audio.recordings import RejectedError, checked_path
from datasets.utils.errors import EarshotError
from datasets.utils.text import first_few, plural, printable


@dataclass(frozen=True)
class SourceFile:
    """A recording: POSIX path relative to the source folder, size in bytes, modification time in nanoseconds."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
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
    not followed.

    Raises:
        EarshotError: `root` is not a folder that can be read.
    """
    files: list[SourceFile] = []
    rejected: list[Rejection] = []
    others: list[str] = []
    folders: list[str] = []
    links: list[str] = []
    for relative, kind in _walk(root):
        if kind != "file":
            if "/" not in relative:
                folders.append(relative)
            if kind == "link":
                links.append(relative)
            continue
        if PurePosixPath(relative).suffix.lower() not in suffixes:
            others.append(relative)
            continue
        try:
            status = checked_path(root, relative).stat()
        except RejectedError as error:
            rejected.append(Rejection(printable(relative), str(error)))
        else:
            files.append(SourceFile(relative, status.st_size, status.st_mtime_ns))
    return Inventory(
        tuple(sorted(files, key=lambda file: file.path)),
        tuple(sorted(rejected, key=lambda rejection: rejection.file)),
        ignored=len(others),
        others=tuple(sorted(others)),
        folders=tuple(sorted(folders)),
        links=tuple(sorted(links)),
    )


def _walk(root: Path) -> Iterator[tuple[str, Literal["file", "folder", "link"]]]:
    """Yields POSIX paths below `root`, and whether they are files, folders, or links to folders."""

    def failed(error: OSError) -> None:
        raise EarshotError(
            f"{printable(str(error.filename))}: expected a folder of recordings, found: {error.strerror}; "
            "check --source"
        )

    for folder, folders, names in os.walk(root, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            place = Path(folder, name)
            yield place.relative_to(root).as_posix(), "link" if place.is_symlink() else "folder"
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder, name).relative_to(root).as_posix(), "file"
