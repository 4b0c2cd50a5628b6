"""Files that are there whole or not at all."""

import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable

TEMPORARY_SUFFIX = ".aside"
"""Ends the names of files that are being written."""


class Readable(Protocol):
    """Anything that gives bytes when asked for a number of them."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Gives a path to write to; what was written there becomes `path` at the end of the block, by one rename.

    Two writers of the same path are harmless: each has its own file aside, and the last rename wins. Where the block
    raises, nothing is left.

    Args:
        path: in a folder that exists.
    """
    aside = path.parent / f".{path.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    try:
        yield aside
        with aside.open("rb+") as file:  # without it a crash of the machine may leave an empty file under the name
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that a reader sees all of it or none."""
    with atomic_path(path) as aside:
        aside.write_bytes(content)


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return stream_digest(file)


def stream_digest(file: Readable) -> str:
    """SHA-256 (hex) of what is left to read."""
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
