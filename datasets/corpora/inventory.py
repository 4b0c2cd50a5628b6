"""The inventory of a source folder: lists its recordings without reading them."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from datasets.audio.recordings import RejectedError, checked_path
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable


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
    """

    files: tuple[SourceFile, ...]
    rejected: tuple[Rejection, ...]
    ignored: int

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the path, size and modification time of every recording, and of the rejections."""
        content = [
            [[file.path, file.size, file.mtime_ns] for file in self.files],
            [[rejection.file, rejection.reason] for rejection in self.rejected],
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def scan(root: Path, suffixes: frozenset[str]) -> Inventory:
    """Lists the recordings under `root`, including subfolders.

    Recordings are recognized by suffix (any case); hidden files and folders are skipped; symbolic links to folders are
    not followed.

    Raises:
        EarshotError: `root` is not a folder that can be read.
    """
    files: list[SourceFile] = []
    rejected: list[Rejection] = []
    ignored = 0
    for relative in _walk(root):
        if PurePosixPath(relative).suffix.lower() not in suffixes:
            ignored += 1
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
        ignored,
    )


def _walk(root: Path) -> Iterator[str]:
    def failed(error: OSError) -> None:
        raise EarshotError(
            f"{printable(str(error.filename))}: expected a folder of recordings, found: {error.strerror}; "
            "check --source"
        )

    for folder, folders, names in os.walk(root, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder, name).relative_to(root).as_posix()
