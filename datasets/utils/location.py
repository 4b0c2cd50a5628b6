"""Files and folders: a path on this machine, or a URI of any file system that `pyarrow.fs` supports.

    data/ls100                      a path; also file:///data/ls100
    s3://bucket/ls100               S3 and compatible (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ... or a query as in
                                    s3://bucket/ls100?endpoint_override=http://127.0.0.1:9000)
    gs://bucket/ls100, hdfs://...

Writes are atomic: on this machine by renaming a temporary file; to a URI by uploading a local temporary file in one
piece.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX, atomic_path, stream_digest
from datasets.utils.text import is_uri, printable

if TYPE_CHECKING:  # imported where it is used: commands answer `--help` and typos sooner
    import pyarrow as pa
    from pyarrow import fs


@dataclass(frozen=True)
class FolderEntry:
    """An entry of a folder, at any depth.

    Attributes:
        name: relative to the folder, with `/`.
        size: bytes of a file; None for anything else.
        modified: when it was written or marked as used, in seconds since 1970; 0 if the file system does not say.
    """

    name: str
    size: int | None
    modified: float


class Location:
    """A file or folder, local or remote. Immutable; can be sent to Ray workers.

    Attributes:
        address: from which `of` makes the same location: an absolute path, or the complete URI.
        local: the path if it is on this machine, else None.
    """

    def __init__(
        self, address: str, local: Path | None = None, filesystem: "fs.FileSystem | None" = None, path: str = ""
    ):
        self.address = address
        self.local = local
        self._filesystem = filesystem
        self._path = path

    @classmethod
    def of(cls, place: "str | Path | Location") -> "Location":
        """The location of a path or a URI.

        Raises:
            EarshotError: the URI has an unknown scheme or cannot be parsed.
        """
        if isinstance(place, Location):
            return place
        if not is_uri(place):
            if not str(place):
                raise EarshotError("expected a folder or a URI, found an empty text; give the folder")
            try:
                return cls(os.path.realpath(place), Path(place))  # Path.resolve raises on a loop of links
            except ValueError:
                raise EarshotError(f"{printable(str(place))}: not a path (it contains a NUL); correct it") from None
        import pyarrow as pa
        from pyarrow import fs

        address = str(place)
        try:
            if urlsplit(address).scheme == "file":
                return cls.of(_local_path(address))
            filesystem, path = fs.FileSystem.from_uri(address)
            if not path.strip("/"):
                raise ValueError("it names no folder")
        except (pa.ArrowException, OSError, ValueError) as error:
            secret = "@" in address  # the reason may quote it
            reason = "credentials come from the environment, not from a URI" if secret else _reason(error)
            raise EarshotError(f"{_shown(address)}: not a URI of pyarrow.fs ({reason}); correct it") from None
        return cls(address, None, filesystem, path.rstrip("/"))

    def __truediv__(self, name: str) -> "Location":
        if self.local is not None:
            return Location.of(self.local / name)
        parts = urlsplit(self.address)
        address = parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}").geturl()
        return Location(address, None, self._filesystem, f"{self._path}/{name}")

    def __str__(self) -> str:
        """For messages: without user name, password and query."""
        return str(self.local) if self.local is not None else _shown(self.address)

    def __repr__(self) -> str:
        return f"Location({str(self)!r})"

    @property
    def name(self) -> str:
        """The last component."""
        return self.local.name if self.local is not None else PurePosixPath(self._path).name

    def size(self) -> int | None:
        """Bytes of the file; None if there is none.

        Raises:
            EarshotError: the file system of a URI does not respond or denies access.
        """
        if self.local is not None:
            try:
                return self.local.stat().st_size
            except OSError:
                return None
        from pyarrow import fs

        info = self._call(lambda filesystem: filesystem.get_file_info(self._path))
        return info.size if info.type == fs.FileType.File else None

    def files(self) -> list[str]:
        """Names of the files and folders inside, sorted; empty if it is not a folder.

        Raises:
            EarshotError: the file system of a URI does not respond or denies access.
        """
        if self.local is not None:
            return sorted(path.name for path in self.local.iterdir()) if self.local.is_dir() else []
        from pyarrow import fs

        selector = fs.FileSelector(self._path, allow_not_found=True)
        return sorted(info.base_name for info in self._call(lambda filesystem: filesystem.get_file_info(selector)))

    def walk(self) -> Iterator[FolderEntry]:
        """Entries of the folder at any depth; empty if it is not a folder. Links are listed but not followed.

        Raises:
            OSError: a folder cannot be read.
            EarshotError: the file system of a URI does not respond or denies access.
        """
        if self.local is not None:
            yield from _walk(self.local, "")
            return
        from pyarrow import fs

        selector = fs.FileSelector(self._path, allow_not_found=True, recursive=True)
        for info in self._call(lambda filesystem: filesystem.get_file_info(selector)):
            size = info.size if info.type == fs.FileType.File else None
            yield FolderEntry(info.path[len(self._path) :].strip("/"), size, (info.mtime_ns or 0) / 1e9)

    def modified(self) -> float | None:
        """When the file was written or marked as used, in seconds since 1970; None if there is none.

        Raises:
            EarshotError: the file system of a URI does not respond or denies access.
        """
        if self.local is not None:
            try:
                return self.local.stat().st_mtime_ns / 1e9
            except OSError:
                return None
        from pyarrow import fs

        info = self._call(lambda filesystem: filesystem.get_file_info(self._path))
        return (info.mtime_ns or 0) / 1e9 if info.type == fs.FileType.File else None

    def open(self) -> "pa.NativeFile":
        """Opens the file for random access: memory-mapped on this machine, streamed from a URI.

        Raises:
            OSError: it cannot be opened.
        """
        if self.local is not None:
            import pyarrow as pa

            return pa.memory_map(str(self.local))
        assert self._filesystem is not None
        return self._filesystem.open_input_file(self._path)

    def read_bytes(self) -> bytes:
        """The whole content.

        Raises:
            OSError: it cannot be read; FileNotFoundError if it does not exist.
        """
        if self.local is not None:
            return self.local.read_bytes()
        with self.open() as file:
            return file.read()

    def digest(self) -> str:
        """SHA-256 (hex) of the content.

        Raises:
            OSError: it cannot be read.
        """
        with self.open() as file:
            return stream_digest(file)

    @contextmanager
    def atomic_path(self) -> Iterator[Path]:
        """Yields a local path to write to, which replaces the file at the end of the block.

        Creates the folder. If the block raises, no file is left. Concurrent writers are safe: the last one wins.

        Raises:
            EarshotError: the upload fails.
        """
        if self.local is not None:
            self.local.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.local) as temporary:
                yield temporary
            return
        with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
            temporary = Path(folder) / "content"
            yield temporary
            self.upload(temporary)

    def upload(self, path: Path) -> None:
        """Copies a file of this machine to this location, in one piece.

        Raises:
            EarshotError: the upload fails.
        """
        if self.local is not None:
            with atomic_path(self.local) as temporary:
                shutil.copyfile(path, temporary)
            return
        from pyarrow import fs

        self._call(
            lambda filesystem: fs.copy_files(
                str(path),
                self._path,
                source_filesystem=fs.LocalFileSystem(),
                destination_filesystem=filesystem,
            )
        )

    def write(self, content: bytes) -> None:
        """Writes the file so that readers see all of it or none."""
        with self.atomic_path() as temporary:
            temporary.write_bytes(content)

    def remove(self) -> None:
        """Deletes the file if it exists."""
        if self.local is not None:
            self.local.unlink(missing_ok=True)
        elif self.size() is not None:
            self._call(lambda filesystem: filesystem.delete_file(self._path))

    def discard(self, since: float) -> bool:
        """Deletes the file, unless it was written or marked as used after `since` (see `modified`).

        On this machine it is renamed first and checked again, so a process that marks it as used without an error can
        rely on it.

        Returns:
            Whether it was deleted by this call.
        """
        modified = self.modified()
        if modified is None or modified > since:
            return False
        if self.local is None:
            try:
                self._call(lambda filesystem: filesystem.delete_file(self._path))
            except EarshotError:
                if self.modified() is not None:
                    raise
                return False
            return True
        temporary = self.local.parent / f".{self.local.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
        try:
            self.local.rename(temporary)
            if temporary.stat().st_mtime_ns / 1e9 <= since:
                return True
            with suppress(FileExistsError):
                os.link(temporary, self.local)
        except FileNotFoundError:
            pass  # another process has deleted it
        finally:
            temporary.unlink(missing_ok=True)
        return False

    def remove_folder(self) -> None:
        """Deletes the folder if it is empty."""
        if self.local is not None:
            with suppress(OSError):
                self.local.rmdir()
        elif not self.files():  # object stores represent an empty folder by an empty file
            with suppress(EarshotError):  # another process was faster
                self._call(lambda filesystem: filesystem.delete_dir(self._path))

    def _call(self, action: Any) -> Any:
        import pyarrow as pa

        try:
            return action(self._filesystem)
        except (OSError, pa.ArrowException) as error:
            raise EarshotError(
                f"{self}: {_reason(error)}; check the address, the credentials and the permissions"
            ) from None


def _walk(folder: Path, prefix: str) -> Iterator[FolderEntry]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):  # removed in the meantime
        return
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        size = status.st_size if entry.is_file(follow_symlinks=False) else None
        yield FolderEntry(prefix + entry.name, size, status.st_mtime_ns / 1e9)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, f"{prefix}{entry.name}/")


def _local_path(address: str) -> Path:
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost") or not parts.path or parts.query or parts.fragment:
        raise ValueError("expected file:///folder; write '#' and '?' as %23 and %3F")
    return Path(unquote(parts.path))


def _shown(address: str) -> str:
    """The URI without user name, password and query, even if it is malformed."""
    scheme, _, rest = address.partition("://")
    return printable(f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"[:200])


def _reason(error: BaseException) -> str:
    text = printable(" ".join(str(error).split()))
    return text if len(text) <= 400 else text[:400] + "..."
