"""The folder of a run: one sweep at a time, one sweep for ever.

RUN/sweep.json     `what` the results depend on, and `where` they were computed
RUN/trials/TRIAL/  records and predictions (trainables/records.py)
RUN/tune/          Ray Tune's own, made anew by every run
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from datasets.errors import EarshotError
from datasets.files import write_atomically
from datasets.inventory import printable
from trainables.records import TrialRecord


class RunFolder:
    """Keeps the trials of one sweep apart from those of any other.

    Args:
        path: absolute; made when first needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def find(cls, name: str) -> "RunFolder":
        """The run that is called `name`: a folder, or the name of one in `runs`.

        Raises:
            EarshotError: there is none.
        """
        for path in (Path(name), Path("runs") / name):
            if (path / "trials").is_dir():
                return cls(path.absolute())  # not resolved: the store lies beside the name, wherever that leads
        raise EarshotError(
            f"{printable(name)}: expected a run folder of a sweep, or the name of one in runs/, found no trials there; "
            "check the name"
        )

    @property
    def store(self) -> Path:
        """Where its stages are: runs share the store that lies beside them."""
        return self.path.parent / "store"

    @property
    def trials(self) -> tuple[str, ...]:
        """Names of the trials that have a record, sorted."""
        return tuple(sorted(path.parent.name for path in self.path.glob("trials/*/trial.json")))

    def where(self) -> dict[str, Any]:
        """How the sweep was told where things are; empty where that is not recorded."""
        try:
            found = json.loads((self.path / "sweep.json").read_bytes())["where"]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}

    def trial(self, name: str) -> Path:
        """The folder of a trial."""
        return self.path / "trials" / name

    @contextmanager
    def held(self, what: dict[str, Any], where: dict[str, Any]) -> Iterator[None]:
        """Holds the folder for a sweep.

        Args:
            what: everything that the results depend on, in JSON types.
            where: the rest of the configuration.

        Raises:
            EarshotError: another sweep is at work here, or has left its results here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise EarshotError(f"{self.path}: another sweep is at work in this run; wait for it or end it") from None
        try:
            self._check(json.loads(json.dumps(what)))
            described = {"what": what, "where": where}
            write_atomically(self.path / "sweep.json", (json.dumps(described, indent=1) + "\n").encode())
            shutil.rmtree(self.path / "tune", ignore_errors=True)  # the sessions are in the store
            yield
        finally:
            lock.release()

    def close(self, names: list[str], failed: dict[str, str]) -> tuple[int, int]:
        """Brings the folder in line with the sweep that ended.

        A trial whose process died could not write that into its record itself; trials that an earlier version of the
        search had proposed are removed.

        Args:
            names: all trials of the sweep.
            failed: reasons by trial.

        Returns:
            How many sessions were computed, and how many were found.
        """
        computed = found = 0
        for folder in sorted((self.path / "trials").iterdir()):
            if folder.name not in names:
                shutil.rmtree(folder, ignore_errors=True)
            elif (folder / "trial.json").exists():
                record = TrialRecord.load(folder)
                if folder.name in failed and record.status != "failed":
                    update = {"status": "failed", "error": failed[folder.name]}
                    record.model_copy(update=update).save(folder)
                found += sum(session.reused for session in record.sessions)
                computed += sum(not session.reused for session in record.sessions)
        return computed, found

    def _check(self, what: dict[str, Any]) -> None:
        try:
            before = json.loads((self.path / "sweep.json").read_bytes())["what"]
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError):
            raise EarshotError(
                f"{self.path / 'sweep.json'}: not the record of a sweep; choose another --name or remove the folder"
            ) from None
        for key in sorted({*before, *what}):
            if before.get(key) != what.get(key):
                raise EarshotError(
                    f"{self.path}: holds another sweep ({key}: {_short(before.get(key))} -> {_short(what.get(key))}); "
                    "choose another --name"
                )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
