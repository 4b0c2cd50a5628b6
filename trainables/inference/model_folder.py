"""Writes the folder of a model as a whole: it is complete or absent, and one process changes it at a time."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX, exchange
from datasets.utils.text import printable

README = "README.md"


@contextmanager
def written_folder(out: Path, *, replace: bool) -> Iterator[Path]:
    """Yields a new folder beside `out` that becomes `out` at the end of the block.

    If the block raises, `out` is as before and nothing is left. What is replaced is exchanged in one step where the
    file system can: a process that is killed leaves the old folder or the new one.

    Args:
        out: a path that does not exist, an empty folder, or with `replace` any folder.
        replace: whether an existing folder is replaced.

    Raises:
        EarshotError: the folder cannot be written, or without `replace` another process has written it meanwhile.
    """
    out = Path(os.path.realpath(out))  # not a link to it
    temporary = out.parent / f".{out.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    try:
        with _one_line_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
        yield temporary
        with _one_line_errors(out):
            _sync(temporary)
            if replace and out.exists():
                exchange(temporary, out)
            else:
                temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _one_line_errors(out: Path) -> Iterator[None]:
    """Converts errors of the file system to an `EarshotError`."""
    try:
        yield
    except OSError as error:
        raise EarshotError(
            f"{printable(str(out))}: cannot be written ({error.strerror or error}); choose another folder"
        ) from None


@contextmanager
def model_lock(folder: Path, waits: Callable[[], None]) -> Iterator[None]:
    """Waits until no other process changes a model, and keeps others waiting during the block.

    The lock is the file `.NAME.lock` beside the folder, because the folder itself is replaced; it stays there. Where
    it cannot be made (a folder of others, a file system without locks) there is none.

    Args:
        folder: of the model.
        waits: called once if another process holds the lock.
    """
    from filelock import FileLock, Timeout  # imports asyncio: 0.1 s that `--help` does not need

    real = Path(os.path.realpath(folder))
    lock = FileLock(real.parent / f".{real.name}.lock", fallback_to_soft=False)
    with ExitStack() as stack:
        with suppress(OSError):
            try:
                stack.enter_context(lock.acquire(timeout=0))
            except Timeout:
                waits()
                stack.enter_context(lock.acquire())
        yield


def _sync(folder: Path) -> None:
    """Without this a crash of the machine may leave empty files."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
