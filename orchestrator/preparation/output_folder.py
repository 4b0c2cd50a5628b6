"""The folder that a benchmark is made in: one run at a time, nothing half-written that looks finished."""

import csv
import fcntl
import io
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from datasets.benchmark.manifest import FILE_NAME, Manifest
from datasets.corpora.inventory import Rejection
from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import Location
from datasets.utils.text import printable

LOCK = ".prepare.lock"
REJECTED = "rejected.csv"

_SHARD = re.compile(r"([0-9]{5,})\.parquet", re.ASCII)


class Destination:
    """The benchmark's folder while `prepare` works on it: a path, or a URI of `pyarrow.fs`."""

    def __init__(self, root: Location) -> None:
        self.root = root

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder and holds it; the lock goes with the process, however it ends.

        Behind a URI there are no locks: two runs at a time would do the work twice and leave the same bytes.

        Raises:
            EarshotError: another run holds it, it is somebody else's folder, or the file system refuses what is asked
                of it, here or inside of the `with` block.
        """
        self._refuse_foreign()
        if self.root.local is None:
            (self.root / LOCK).write(b"made by orchestrator.prepare")  # holds nobody, but tells whose folder it is
            with _explained(str(self.root)):
                yield
            return
        with held(self.root.local, LOCK):
            (self.root.local / "shards").mkdir(exist_ok=True)
            yield

    def _refuse_foreign(self) -> None:
        try:
            found = set(self.root.files())
        except OSError as error:
            raise EarshotError(f"{self.root}: cannot be read ({error.strerror}); choose another --out") from None
        if found and not found & {LOCK, FILE_NAME}:
            raise EarshotError(
                f"{self.root}: expected an empty folder or a benchmark, found other files; choose another --out"
            )

    def manifest(self, force: bool) -> Manifest | None:
        """The manifest that is there; None without one, or if it is unusable and `force` is given."""
        if (self.root / FILE_NAME).size() is None:
            return None
        try:
            return Manifest.load(self.root)
        except EarshotError:
            if force:
                return None
            raise

    def refuse_other(self, manifest: Manifest, wanted: Mapping[str, Any]) -> None:
        """Compares a finished benchmark with what is wanted now.

        Raises:
            EarshotError: they differ; tells every key that does.
        """
        found = {"corpus": manifest.corpus, "name": manifest.name, **manifest.settings}
        found["source"] = manifest.source.fingerprint
        found["corpus version"] = manifest.versions.get("corpus", "unknown")
        differences = [
            f"{key}: {_shown(key, found.get(key))} -> {_shown(key, wanted.get(key))}"
            for key in [*wanted, *(key for key in found if key not in wanted)]
            if found.get(key) != wanted.get(key)
        ]
        if differences:
            raise EarshotError(
                f"{self.root} holds a benchmark made otherwise ({'; '.join(differences)}); "
                "choose another --out, or pass --force to replace it"
            )

    def intact(self, manifest: Manifest) -> bool:
        """Are all shards there with the right sizes?"""
        return all((self.root / entry.file).size() == entry.bytes for entry in manifest.shards)

    def clear(self, manifest: Manifest | None, units: int) -> None:
        """Removes the manifest, files that were being written, and shards that cannot be kept.

        A shard beside a manifest is kept only if its bytes are still the manifest's: whoever prepares again
        because of damage must not get the damaged shard back.
        """
        digests = {entry.file: entry.sha256 for entry in manifest.shards} if manifest else {}
        for name in (self.root / "shards").files():
            match, place = _SHARD.fullmatch(name), self.root / "shards" / name
            beyond = match and int(match[1]) >= units
            damaged = match and manifest and digests.get(f"shards/{name}") != place.digest()
            if beyond or damaged or name.endswith(TEMPORARY_SUFFIX):
                place.remove()
        for path in self.root.local.glob(f".*{TEMPORARY_SUFFIX}") if self.root.local else ():
            if path.is_dir():  # recordings that were being made
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (self.root / FILE_NAME).remove()

    def write_rejected(self, rejected: Sequence[Rejection]) -> None:
        """Writes rejected.csv: file,reason."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "reason"])
        writer.writerows([rejection.file, rejection.reason] for rejection in rejected)
        (self.root / REJECTED).write(text.getvalue().encode())

    def read_rejected(self) -> tuple[Rejection, ...]:
        """The rows of rejected.csv; none if it is absent."""
        try:
            text = (self.root / REJECTED).read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            return ()
        rows = list(csv.reader(io.StringIO(text, newline="")))
        return tuple(Rejection(*row) for row in rows[1:] if len(row) == 2)


@contextmanager
def held(folder: Path, lock: str) -> Iterator[None]:
    """Makes a folder and holds it by a lock file in it; the lock goes with the process, however it ends.

    Raises:
        EarshotError: another run holds it, or the file system refuses what is asked of it, here or inside of the `with`
            block.
    """
    shown = printable(str(folder))
    try:
        with suppress(FileExistsError):  # no folder of that name can be made: opening the lock says why
            folder.mkdir(parents=True, exist_ok=True)
        file = (folder / lock).open("a")
    except OSError as error:
        raise EarshotError(f"{shown}: cannot be written ({error.strerror}); choose another --out") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EarshotError(f"{shown}: another prepare is at work here; wait for it to end") from None
        except OSError:
            pass  # a file system without locks; two runs at a time would only do the work twice
        with _explained(shown):
            yield


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turns what a file system refuses (a full disk, a folder that may not be written, ...) into one clear line."""
    try:
        yield
    except OSError as error:
        place = printable(str(error.filename or where))
        reason = error.strerror or error
        raise EarshotError(f"{place}: {reason}; mend that and run the same command to resume") from error


def _shown(key: str, value: Any) -> str:
    text = printable(str(value))
    return f"{text[:12]}..." if key == "source" and value else text
