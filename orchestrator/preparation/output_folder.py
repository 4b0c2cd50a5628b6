"""The output folder of `prepare`: locked by one run at a time, and without a manifest until all shards are written."""

import csv
import errno
import io
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from datasets.benchmark.manifest import FILE_NAME, Manifest
from datasets.corpora.inventory import Rejection
from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import Location
from datasets.utils.text import printable
from orchestrator.preparation.croissant import CROISSANT, is_unedited
from orchestrator.preparation.dataset_card import CARD, MARK
from orchestrator.preparation.split_files import remove_split_files

LOCK = ".prepare.lock"
REJECTED = "rejected.csv"

_SHARD = re.compile(r"([0-9]{5,})\.parquet", re.ASCII)
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # the file system does not support locks


class OutputFolder:
    """The folder of the benchmark while `prepare` writes it: a path, or a URI of `pyarrow.fs`."""

    def __init__(self, root: Location) -> None:
        self.root = root
        self._in_use = False  # whether shards may be written, by workers even after an error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Creates the folder and locks it; the lock is released when the process ends, even if it is killed.

        There are no locks behind a URI: two concurrent runs would do the same work twice and write the same bytes.

        Raises:
            EarshotError: another run holds the lock, the folder contains other files, or a file system operation fails,
                here or inside the `with` block.
        """
        check_contents(self.root, {LOCK, FILE_NAME}, "a benchmark")
        if self.root.local is None:
            # stays even if nothing else is written: another run may rely on it
            (self.root / LOCK).write(b"made by orchestrator.prepare")  # not a lock, but marks the folder as ours
            with _one_line_errors(str(self.root)):
                yield
            return
        missing = [path for path in (self.root.local, *self.root.local.parents) if not path.exists()]
        fresh = not (self.root.local / LOCK).exists()
        with lock_folder(self.root.local, LOCK), self._removed_after_errors(missing) if fresh else nullcontext():
            (self.root.local / "shards").mkdir(exist_ok=True)
            yield

    @contextmanager
    def _removed_after_errors(self, created: Sequence[Path]) -> Iterator[None]:
        """Removes the lock file, `shards` and `created` if the block raises before it has written anything."""
        try:
            yield
        except BaseException:
            root = Path(self.root.address)
            with suppress(OSError):  # such as a folder that is not empty
                if not self._in_use and {path.name for path in root.iterdir()} == {LOCK, "shards"}:
                    (root / "shards").rmdir()
                    (root / LOCK).unlink()
                    for folder in created:
                        folder.rmdir()
            raise

    def manifest(self, force: bool) -> Manifest | None:
        """The existing manifest; None if there is none, or if it is unreadable and `force` is set."""
        if (self.root / FILE_NAME).size() is None:
            return None
        try:
            return Manifest.load(self.root)
        except EarshotError:
            if force:
                return None
            raise

    def check_settings(self, manifest: Manifest, requested: Mapping[str, Any], *, recordings: bool = False) -> None:
        """Compares the settings of a finished benchmark with the requested ones.

        Args:
            manifest: of the benchmark.
            requested: settings by name.
            recordings: whether another `source` means other recordings.

        Raises:
            EarshotError: they differ; the message lists all differences.
        """
        existing = {"corpus": manifest.corpus, "name": manifest.name, **manifest.settings}
        existing["source"] = manifest.source.fingerprint
        existing["corpus version"] = manifest.versions.get("corpus", "unknown")
        differences = [
            f"{key}: {_format_value(key, existing.get(key))} -> {_format_value(key, requested.get(key))}"
            for key in [*requested, *(key for key in existing if key not in requested)]
            if existing.get(key) != requested.get(key)
        ]
        if differences:
            changed = "recordings were added, removed or changed, or copied without their modification times; "
            other_source = recordings and existing["source"] != requested.get("source")
            raise EarshotError(
                f"{self.root} contains a benchmark with different settings ({'; '.join(differences)}); "
                f"{changed if other_source else ''}choose another --out, or pass --force to replace it"
            )

    def is_complete(self, manifest: Manifest) -> bool:
        """Whether all shards exist and have the right size."""
        return all((self.root / entry.file).size() == entry.bytes for entry in manifest.shards)

    def remove_stale(self, manifest: Manifest | None, units: int) -> None:
        """Removes the manifest, temporary files, and shards that cannot be reused.

        If there is a manifest, shards whose digest differs from it are removed: preparing again because of damage must
        not reuse the damaged shard.
        """
        self._in_use = True
        digests = {entry.file: entry.sha256 for entry in manifest.shards} if manifest else {}
        for name in (self.root / "shards").files():
            match, place = _SHARD.fullmatch(name), self.root / "shards" / name
            beyond = match and int(match[1]) >= units
            damaged = match and manifest and digests.get(f"shards/{name}") != place.digest()
            if beyond or damaged or name.endswith(TEMPORARY_SUFFIX):
                place.remove()
        for path in self.root.local.glob(f".*{TEMPORARY_SUFFIX}") if self.root.local else ():
            if path.is_dir():  # partially generated recordings
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (self.root / FILE_NAME).remove()
        remove_split_files(self.root)
        if self.may_replace_croissant():
            (self.root / CROISSANT).remove()
        if self.may_replace_card():
            (self.root / CARD).remove()

    def may_replace_card(self) -> bool:
        """Whether there is no README.md, or one that `prepare` made."""
        try:
            return (self.root / CARD).size() is None or MARK.encode() in (self.root / CARD).read_bytes()
        except OSError:  # such as a folder
            return False

    def may_replace_croissant(self) -> bool:
        """Whether there is no croissant.json, or one that is as `prepare` made it."""
        try:
            return (self.root / CROISSANT).size() is None or is_unedited((self.root / CROISSANT).read_bytes())
        except OSError:  # such as a folder
            return False


def check_contents(root: Location, markers: set[str], expected: str) -> None:
    """Checks that an output folder is empty, or contains one of the files that mark it as output of an earlier run.

    Args:
        root: the folder; it need not exist.
        markers: names of the files.
        expected: what an earlier run writes, for the message.

    Raises:
        EarshotError: the folder contains only other files, or cannot be read.
    """
    try:
        names = set(root.files())
    except OSError as error:
        raise EarshotError(f"{root}: cannot be read ({error.strerror}); choose another --out") from None
    if names and not names & markers:
        raise EarshotError(f"{root}: expected an empty folder or {expected}, found other files; choose another --out")


def check_rejected(
    root: Location,
    rejected: Sequence[Rejection],
    total: int,
    max_rejected: float,
    problem: str = "files are unusable",
    advice: str = "",
) -> None:
    """Checks the fraction of rejected files; writes rejected.csv if it is too high.

    Args:
        root: output folder.
        rejected: files.
        total: number of files, including the rejected ones.
        max_rejected: maximum fraction.
        problem: the rejected files and what is wrong with them, for the message.
        advice: how to keep them, for the message.

    Raises:
        EarshotError: it is too high.
    """
    if len(rejected) <= max_rejected * total:
        return
    write_rejected(root, rejected)
    first = rejected[0]
    raise EarshotError(
        f"{len(rejected)} of {total} {problem}, more than --max-rejected {max_rejected:g} allows "
        f"({first.file}: {first.reason}{'; ...' if len(rejected) > 1 else ''}); see {root / REJECTED}, "
        f"fix them or raise the limit; finished work is kept{advice and f'; {advice}'}"
    )


def write_rejected(root: Location, rejected: Sequence[Rejection]) -> None:
    """Writes rejected.csv: file,reason."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "reason"])
    writer.writerows([rejection.file, rejection.reason] for rejection in rejected)
    (root / REJECTED).write(text.getvalue().encode())


def read_rejected(root: Location) -> tuple[Rejection, ...]:
    """The rows of rejected.csv; none if it does not exist."""
    try:
        text = (root / REJECTED).read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return ()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    return tuple(Rejection(*row) for row in rows[1:] if len(row) == 2)


@contextmanager
def lock_folder(folder: Path, lock: str) -> Iterator[None]:
    """Creates a folder and locks it; the lock is released when the process ends, even if it is killed.

    The lock file stays in the folder: it marks the folder as ours (see `check_contents`). On a file system that has no
    locks, two concurrent runs do the same work twice.

    Args:
        folder: the folder.
        lock: name of the lock file in it.

    Raises:
        EarshotError: another process holds the lock, or a file system operation fails, here or inside the `with` block.
    """
    from filelock import FileLock, Timeout  # imports asyncio: 0.1 s that `--help` does not need

    text = printable(str(folder))
    with ExitStack() as stack:
        try:
            with suppress(FileExistsError):  # not a folder: the next line raises the more precise error
                folder.mkdir(parents=True, exist_ok=True)
            (folder / lock).touch()
            # no soft lock where flock is missing: releasing it would delete the file
            stack.enter_context(FileLock(folder / lock, timeout=0, fallback_to_soft=False))
        except Timeout:
            raise EarshotError(f"{text}: another prepare is running in this folder; wait for it to end") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise EarshotError(f"{text}: cannot be written ({error.strerror}); choose another --out") from None
        with _one_line_errors(text):
            yield


@contextmanager
def _one_line_errors(place: str) -> Iterator[None]:
    """Converts errors of the file system (a full disk, a read-only folder, ...) to an `EarshotError`."""
    try:
        yield
    except OSError as error:
        path = printable(str(error.filename or place))
        reason = error.strerror or error
        raise EarshotError(f"{path}: {reason}; fix this and run the same command to resume") from error


def _format_value(key: str, value: Any) -> str:
    text = printable(str(value))
    return f"{text[:12]}..." if key == "source" and value else text
