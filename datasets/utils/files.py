"""Atomic writes and digests of files."""

import ctypes
import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable

TEMPORARY_SUFFIX = ".aside"
"""Suffix of files that are being written."""
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)


class Readable(Protocol):
    """A binary stream."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write to, which is renamed to `path` at the end of the block.

    Concurrent writers of the same path are safe: each has its own temporary file, and the last rename wins. If the
    block raises, no file is left.

    Args:
        path: in an existing folder.
    """
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    try:
        yield temporary
        with temporary.open("rb+") as file:  # without fsync a crash of the machine may leave an empty file at `path`
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that readers see all of it or none."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def exchange(first: Path, second: Path) -> None:
    """Exchanges two existing folders or files of one file system, in one step on Linux.

    Elsewhere, and on file systems without this operation, in three: a process that is killed between them leaves
    `second` under a temporary name.
    """
    with suppress(AttributeError):  # no such function in the C library
        if ctypes.CDLL(None).renameat2(_HERE, os.fsencode(first), _HERE, os.fsencode(second), _EXCHANGE) == 0:
            return
    aside = first.parent / f"{first.name}.before"
    second.rename(aside)
    try:
        first.rename(second)
    except BaseException:
        aside.rename(second)
        raise
    aside.rename(first)


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's content.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return stream_digest(file)


def stream_digest(file: Readable) -> str:
    """SHA-256 (hex) of the rest of a stream."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def write_files(folder: Path, contents: Mapping[str, bytes], advice: str = "") -> None:
    """Writes files into a folder, which is created; each file appears complete or not at all.

    Args:
        folder: the folder.
        contents: name of the file -> its content.
        advice: what to do if the folder is not writable, for the message.

    Raises:
        EarshotError: the folder cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_atomically(folder / name, content)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise EarshotError(
            f"{printable(str(folder))}: expected a folder to write to, found: {reason}{f'; {advice}' if advice else ''}"
        ) from None
